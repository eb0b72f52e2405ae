"""`RemoteSandbox`: the port `Sandbox` over a worker. A call is one connection; egress is decided here. Above: app. Below: line, session.

A level is what the worker proved by attacks; it counts as `vm` where the worker's kernel is another one than this process's, so that a hole in
it is no hole in ours.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from msgspec import Struct

from interlock.core.egress import EgressProxy
from interlock.core.errors import SandboxRefused, Shed
from interlock.core.sandbox import Job, Level, RunOutcome, Session, at_least
from interlock.sandbox.prove import Finding
from interlock.sandbox.seats import SeatLost
from interlock.sandbox.session import CellSession

from . import channel as words
from .channel import Channel
from .line import Line, RemoteProgram
from .websocket import NotWebSocket, offer
from .worker import build, kernel

_CONNECT_S = 10.0


class WorkerAddress(Struct, frozen=True):
    """Where the worker is, and how both sides know each other."""

    url: str
    """`https://HOST[:PORT]`."""
    ca: str
    """PEM file of the authority that signed the worker's certificate."""
    certificate: str
    """PEM files of our own certificate and its key; read for every connection, so that renewing them needs no restart."""
    key: str

    def tls(self) -> ssl.SSLContext:
        """Raises SandboxRefused: a file is missing or torn."""
        try:
            made = ssl.create_default_context(cafile=self.ca)
            made.minimum_version = ssl.TLSVersion.TLSv1_3
            made.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as wrong:
            raise SandboxRefused(f"the certificates for the sandbox worker cannot be used: {wrong}") from wrong
        return made


class RemoteSandbox:
    """The port `Sandbox` on a worker."""

    def __init__(
        self,
        address: WorkerAddress,
        min_level: Level,
        *,
        egress: EgressProxy | None = None,
        here: str | None = None,
    ) -> None:
        """`here` names this process's kernel, for tests."""
        self._address = address
        self._min_level: Level = min_level
        self._egress = egress
        self._here = kernel() if here is None else here
        self.weaker: tuple[str, ...] = ()
        """As `LocalSandbox` has it; what a worker proves is in its own words."""
        self.groups: frozenset[str] = frozenset()
        """Controllers of control groups at the worker; known after `attacked`."""

    async def start(self) -> Level:
        """The worker's level.

        Raises:
            SandboxRefused: it is not there, or is weaker than `min_level`.
        """
        line = await self._connect()
        await line.close()
        return line.level

    async def warm(self, image: str) -> None:
        line = await self._connect()
        try:
            await line.send(Job("code", "", image=image), "warm", "")
            await line.begun()
        finally:
            await line.close()

    async def attacked(self) -> tuple[list[Finding], int]:
        """Every attack carried out at the worker now, and the version of landlock that its kernel speaks."""
        line = await self._connect()
        try:
            found = await line.examined()
        finally:
            await line.close()
        self.groups = found.groups
        return list(found.findings), found.landlock

    async def run(self, job: Job) -> RunOutcome:
        """See `core.sandbox.Sandbox.run`. Raises ConnectionError: the worker was lost, and nobody knows how far the call got."""
        line = await self._connect(job)
        try:
            return await line.ask(job, "run")
        except SeatLost as lost:
            raise SandboxRefused(f"the sandbox worker at {self._address.url} was lost before the call began") from lost
        finally:
            await line.close()

    def session(self, image: str, cells: Sequence[Job] = ()) -> Session:
        return CellSession(self._connect, image, cells)

    @asynccontextmanager
    async def program(self, job: Job) -> AsyncGenerator[RemoteProgram]:
        line = await self._connect(job)
        try:
            try:
                await line.begin(job, "program")
            except SeatLost as lost:
                raise SandboxRefused(f"the sandbox worker at {self._address.url} was lost") from lost
            yield RemoteProgram(line)
        finally:
            await line.close()

    async def close(self) -> None:
        """Nothing is held between calls."""

    async def _connect(self, job: Job | None = None) -> Line:
        """A fresh connection, with the egress proxy behind it where the job may use the network."""
        policy = job.network if job is not None else None
        if policy is not None and self._egress is None:
            raise SandboxRefused(
                "the call wants the network, and there is no egress proxy", hint="Leave `network` empty."
            )
        channel, close = await self._dialled()
        try:
            async with asyncio.timeout(_CONNECT_S):
                kind, body = await channel.receive()
            level, missing = self._level(kind, body)
            line = await Line.begin_at(channel, close, level, self._egress, policy)
            line.missing = missing
            return line
        except BaseException:
            close()
            raise

    async def _dialled(self) -> tuple[Channel, Callable[[], None]]:
        place = urlsplit(self._address.url)
        host, port = place.hostname or "", place.port or 443
        context = await asyncio.to_thread(self._address.tls)
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=1 << 18)
                try:
                    socket = await offer(reader, writer, place.netloc, words.PATH)
                except BaseException:
                    writer.close()
                    raise
        except NotWebSocket as said:
            if " 503 " in str(said):
                raise Shed("the sandbox worker has more connections than it takes", retry_after_s=1.0) from said
            raise self._unreachable(str(said)) from said
        except (OSError, TimeoutError) as failed:
            raise self._unreachable(str(failed) or "no answer in time") from failed
        return Channel(socket), socket.close

    def _unreachable(self, why: str) -> SandboxRefused:
        return SandboxRefused(
            f"the sandbox worker at {self._address.url} cannot be reached: {why}",
            hint="See that `interlock sandbox-worker` runs there, and that each side's authority signed the other's certificate.",
        )

    def _level(self, kind: bytes, body: bytes) -> tuple[Level, tuple[str, ...]]:
        """What isolation a call there has, by the worker's first words, and the layers that its kernel does not have."""
        hello = words.hello(body) if kind == words.HELLO else None
        if hello is None or hello.protocol != words.PROTOCOL:
            raise SandboxRefused(
                f"the sandbox worker at {self._address.url} speaks another protocol",
                hint="Run the same version on both sides.",
            )
        named = bool(hello.kernel and self._here)
        another = hello.kernel != self._here if named else bool(self._here and hello.build not in ("", build()))
        if hello.missing and not another:
            raise SandboxRefused(
                f"the sandbox worker at {self._address.url} does without {', '.join(hello.missing)}, and is no machine of its own",
                hint="Run it behind another kernel, or without --own-kernel.",
            )
        level: Level = "vm" if another and at_least(hello.level, "namespaces") else hello.level
        if not at_least(level, self._min_level):
            same = "" if another else "; it runs on the same kernel as this process, which is no machine of its own"
            raise SandboxRefused(
                f"the sandbox worker at {self._address.url} proves level {level}, and {self._min_level} is demanded{same}",
                hint="Run `interlock doctor` there; docs/sandbox.md says what each level needs.",
            )
        self.weaker = tuple(f"inside, {layer} is missing: the worker's kernel has none" for layer in hello.missing)
        return level, hello.missing
