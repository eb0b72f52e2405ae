"""The supervisor's end of a zygote: boots it, asks for children, hears of their births and deaths. Above: pool. Below: guest/zygote.

Asynchronous throughout: one control socket, read by the event loop. A child is held by its pidfd, so a signal can never reach another process
that was given the same number.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from interlock.core.errors import SandboxRefused

from .filter import Profile, assemble
from .images import Image

HERE = Path(__file__).parent
BOOT_S = 60.0
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from guest.zygote import main; main(int(sys.argv[2]))"
_UNBORN = 16
"""Children asked for at once; more wait here instead of filling the control socket."""


class Exit(Struct, frozen=True):
    """How a child ended, as the kernel told the zygote."""

    status: int
    """As of waitpid."""
    cpu_us: int
    """Of the child and those it waited for; killed ones are missing."""
    peak_kb: int


class Child:
    """A process that was born; `exit` is done when it and everything in its namespace is gone."""

    def __init__(self, token: int, pidfd: int, ended: asyncio.Future[Exit]) -> None:
        self.token = token
        self.pidfd = pidfd
        self.exit = ended

    @property
    def pid(self) -> int:
        """Its number on the host; 0 when it is gone."""
        try:
            text = Path(f"/proc/self/fdinfo/{self.pidfd}").read_text(encoding="ascii")
        except OSError:
            return 0
        found = [int(line[4:]) for line in text.splitlines() if line.startswith("Pid:")]
        return max(found[0], 0) if found else 0

    def signal(self, number: int) -> None:
        if self.pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def kill(self) -> None:
        """SIGKILL to pid 1 of its namespace: the kernel ends all that is in it."""
        self.signal(signal.SIGKILL)

    def release(self) -> None:
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


class Zygote:
    """One booted zygote. Make it with `boot`."""

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket, layers: frozenset[str]) -> None:
        self.layers = layers
        self.born = 0
        self.landlock = 0
        self._process = process
        self._control = control
        self._unborn: dict[int, asyncio.Future[int]] = {}
        self._living: dict[int, asyncio.Future[Exit]] = {}
        self._turns = asyncio.Semaphore(_UNBORN)
        self._tokens = 0
        self._lost = False

    @property
    def living(self) -> int:
        return len(self._living)

    @property
    def lost(self) -> bool:
        """It ended; no more children come from it."""
        return self._lost

    @classmethod
    async def boot(cls, image: Image, layers: frozenset[str], uid: int) -> Zygote:
        """Starts the process and waits until it has imported its libraries.

        Raises:
            SandboxRefused: a namespace, a mount or a library was refused; the message names the step.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = await asyncio.to_thread(_spawn, image, theirs)
        ours.setblocking(False)
        made = cls(process, ours, layers)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(BOOT_S):
                await loop.sock_sendall(ours, json.dumps(plan(image, layers, uid)).encode())
                said = await loop.sock_recv(ours, 65_536)
        except (TimeoutError, OSError) as failed:
            await made.close()
            raise SandboxRefused(f"the sandbox image {image.name} did not start: {failed or 'it hung'}") from failed
        answer = json.loads(said) if said else {"failed": "start", "message": "its interpreter did not run"}
        if "failed" in answer:
            await made.close()
            raise SandboxRefused(f"the sandbox image {image.name} stopped at {answer['failed']}: {answer['message']}")
        made.landlock = answer["landlock"]
        if "landlock" in layers and not made.landlock:
            await made.close()
            raise SandboxRefused("this kernel has no landlock, or it is switched off")
        loop.add_reader(ours.fileno(), made._readable)
        return made

    async def spawn(self, request: dict[str, Any], fds: tuple[int, ...]) -> Child:
        """A child that puts its layers on and then waits for its job at the other end of `fds[0]`.

        Raises:
            SandboxRefused: the zygote is gone or could not fork.
        """
        async with self._turns:
            if self._lost:
                raise SandboxRefused("the sandbox's zygote is gone")
            loop = asyncio.get_running_loop()
            self._tokens += 1
            token = self._tokens
            birth = self._unborn[token] = loop.create_future()
            ended: asyncio.Future[Exit] = loop.create_future()
            self._living[token] = ended
            try:
                socket.send_fds(self._control, [json.dumps({"token": token, **request}).encode()], fds)
            except OSError as failed:
                del self._unborn[token], self._living[token]
                raise SandboxRefused(f"the sandbox's zygote does not take a request: {failed}") from failed
            try:
                pidfd = await birth
            except (
                asyncio.CancelledError
            ):  # its descriptors close with the caller, and an orphan without a job ends by itself
                birth.add_done_callback(_drop)
                raise
            self.born += 1
            return Child(token, pidfd, ended)

    def _readable(self) -> None:
        try:
            while True:
                message, fds, _, _ = socket.recv_fds(self._control, 4096, 4)
                if not message:
                    self._gone()
                    return
                self._heard(json.loads(message), fds)
        except BlockingIOError:
            return
        except OSError:
            self._gone()

    def _heard(self, said: dict[str, Any], fds: list[int]) -> None:
        if "born" in said:
            birth = self._unborn.pop(said["born"])
            birth.set_result(fds[0])
        elif "died" in said:
            ended = self._living.pop(said["died"])
            if not ended.done():
                ended.set_result(Exit(said["status"], said["cpu_us"], said["peak_kb"]))
        elif "unborn" in said:
            self._living.pop(said["unborn"]).cancel()
            birth = self._unborn.pop(said["unborn"])
            if not birth.done():
                birth.set_exception(SandboxRefused(f"the zygote could not fork: {os.strerror(said['errno'])}"))

    def _gone(self) -> None:
        """The zygote ended, and as pid 1 of its namespace took all its children along."""
        self._lost = True
        if self._control.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
        for birth in self._unborn.values():
            if not birth.done():
                birth.set_exception(SandboxRefused("the sandbox's zygote ended"))
        for ended in self._living.values():
            if not ended.done():
                ended.set_result(Exit(9, 0, 0))
        self._unborn.clear()
        self._living.clear()

    async def close(self) -> None:
        """Ends it and every child; returns when the process is gone."""
        if self._control.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
        self._control.close()
        self._lost = True
        try:
            await asyncio.to_thread(self._process.wait, 10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        self._gone()


def _drop(birth: asyncio.Future[int]) -> None:
    if not birth.cancelled() and birth.exception() is None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(birth.result(), signal.SIGKILL)
        os.close(birth.result())


def _spawn(image: Image, control: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own interpreter and files
        [image.interpreter, "-I", "-S", "-B", "-c", _BOOT, str(HERE), str(control.fileno())],
        pass_fds=[control.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )


def plan(image: Image, layers: frozenset[str], uid: int) -> dict[str, Any]:
    """What a zygote is told at its boot."""
    return {
        **image.plan(tree="tree" in layers),
        "layers": sorted(layers),
        "root": host_root(),
        "uid": uid,
        "filters": {key(profile): assemble(profile, platform.machine()).hex() for profile in profiles(layers)},
    }


def host_root() -> bool:
    """Whether this process is uid 0 of the host itself; root of a user namespace is an ordinary user outside of it."""
    if os.geteuid() != 0:
        return False
    fields = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    return fields[:2] == ["0", "0"] and int(fields[2]) > 1


def profiles(layers: frozenset[str]) -> list[Profile]:
    """The filters that a zygote of these layers may need."""
    alone = [Profile(signals="pid" in layers)]
    if "pid" not in layers and "seccomp" in layers and "user" not in layers:
        return alone
    return [*alone, Profile(processes=True), Profile(egress=True), Profile(processes=True, egress=True)]


def key(profile: Profile) -> str:
    """Short name of a profile in a plan and a request."""
    return f"p{profile.processes:d}e{profile.egress:d}"
