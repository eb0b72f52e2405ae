"""The zygote: one per image, single-threaded, inside its own namespaces; forks one confined child per request. Above: boot by `zygotes`.

It holds the imported libraries and nothing of any call: jobs travel on a socket that only the child reads. It ends when its control socket
does, and as pid 1 of its namespace takes every child along.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from . import runner
from .confine import INSIDE_ID, Confinement, flags_of, map_ids
from .kernel import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, MS_NODEV, MS_NOSUID, USUAL, Kernel, handle
from .tree import build, mount_proc, plan_paths

_FAILED = 70
_OWN_FROM = 5
_MOST_FDS = 8
_ROOM, _PIECE = 40 << 20, 440
"""Bytes that pandas and matplotlib take of the interpreter's own memory, and a size that it keeps there (up to 512)."""


def main(control_fd: int) -> NoReturn:
    """Boots by the plan that comes first on the control socket, then serves requests for children until it closes."""
    control = socket.socket(fileno=fcntl.fcntl(control_fd, fcntl.F_DUPFD_CLOEXEC, _OWN_FROM))
    for taken in range(3, _OWN_FROM):  # kept for what a child holds, so that none of the zygote's own ever stands there
        os.dup2(0, taken, inheritable=False)
    plan = json.loads(control.recv(1 << 20))
    boot = _Boot(plan)
    try:
        boot.enter()
        confinement = boot.load()
    except Exception as failed:  # whatever it was, the supervisor must learn of it
        message = {"failed": boot.step, "errno": getattr(failed, "errno", 0) or 0, "message": str(failed)}
        control.send(json.dumps(message).encode())
        os._exit(_FAILED)
    control.send(json.dumps({"ready": True, "landlock": confinement.abi}).encode())
    _Nursery(control, confinement).serve()
    os._exit(0)


class _Boot:
    """The way in, step by step; `step` names the one that failed."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.layers = frozenset(plan["layers"])
        self.kernel = Kernel()
        self.step = ""
        self._room: list[bytes] = []

    def enter(self) -> None:
        """New namespaces, the minimal tree, an unprivileged uid. Returns in the process that becomes the zygote."""
        kernel, layers = self.kernel, self.layers
        root = self.plan["root"]
        if root and "tree" in layers:
            self.step = "tree"
            kernel.unshare(CLONE_NEWNS)
            build(kernel, self.plan)
        if root and "uid" in layers:
            self.step = "unprivileged uid"
            become(kernel, self.plan["uid"])
        uid = os.geteuid()
        self.step = "namespaces"
        own = (CLONE_NEWPID if "pid" in layers else 0) | (CLONE_NEWNS if "mount" in layers else 0)
        kernel.unshare(flags_of(layers) | own)
        if "user" in layers:
            map_ids(INSIDE_ID, uid)
        if "uts" in layers:
            socket.sethostname("sandbox")
        if "pid" in layers:
            self._become_first()
            kernel.die_with_parent()
        self.step = "tree"
        if "tree" in layers and not root:
            build(kernel, self.plan)
        elif "tree" in layers and "pid" in layers:
            mount_proc(kernel, "/proc")

    def _become_first(self) -> None:
        """Goes on as pid 1 of the new pid namespace; the process outside only waits, so that the supervisor has a child to reap."""
        pid = os.fork()
        if pid:
            _, status = os.waitpid(pid, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)

    def load(self) -> Confinement:
        """Imports what the image promises, and prepares what all children share."""
        self.step = "libraries"
        os.environ.update(self.plan["environment"])
        sys.path[:] = self.plan["path"]
        self._import(self.plan["preload"], self.plan["warm_up"])
        self.step = "confinement"
        confinement = Confinement(self.kernel, self.plan, plan_paths(self.plan))
        gc.collect()
        gc.freeze()
        gc.disable()
        self._gather()
        return confinement

    def _gather(self) -> None:
        """Huge pages for what every child shares: forking and ending a child costs by the number of its pages."""
        with open("/proc/self/maps", encoding="ascii") as maps:
            lines = [line.split() for line in maps]
        for fields in lines:
            if fields[1] == "rw-p" and (len(fields) == 5 or fields[5] == "[heap]"):
                begin, end = (int(each, 16) for each in fields[0].split("-"))
                self.kernel.collapse(begin, end)

    def _import(self, names: list[str], warm_up: str) -> None:
        """Imports libraries and uses them once; some want to write while they are imported, so there is a place for it, gone before the first child."""
        place = "tree" in self.layers and bool(names)
        if place:
            self.kernel.mount("load", self.plan["work"], "tmpfs", MS_NOSUID | MS_NODEV, "size=32m,mode=755")
            os.mkdir(f"{self.plan['work']}/.tmp")
        if warm_up:
            self._make_room()
        after = _Hooks()
        os.register_at_fork = after.register
        for name in names:
            importlib.import_module(name)
        exec(warm_up, {})
        os.register_at_fork = after.usual
        after.run()
        if warm_up:
            self.kernel.keep_on_heap(0)
        if place:
            self.kernel.unmount(self.plan["work"])

    def _make_room(self) -> None:
        """Memory for large libraries in one piece. The interpreter takes its own by the megabyte, between the libraries that it loads, where no huge page
        fits: filled once, and emptied but for a word in each, its places stand side by side. The allocator's larger pieces go to the heap likewise.
        """
        self.kernel.keep_on_heap(_ROOM)
        held = [bytes(_PIECE) for _ in range(_ROOM // _PIECE)]
        self._room = held[:: (1 << 19) // _PIECE]


class _Hooks:
    """What modules want run in a child after a fork (closing fonts, renewing locks) is run once instead, when nothing is in use: `Kernel.fork` runs none."""

    def __init__(self) -> None:
        self.usual = os.register_at_fork
        self._before: list[Callable[[], Any]] = []
        self._after: list[Callable[[], Any]] = []

    def register(self, **hooks: Callable[[], Any]) -> None:
        self.usual(**hooks)  # for what foreign code forks by itself
        self._before += [hook for name, hook in hooks.items() if name == "before"]
        self._after += [hook for name, hook in hooks.items() if name == "after_in_child"]

    def run(self) -> None:
        for hook in (*reversed(self._before), *self._after):  # in the order of a fork
            hook()


def become(kernel: Kernel, uid: int) -> None:
    """Gives root up: host uid 0 would be exempt from the limit on processes, and own files it must not read."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    kernel.be_dumpable()


