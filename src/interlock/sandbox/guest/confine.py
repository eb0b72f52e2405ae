"""From a fresh fork of the zygote to a confined child: the layers in the order in which they must be put on. Above: zygote. Below: kernel.

`confine` is one straight line. What a step cannot do ends the child before any foreign code runs; nothing is skipped in silence.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
from typing import Any

from .kernel import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    LANDLOCK_RULE_PATH,
    LANDLOCK_RULE_PORT,
    MS_NODEV,
    MS_NOSUID,
    Kernel,
)
from .tree import mount_proc

INSIDE_ID = 1000
"""The uid and gid that code in the sandbox sees as its own."""
PROXY_PORT = 3128
NAMESPACES = {
    "user": CLONE_NEWUSER,
    "net": CLONE_NEWNET,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "cgroup_view": CLONE_NEWCGROUP,
}
_JOB, _LISTENER, _IN, _OUT, _ERR = 3, 4, 0, 1, 2

_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read files, read directories
_READ_FILE = 1 << 0 | 1 << 2
_WRITE_FILE = 1 << 1
_WORK = (1 << 16) - 1 & ~(1 << 6 | 1 << 11 | 1 << 15)  # everything but device nodes and their ioctls
_HANDLED = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))  # by the ABI that knows them
_NET, _SCOPES = 3, 3  # bind and connect TCP (ABI 4); abstract sockets and signals (ABI 6)


class Confinement:
    """What is the same for every child of one zygote, prepared before the fork."""

    def __init__(self, kernel: Kernel, plan: dict[str, Any], readable: list[str]) -> None:
        self.kernel = kernel
        self.layers = frozenset(plan["layers"])
        self.filters = {name: bytes.fromhex(program) for name, program in plan["filters"].items()}
        self.abi = kernel.landlock_abi() if "landlock" in self.layers else 0
        self.handled = sum(bits for abi, bits in _HANDLED if abi <= self.abi)
        self.flags = flags_of(self.layers)
        self.proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
        self.readable = [(os.open(path, os.O_PATH | os.O_CLOEXEC), os.path.isdir(path)) for path in readable]
        with open("/proc/self/statm", "rb") as statm:
            self.image_bytes = int(statm.read().split()[0]) * resource.getpagesize()
        self.step = ""

    def apply(self, request: dict[str, Any], fds: list[int], net: int) -> None:
        """Puts every layer on, in order. The job is at descriptor 3, the listener for egress, if one was asked for, at 4.

        Args:
            fds: job socket, standard output, standard error, standard input if the request says so, then the doors of control groups.
            net: an empty network namespace to enter; -1 to make one.

        Raises:
            OSError: a layer could not be put on; `step` names it.
        """
        self.step = "control groups"
        places = (_JOB, _OUT, _ERR, _IN)[: 3 + request["piped"]]
        for door in fds[len(places) :]:
            os.write(door, b"0")
        self.step = "descriptors"
        for fd, wanted in zip(fds, places, strict=False):
            os.dup2(fd, wanted, inheritable=wanted != _JOB)
        self.step = "mounts"
        self._mount(request)
        self.step = "namespaces"
        self._enter(net)
        self.step = "workspace"
        os.chdir(request["work"])
        os.mkdir(".tmp")
        self.step = "listener"
        listener = open_listener() if request["network"] else None
        self.step = "capabilities"
        self._give_up_privileges()
        self.step = "landlock"
        if self.abi:
            self._landlock(request["work"], egress=listener is not None)
        self.step = "closing"
        if listener is not None:
            os.dup2(listener, _LISTENER, inheritable=False)
        self.kernel.close_from(_LISTENER + (listener is not None))
        self.step = "limits"
        if "rlimits" in self.layers:
            limit(request, self.image_bytes)
        self.step = "seccomp"
        if "seccomp" in self.layers:
            self.kernel.filter(self.filters[request["filter"]])

    def _mount(self, request: dict[str, Any]) -> None:
        """Mounts of its own: the workspace in memory, and a proc that shows this pid namespace only."""
        if "pid" in self.layers:
            self.kernel.die_with_parent()
        if "mount" in self.layers:
            self.kernel.unshare(CLONE_NEWNS)
        if "tree" in self.layers:
            options = f"size={request['disk']},nr_inodes={request['inodes']},mode=755"
            self.kernel.mount("work", request["work"], "tmpfs", MS_NOSUID | MS_NODEV, options)
            if "pid" in self.layers:
                mount_proc(self.kernel, "/proc", "subset=pid")

    def _enter(self, net: int) -> None:
        """The other namespaces. The user namespace comes after the mounts, so that nothing in it has a say over them."""
        flags = self.flags
        if net >= 0:
            self.kernel.setns(net, CLONE_NEWNET)
            flags &= ~CLONE_NEWNET
        if flags:
            self.kernel.unshare(flags)
        if "user" in self.layers:
            map_ids(INSIDE_ID, INSIDE_ID)
        if "no_nesting" in self.layers:
            # No user namespace below this one, hence no further namespace of any kind: a second wall behind the filter.
            _write("sys/user/max_user_namespaces", "0", self.proc)

    def _give_up_privileges(self) -> None:
        if "capabilities" in self.layers:
            self.kernel.drop_capabilities()
        if "no_new_privs" in self.layers:
            self.kernel.no_new_privileges()

    def _landlock(self, work: str, *, egress: bool) -> None:
        """Reading the image, writing the workspace, connecting to the proxy's port; nothing else."""
        kernel, handled = self.kernel, self.handled
        attributes = struct.pack("=Q", handled)
        if self.abi >= 4:
            attributes += struct.pack("=Q", _NET)
        if self.abi >= 6:
            attributes += struct.pack("=Q", _SCOPES)
        ruleset = kernel.landlock_ruleset(attributes)
        for fd, folder in self.readable:
            kernel.landlock_allow(
                ruleset, LANDLOCK_RULE_PATH, struct.pack("=Qi", _READ if folder else _READ_FILE | _WRITE_FILE, fd)
            )
        own = os.open(work, os.O_PATH | os.O_CLOEXEC)
        kernel.landlock_allow(ruleset, LANDLOCK_RULE_PATH, struct.pack("=Qi", _WORK & handled, own))
        if "tree" in self.layers:
            own_proc = (("/proc", _READ),) if "pid" in self.layers else ()
            for path, rights in (("/dev", _READ_FILE | _WRITE_FILE), *own_proc):
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
                kernel.landlock_allow(ruleset, LANDLOCK_RULE_PATH, struct.pack("=Qi", rights, fd))
        if egress and self.abi >= 4:
            kernel.landlock_allow(ruleset, LANDLOCK_RULE_PORT, struct.pack("=QQ", 2, PROXY_PORT))
        kernel.landlock_restrict(ruleset)


