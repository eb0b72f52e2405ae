"""One connection to a worker, as a call, a session's seat or a program sees it. Above: client. Below: channel, streams, wire."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import msgspec

from interlock.core.egress import EgressDecision, EgressPolicy, EgressProxy
from interlock.core.errors import InterlockError, SandboxRefused, Shed
from interlock.core.sandbox import Door, Ended, Job, Level, RunOutcome
from interlock.sandbox import wire
from interlock.sandbox.asks import answered
from interlock.sandbox.paths import Folder, checked
from interlock.sandbox.seats import SeatLost

from . import channel as words
from .channel import Channel
from .streams import Streams

_GRACE_S = 30.0
"""Beyond a job's wall time: for its way, a queue at the worker and a cell that has to be killed."""
_SHORT_S = 30.0
_EXAMINE_S = 120.0


class Line:
    """The gateway's end. The port `Seat`."""

    def __init__(
        self, channel: Channel, hang_up: Callable[[], None], level: Level, policy: EgressPolicy | None
    ) -> None:
        self.level: Level = level
        self.decisions: list[EgressDecision] = []
        self.missing: tuple[str, ...] = ()
        """Layers that the worker's kernel does not have."""
        self._channel = channel
        self._hang_up = hang_up
        self._policy = policy
        self._streams = Streams(channel)
        self._behind = AsyncExitStack()
        self._authority = ""
        self._proxy_at = ""
        self._alive = True

    @classmethod
    async def begin_at(
        cls,
        channel: Channel,
        hang_up: Callable[[], None],
        level: Level,
        egress: EgressProxy | None,
        policy: EgressPolicy | None,
    ) -> Line:
        """A line whose worker has said its first words; the egress proxy serves what comes from there under this policy."""
        made = cls(channel, hang_up, level, policy)
        if policy is not None and egress is not None:
            folder = made._behind.enter_context(tempfile.TemporaryDirectory(prefix="interlock-egress-"))
            made._proxy_at = str(Path(folder, "proxy"))
            listener = made._behind.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(made._proxy_at)
            listener.listen()
            serving = egress.serve(listener, policy, made.decisions.append)
            made._authority = await made._behind.enter_async_context(serving)
        return made

    @property
    def usable(self) -> bool:
        return self._alive and not self._channel.socket.ended

    async def ask(self, job: Job, mode: words.Mode = "session") -> RunOutcome:
        """One job, until its outcome.

        Raises:
            SeatLost: nothing of it was run. SandboxRefused, Shed: the worker says no. ConnectionError: it was lost amid the job.
        """
        async with asyncio.timeout(job.limits.wall_s + _GRACE_S):
            await self.begin(job, mode)
            outcome, self._alive = await self._outcome(job)
        told = tuple(self.decisions)
        self.decisions.clear()  # what is told later, of a connection that outlives this job, is told with the next one
        return msgspec.structs.replace(outcome, level=self.level, egress=told, missing=self.missing)

    async def begin(self, job: Job, mode: words.Mode) -> None:
        """Sends the job; returns when the worker has begun it."""
        async with asyncio.timeout(job.limits.wall_s + _GRACE_S):
            try:
                await self.send(job, mode, self._authority)
            except ConnectionError as gone:
                raise SeatLost from gone
            await self.begun()

    async def send(self, job: Job, mode: words.Mode, authority: str) -> None:
        """Raises ConnectionError; ValueError: the path of a file is not plain; OSError: one cannot be read."""
        if self._policy is not None:
            stand_ins = {each.name.upper().replace("-", "_"): each.placeholder for each in self._policy.credentials}
            job = msgspec.structs.replace(job, environment={**stand_ins, **job.environment})
        await self._channel.tell(words.JOB, words.head_of(job, mode, authority))
        for file in job.files:
            await self._channel.send(words.FILE, checked(file.path).encode())
            if isinstance(file.source, bytes):
                for at in range(0, len(file.source), words.CHUNK):
                    await self._channel.send(words.DATA, file.source[at : at + words.CHUNK])
                continue
            with file.source.open("rb") as source:
                while part := source.read(words.CHUNK):
                    await self._channel.send(words.DATA, part)
        await self._channel.send(words.GO)

    async def begun(self) -> None:
        """Waits for the worker's word that it has begun. Raises as `ask`."""
        async with asyncio.timeout(_SHORT_S):
            kind, body = await self.next()
        if not kind:
            raise SeatLost
        if kind != words.BEGUN:
            raise self._refusal(kind, body)

    async def examined(self) -> words.Examined:
        """What came of every attack at the worker. Raises as `ask`."""
        async with asyncio.timeout(_EXAMINE_S):
            await self.send(Job("code", ""), "examine", "")
            kind, body = await self.next()
        if kind != words.EXAMINED:
            raise self._refusal(kind, body)
        return msgspec.json.decode(body, type=words.Examined)

    async def next(self) -> tuple[bytes, bytes]:
        """The next message that is not about a stream; an empty kind when the worker is gone."""
        while True:
            kind, body = await self._channel.receive()
            if kind == words.OPENED:
                await self._opened(int.from_bytes(body[:4], "big"))
            elif kind in (words.PIECE, words.CLOSED):
                await self._streams.feed(kind, body)
            else:
                return kind, body

    async def write(self, data: bytes) -> None:
        """To a program's standard input. Raises ConnectionError."""
        for at in range(0, len(data), words.CHUNK):
            await self._channel.send(words.INPUT, data[at : at + words.CHUNK])

    async def close(self) -> None:
        """Ends the call, wherever it stands; may be called again."""
        self._alive = False
        self._hang_up()
        await self._streams.close()
        await self._behind.aclose()

    async def _outcome(self, job: Job) -> tuple[RunOutcome, bool]:
        folder = Folder(job.collect_to) if job.collect_to is not None else None
        reader = wire.Reader(job.limits, folder, asks=job.door is not None)
        try:
            while True:
                kind, body = await self.next()
                if kind in (words.FILE, words.DATA):
                    reader.take(kind, body)
                elif kind == words.ASK and job.door is not None:
                    await self._answer(job.door, reader, body, job.limits.wall_s)
                elif kind == words.OUTCOME:
                    told = msgspec.json.decode(body, type=words.Told)
                    return msgspec.structs.replace(told.outcome, files=tuple(reader.files)), told.alive
                else:
                    raise self._refusal(kind, body)
        except (wire.WireFault, msgspec.MsgspecError) as wrong:
            raise ConnectionError(f"the sandbox worker does not keep to the protocol: {wrong}") from wrong
        finally:
            if folder is not None:
                folder.close()

    async def _answer(self, door: Door, reader: wire.Reader, body: bytes, timeout_s: float) -> None:
        reader.take(wire.ASK, body)
        assert reader.asked is not None
        said = await answered(door, reader.asked, timeout_s)
        reader.asked = None
        await self._channel.send(words.VALUE, said)

    def _refusal(self, kind: bytes, body: bytes) -> Exception:
        """What to raise for an answer that is no outcome."""
        self._alive = False
        if kind != words.REFUSED:
            return ConnectionError("the sandbox worker was lost before it answered")
        said = msgspec.json.decode(body, type=words.Refusal)
        found: dict[str, InterlockError | Exception] = {
            "refused": SandboxRefused(said.message, hint=said.hint),
            "shed": Shed(said.message, retry_after_s=said.retry_after_s),
            "lost": SeatLost(),
            "path": ValueError(said.message),
            "failed": ConnectionError(said.message),
        }
        return found[said.kind]

    async def _opened(self, number: int) -> None:
        if self._proxy_at and not self._streams.full:
            with suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(self._proxy_at)
                self._streams.begin(number, reader, writer)
                return
        await self._channel.send(words.CLOSED, number.to_bytes(4, "big"))


class RemoteProgram:
    """The port `Program` over a line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._ended_by: Ended = ""
        self._words = ""

    @property
    def level(self) -> Level:
        return self._line.level

    async def read(self) -> bytes:
        kind, body = await self._line.next()
        if kind == words.OUTPUT:
            return body
        if kind == words.OVER:
            over = msgspec.json.decode(body, type=words.Over)
            self._ended_by, self._words = over.ended_by, over.words
        return b""

    async def write(self, data: bytes) -> None:
        await self._line.write(data)

    def decided(self) -> Sequence[EgressDecision]:
        told = tuple(self._line.decisions)
        self._line.decisions.clear()
        return told

    @property
    def ended_by(self) -> Ended:
        return self._ended_by

    def words(self) -> str:
        return self._words
