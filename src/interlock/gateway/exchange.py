"""The two ways of sending a try: for a whole answer, or for a stream whose first piece has come.

Above: climb, stream. Below: attempt, call, `core.ports`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec

from interlock.core.chat import ChatRequest, Chunk, OutputSchema
from interlock.core.errors import InvalidRequest, UpstreamCut
from interlock.core.ports import Provider
from interlock.core.time import Deadline

from .call import Answer, Call, Trial
from .desk import Desk
from .once import end_answered
from .settings import Validate

VALIDATORS_KEPT = 256


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


class Exchange:
    """Sends tries to providers and checks what comes back against schemas."""

    __slots__ = ("_desk", "_validators")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._validators: OrderedDict[bytes, Validate] = OrderedDict()

    async def whole(self, call: Call, trial: Trial, request: ChatRequest, deadline: Deadline) -> Answer:
        """The whole answer, counted. Raises as `Provider.chat`."""
        response = await self._provider(trial).chat(trial.candidate.deployment, request, deadline, trial.key)
        return end_answered(self._desk, call, trial, response)

    async def open(self, call: Call, trial: Trial, request: ChatRequest, deadline: Deadline) -> Opened:
        """A stream that has begun; it is counted when it ends. Raises as `Provider.stream`."""
        pieces = self._provider(trial).stream(trial.candidate.deployment, request, call.deadline, trial.key)
        try:
            async for first in pieces:
                return Opened(trial, pieces, first, call.deadline)
        except BaseException:
            await close(pieces)
            raise
        raise UpstreamCut(f"{trial.candidate.name} ended its stream before the first piece.")

    def validate(self, schema: OutputSchema, value: Any) -> list[str]:
        """What is wrong with `value`, by a check that is compiled once per schema."""
        key = msgspec.msgpack.encode(schema.schema)
        check = self._validators.get(key)
        if check is None:
            check = self._validators[key] = self._desk.parts.validator_of(schema.schema)
            if len(self._validators) > VALIDATORS_KEPT:
                self._validators.popitem(last=False)
        return check(value)

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


async def close(pieces: AsyncIterator[Chunk]) -> None:
    """Closes an async generator; anything else has nothing to close."""
    closing: Callable[[], Awaitable[None]] | None = getattr(pieces, "aclose", None)
    if closing is not None:
        await closing()
