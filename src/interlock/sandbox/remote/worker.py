"""The worker: the local sandbox behind a WebSocket. One connection is one call, one session or one program; its end ends them.

Above: app, which gives it a socket under mTLS. Below: local, seats, channel, streams.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from interlock.core.egress import EgressDecision, EgressPolicy
from interlock.core.errors import SandboxRefused, Shed, ToolError
from interlock.core.sandbox import FileIn, Job, Level, RunOutcome
from interlock.sandbox import wire
from interlock.sandbox.local import LocalSandbox
from interlock.sandbox.programs import LocalProgram
from interlock.sandbox.seats import LocalSeat, SeatLost

from . import channel as words
from .channel import Channel
from .streams import Streams
from .websocket import Head, NotWebSocket, accept, read_head

_HANDSHAKE_S = 10.0
_MOST_FILES_BYTES = 256 << 20
"""Of one job, in memory until its child has them."""
_log = logging.getLogger(__name__)


def kernel() -> str:
    """Names the kernel that this process runs on, differently after each boot; empty where it does not say. Source: random(4)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def build() -> str:
    """The kernel's release and version: not its name, but two that differ are two kernels."""
    here = os.uname()
    return f"{here.release} {here.version}"


class Passed(EgressPolicy, frozen=True):
    """Stands in for a policy that the gateway keeps: requests are passed on to it."""

    streams: Streams | None = None
    authority: str = ""