def map_ids(inside: int, outside: int) -> None:
    """Maps one uid and one gid into the user namespace that was just made."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inside} {outside} 1"),
        ("gid_map", f"{inside} {outside} 1"),
    ):
        _write(f"/proc/self/{name}", text)


def flags_of(layers: frozenset[str]) -> int:
    """The namespaces among the layers, but for mount and pid, whose places in the order are their own."""
    return sum(flag for name, flag in NAMESPACES.items() if name in layers)


def limit(request: dict[str, Any], image_bytes: int) -> None:
    """Limits that count per process; those of the whole tree are cgroups', or the watcher's. Soft is hard: pid 1 would ignore SIGXCPU."""
    values = {
        resource.RLIMIT_AS: image_bytes + request["memory"],
        resource.RLIMIT_CPU: request["cpu_s"],
        resource.RLIMIT_FSIZE: request["disk"],
        resource.RLIMIT_NOFILE: request["open_files"],
        resource.RLIMIT_NPROC: request["tasks"],
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if request["piped"]:
        del values[
            resource.RLIMIT_AS
        ]  # servers reserve far more than they use (V8: gigabytes); what they use is watched
    for name, value in values.items():
        resource.setrlimit(name, (value, value))


def open_listener() -> int:
    """Loopback up, and a listener on it for the proxy outside; only this network namespace can connect to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as helper:
        import fcntl

        up = struct.pack("16sh14x", b"lo", 1)  # SIOCSIFFLAGS, IFF_UP
        fcntl.ioctl(helper, 0x8914, up)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", PROXY_PORT))
    listener.listen(64)
    return listener.detach()


def _write(path: str, text: str, folder: int | None = None) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