def _noticed(_number: int, _frame: FrameType | None) -> None:
    """A handler must stand, so that the wakeup descriptor is written; the loop does the rest."""


class _Nursery:
    """The loop: a request comes, a child is born; a child dies, its end is told."""

    def __init__(self, control: socket.socket, confinement: Confinement) -> None:
        self._control = control
        self._confinement = confinement
        self._pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY) if "pid" in confinement.layers else -1
        self._wakeup, told = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, _noticed)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        self._tokens: dict[int, int] = {}
        self._nets: list[int] = []
        self._borrowed: dict[int, int] = {}

    def serve(self) -> None:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        control_fd = self._control.fileno()
        while True:
            for fd, _ in poll.poll():
                if fd == control_fd:
                    if not self._request():
                        return
                else:
                    os.read(self._wakeup, 4096)
                    self._reap()

    def _request(self) -> bool:
        message, fds, _, _ = socket.recv_fds(self._control, 4096, _MOST_FDS)
        if not message:
            return False
        request = json.loads(message)
        net = -1
        try:
            net = self._network(request)
            pid = self._fork()
        except OSError as failed:
            self._give_back(net)
            self._tell({"unborn": request["token"], "errno": failed.errno})
        else:
            if pid == 0:
                self._child(request, fds, net)
            self._tokens[pid] = request["token"]
            self._borrowed[pid] = net
            pidfd = os.pidfd_open(pid)
            socket.send_fds(self._control, [json.dumps({"born": request["token"]}).encode()], [pidfd])
            os.close(pidfd)
        for fd in fds:
            os.close(fd)
        return True

    def _fork(self) -> int:
        """A child that is pid 1 of a pid namespace of its own."""
        kernel = self._confinement.kernel
        if self._pid_namespace < 0:
            return kernel.fork()
        kernel.unshare(CLONE_NEWPID)
        pid = -1
        try:
            pid = kernel.fork()
        finally:
            if pid:  # the next fork starts from this namespace again
                kernel.setns(self._pid_namespace, CLONE_NEWPID)
        return pid

    def _network(self, request: dict[str, Any]) -> int:
        """A network namespace with nothing in it and nobody else in it; -1 where the child makes its own.

        Making one costs a fifth of a call, so they are used again: only after the last process in it has died, and no call has
        capabilities over it, so that nothing of one call is left for the next.
        """
        layers = self._confinement.layers
        if request["network"] or not {"net", "user"} <= layers:
            return -1
        if self._nets:
            return self._nets.pop()
        kernel = self._confinement.kernel
        own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            kernel.unshare(CLONE_NEWNET)
            made = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            kernel.setns(own, CLONE_NEWNET)
        finally:
            os.close(own)
        return made

    def _give_back(self, net: int) -> None:
        if net >= 0:
            self._nets.append(net)

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            token = self._tokens.pop(pid, None)
            self._give_back(self._borrowed.pop(pid, -1))
            if token is not None:
                cpu_us = int((usage.ru_utime + usage.ru_stime) * 1e6)
                self._tell({"died": token, "status": status, "cpu_us": cpu_us, "peak_kb": usage.ru_maxrss})

    def _tell(self, message: dict[str, Any]) -> None:
        self._control.send(json.dumps(message).encode())

    def _child(self, request: dict[str, Any], fds: list[int], net: int) -> NoReturn:
        signal.set_wakeup_fd(-1)
        handle(signal.SIGCHLD, USUAL)
        try:
            self._confinement.apply(request, fds, net)
        except OSError as failed:
            runner.unfit(self._confinement.step, failed)
        runner.serve(network=request["network"])