class PassOn:
    """The port `EgressProxy` of a worker: every connection of a sandbox goes to the gateway as it is."""

    @asynccontextmanager
    async def serve(
        self, listener: socket.socket, policy: EgressPolicy, decided: Callable[[EgressDecision], None]
    ) -> AsyncGenerator[str]:
        """See `core.egress.EgressProxy.serve`; nothing is decided here."""
        del decided
        assert isinstance(policy, Passed)
        streams = policy.streams
        assert streams is not None
        numbers = itertools.count(1)

        async def came(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if streams.full:
                writer.close()
                return
            await streams.open(next(numbers), reader, writer)

        server = await asyncio.start_server(came, sock=listener)
        try:
            yield policy.authority
        finally:
            server.close()
            await streams.close()


class Worker:
    """Answers connections; `serve` is one of them."""

    def __init__(
        self, sandbox: LocalSandbox, level: Level, *, most: int, known: str | None = None, allowed: frozenset[str]
    ) -> None:
        """`sandbox` is made with `PassOn` and has proved `level`. `most`: connections at a time. `known`: this kernel's name.

        `allowed`: names that a client's certificate must bear, one of them; empty for any that the authority has signed.
        """
        self._sandbox = sandbox
        name = kernel() if known is None else known
        self._hello = words.Hello(words.PROTOCOL, level, name, build(), sandbox.missing)
        self._most = most
        self._allowed = allowed
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its handshake to the last process gone."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                head = await read_head(reader)
                refused = self._refusal(head, writer)
                if refused:
                    writer.write(f"HTTP/1.1 {refused}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                    return
                channel = Channel(await accept(reader, writer, head))
            await self._answer(channel)
        except (OSError, TimeoutError, NotWebSocket) as failed:
            _log.info("a connection ended: %s", failed)
        except asyncio.CancelledError:
            _log.info("a connection ended with the worker")  # the outermost frame of this connection
        finally:
            self._tasks.discard(task)
            writer.close()

    async def close(self) -> None:
        """Ends every connection, and what it had under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _refusal(self, head: Head, writer: asyncio.StreamWriter) -> str:
        """Status line of an answer that is not the channel; empty to go on."""
        if not self._allowed.isdisjoint(_names(writer)) or not self._allowed:
            if head.first == "GET /healthz HTTP/1.1":
                return "204 No Content"
            if head.first != f"GET {words.PATH} HTTP/1.1":
                return "404 Not Found"
            return "503 Service Unavailable" if len(self._tasks) > self._most else ""
        return "403 Forbidden"

    async def _answer(self, channel: Channel) -> None:
        await channel.tell(words.HELLO, self._hello)
        call = _Call(self._sandbox, channel)
        try:
            while (message := await channel.receive())[0]:
                await call.take(*message)
        finally:
            await call.end()
            channel.socket.close()


def _names(writer: asyncio.StreamWriter) -> frozenset[str]:
    """What the client's certificate says it is: its DNS names and common names."""
    certificate: dict[str, Any] = writer.get_extra_info("peercert") or {}
    found = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    subject = certificate.get("subject", ())
    return frozenset(found | {value for part in subject for kind, value in part if kind == "commonName"})


class _Call:
    """What one connection has under way."""

    def __init__(self, sandbox: LocalSandbox, channel: Channel) -> None:
        self._sandbox = sandbox
        self._channel = channel
        self._streams = Streams(channel)
        self._head: words.Head | None = None
        self._files: list[tuple[str, bytearray]] = []
        self._held = 0
        self._task: asyncio.Task[None] | None = None
        self._seat: LocalSeat | None = None
        self._program: LocalProgram | None = None
        self._passed: asyncio.Future[bytes] | None = None
        """The answer that the gateway owes to a question of the function."""

    async def take(self, kind: bytes, body: bytes) -> None:
        """A message of the gateway. Raises NotWebSocket: out of order, or too much."""
        busy = self._task is not None and not self._task.done()
        if kind in (words.PIECE, words.CLOSED):
            await self._streams.feed(kind, body)
        elif kind == words.VALUE:
            if self._passed is not None and not self._passed.done():  # otherwise its call is over
                self._passed.set_result(body)
        elif kind == words.INPUT and self._program is not None:
            with suppress(OSError):  # it has ended, which is said on its own
                await self._program.write(body)
        elif kind == words.JOB and not busy:
            self._head, self._files, self._held = _decoded(body), [], 0
        elif kind == words.FILE and not busy:
            self._files.append((body.decode(errors="replace"), bytearray()))
        elif kind == words.DATA and self._files and not busy:
            self._held += len(body)
            self._files[-1][1].extend(body)
        elif kind == words.GO and self._head is not None and not busy:
            self._task = asyncio.get_running_loop().create_task(self._perform(self._head, self._job(self._head)))
            self._files = []
        elif kind != words.INPUT:
            raise NotWebSocket(f"a message of kind {kind!r} out of order")
        if self._held > _MOST_FILES_BYTES:
            raise NotWebSocket("more bytes of files than one job may bring")

    async def end(self) -> None:
        """Ends whatever is under way; returns when its processes are told to go."""
        if self._task is not None:
            self._task.cancel()
        if self._seat is not None:
            await self._seat.close()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await self._streams.close()

    def _job(self, head: words.Head) -> Job:
        return Job(
            head.entry,
            head.code,
            image=head.image,
            paths=head.paths,
            function=head.function,
            arguments=head.arguments,
            context=head.context,
            compiled=head.compiled,
            door=self._ask_there if head.door else None,
            files=tuple(FileIn(path, bytes(data)) for path, data in self._files),
            environment=head.environment,
            limits=head.limits,
            network=Passed(streams=self._streams, authority=head.authority) if head.network else None,
            collect=head.collect,
        )

    async def _perform(self, head: words.Head, job: Job) -> None:
        """The job, and what came of it."""
        by_mode: dict[words.Mode, Callable[[Job], Awaitable[None]]] = {
            "run": self._run,
            "session": self._ask,
            "program": self._live,
            "warm": self._warm,
            "examine": self._examine,
        }
        try:
            await by_mode[head.mode](job)
        except SandboxRefused as refused:
            await self._refuse("refused", refused.message, refused.hint)
        except Shed as shed:
            await self._refuse("shed", shed.message, retry_after_s=shed.retry_after_s)
        except SeatLost:
            await self._refuse("lost", "the session's process had ended before the cell began")
        except ValueError as wrong:
            await self._refuse("path", str(wrong))
        except ConnectionError:  # the gateway is gone: the reader of the connection notices too
            return
        except OSError as failed:
            _log.warning("a sandboxed call failed: %s", failed)
            await self._refuse("failed", f"{type(failed).__name__} on the worker: {failed.strerror}")

    async def _refuse(self, kind: str, message: str, hint: str = "", retry_after_s: float = 0.0) -> None:
        with suppress(ConnectionError):
            refusal = msgspec.convert(
                {"kind": kind, "message": message, "hint": hint, "retry_after_s": retry_after_s}, words.Refusal
            )
            await self._channel.tell(words.REFUSED, refusal)

    async def _run(self, job: Job) -> None:
        await self._channel.send(words.BEGUN)
        await self._tell(await self._sandbox.run(job), alive=False)

    async def _ask(self, job: Job) -> None:
        if self._seat is None:
            self._seat = await LocalSeat.take(self._sandbox, job)
        if not self._seat.usable:
            raise SeatLost
        await self._channel.send(words.BEGUN)
        outcome = await self._seat.ask(job)
        await self._tell(outcome, alive=self._seat.usable)

    async def _ask_there(self, name: str, values: dict[str, Any]) -> Any:
        """The port `Door`: the gateway's answer. Raises ToolError: it is no."""
        self._passed = asyncio.get_running_loop().create_future()
        await self._channel.tell(words.ASK, wire.Ask(name, values))
        told = msgspec.json.decode(await self._passed)
        if "error" in told:
            raise ToolError(told["error"]["code"], told["error"]["message"], hint=told["error"]["hint"])
        return told["value"]

    async def _warm(self, job: Job) -> None:
        await self._sandbox.warm(job.image)
        await self._channel.send(words.BEGUN)

    async def _examine(self, _: Job) -> None:
        findings, landlock = await self._sandbox.attacked()
        await self._channel.tell(words.EXAMINED, words.Examined(tuple(findings), landlock, self._sandbox.groups))

    async def _live(self, job: Job) -> None:
        async with self._sandbox.program(job) as program:
            self._program = program
            await self._channel.send(words.BEGUN)
            while data := await program.read():
                await self._channel.send(words.OUTPUT, data)
            await self._channel.tell(words.OVER, words.Over(program.ended_by, program.words()))

    async def _tell(self, outcome: RunOutcome, *, alive: bool) -> None:
        """Files first, the outcome last: it ends the answer."""
        for file in outcome.files:
            head = msgspec.json.encode({"path": file.path, "size": file.size, "kind": file.kind})
            await self._channel.send(words.FILE, head)
            for at in range(0, len(file.data), words.CHUNK):
                await self._channel.send(words.DATA, file.data[at : at + words.CHUNK])
        await self._channel.tell(words.OUTCOME, words.Told(words.plain(outcome), alive))


def _decoded(body: bytes) -> words.Head:
    try:
        return msgspec.json.decode(body, type=words.Head)
    except msgspec.MsgspecError as wrong:
        raise NotWebSocket(f"a job that is none: {wrong}") from wrong
