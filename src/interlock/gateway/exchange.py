"""Sending one try through a provider plug-in: for a whole answer, or for a stream up to its first piece.

Above: climb, stream. Below: attempt, call, `core.ports`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import msgspec

from interlock.core.chat import ChatRequest, ChatResponse, Chunk, OutputSchema
from interlock.core.errors import InvalidRequest, UpstreamCut
from interlock.core.ports import Provider
from interlock.core.time import Deadline
from interlock.core.turns import read_in
from interlock.core.unreadable import UNREADABLE

from . import aloud
from .call import Answer, Call, Trial
from .desk import Desk
from .once import begun, end_answered, end_broken
from .settings import Validate

VALIDATORS_KEPT = 256
CANCELS = 20
HEARD_OUT_S = 0.1
"""More than a client of the wire takes to hear out a vendor that it has hung up on."""
LAST_LOOKS = 2
"""At its sockets, by a client of the wire whose time and this one ran out while the event loop stood still."""


class Opened:
    """A stream whose first piece has come."""

    __slots__ = ("deadline", "first", "pieces", "trial")

    def __init__(self, trial: Trial, pieces: AsyncIterator[Chunk], first: Chunk, deadline: Deadline) -> None:
        self.trial = trial
        self.pieces = pieces
        self.first = first
        self.deadline = deadline

    async def close(self) -> None:
        """Ends the exchange; a vendor that is still sending is cut off."""
        await close(self.pieces)

    async def discard(self, desk: Desk, call: Call, error: BaseException) -> None:
        """Nobody will read it: the vendor is cut off, and what it had sent until then is counted."""
        trial, ended = self.trial, False

        def note(chunk: Chunk) -> None:
            nonlocal ended
            ended = ended or chunk.finish is not None
            trial.saw(chunk, ended=ended)

        note(self.first)
        try:
            await hear_out(self.pieces, note)
            await self.close()
        finally:
            if not trial.over:
                desk.health.deployment(trial.candidate.name).breaker.abandoned()
                end_broken(desk, call, trial, error)


class Exchange:
    """Sends tries to providers and checks what comes back against schemas."""

    __slots__ = ("_desk", "_validators")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._validators: OrderedDict[bytes, Validate] = OrderedDict()

    async def whole(self, call: Call, trial: Trial, request: ChatRequest, deadline: Deadline) -> Answer:
        """The whole answer, counted. Raises as `Provider.chat`."""
        if call.voice is not None and not call.purpose and (speech := call.voice.begins(call, trial)) is not None:
            return await aloud.whole(self._desk, call, trial, self._provider(trial), request, deadline, speech)
        response = await self._provider(trial).chat(trial.candidate.deployment, request, deadline, trial.key)
        return end_answered(self._desk, call, trial, response)

    async def open(self, call: Call, trial: Trial, request: ChatRequest, deadline: Deadline) -> Opened:
        """A stream that has begun; it is counted when it ends. Raises as `Provider.stream`."""
        pieces = self._provider(trial).stream(trial.candidate.deployment, request, call.deadline, trial.key)
        return await self.opened(call, trial, pieces)

    async def opened(self, call: Call, trial: Trial, pieces: AsyncIterator[Chunk]) -> Opened:
        """The same of one that was asked for already."""
        try:
            async for first in pieces:
                begun(self._desk, trial)
                return Opened(trial, pieces, first, call.deadline)
        except BaseException:
            await close(pieces)
            raise
        raise UpstreamCut(f"{trial.candidate.name} ended its stream before the first piece.")

    def validate(self, schema: OutputSchema, value: Any) -> list[str]:
        """What is wrong with `value`, by a check that is compiled once per schema."""
        key = msgspec.json.encode(schema.schema)
        check = self._validators.get(key)
        if check is None:
            check = self._validators[key] = self._desk.parts.validator_of(schema.schema)
            if len(self._validators) > VALIDATORS_KEPT:
                self._validators.popitem(last=False)
        return check(value)

    def beside(self, schema: OutputSchema, response: ChatResponse) -> list[str]:
        """What is wrong with the second answer and those after it, where several were asked for."""
        for place, other in enumerate(response.others, 2):
            if other.tool_calls or other.refusal:
                continue
            try:
                value = msgspec.json.decode(other.text)
            except UNREADABLE as error:
                return [f"answer {place} is not JSON: {error}"]
            if faults := self.validate(schema, value):
                return [f"answer {place}: {faults[0]}"]
        return []

    def _provider(self, trial: Trial) -> Provider:
        deployment = trial.candidate.deployment
        provider = self._desk.parts.providers.get(deployment.dialect)
        if provider is None:
            known = ", ".join(sorted(self._desk.parts.providers)) or "none"
            raise InvalidRequest(
                f"no provider plug-in speaks the dialect {deployment.dialect!r} of {deployment.name}.",
                hint=f"Installed: {known}.",
            )
        return provider


class Unopened:
    """No pieces: of a stream that is told by callbacks, until it is read in a task."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        raise StopAsyncIteration


async def close(pieces: AsyncIterator[Chunk]) -> None:
    """Closes an async generator; anything else has nothing to close."""
    closing: Callable[[], Awaitable[None]] | None = getattr(pieces, "aclose", None)
    if closing is not None:
        await closing()


async def hear_out(pieces: AsyncIterator[Chunk], note: Callable[[Chunk], None]) -> None:
    """Hangs up on the vendor and notes what was on its way by then: a reader of the wire that is cancelled hears that still."""

    async def listen() -> None:
        async for chunk in pieces:
            note(chunk)

    listening = asyncio.get_running_loop().create_task(listen())
    await asyncio.sleep(0)  # it has to be listening to be cancelled in the middle of it
    for _ in range(CANCELS):  # the second one ends what the wire would still hear
        listening.cancel()
        await asyncio.wait((listening,), timeout=HEARD_OUT_S)
        for _ in range(LAST_LOOKS):
            if not listening.done():
                await read_in()
        if listening.done():
            break
    if listening.done() and not listening.cancelled():
        listening.exception()  # the vendor may have ended it in any way; what was heard counts
