"""A stream with several readers (coalesced calls): a task of its own reads it from the vendor, so that no reader's disconnect ends it for the others.

Above: stream. Below: cache, flight, replay, settle, taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from interlock.core.chat import Chunk
from interlock.core.errors import InterlockError

from . import cache, guarded, settle
from .call import Answer, Call
from .desk import Desk
from .flight import Flight, Left
from .replay import replayed
from .taken import Taken

END_WITHIN_S = 1.0
"""For the vendor's connection to be closed when nobody reads any more."""


class Along:
    """A streamed call before anything is asked of a vendor: what is kept is replayed, and an identical stream is read along."""

    def __init__(self, desk: Desk, call: Call) -> None:
        self._desk = desk
        self._call = call
        self.answer: Answer | None = None
        """Once `pieces` has ended; `None`: this call has to be made, and leads."""

    async def pieces(self) -> AsyncGenerator[Chunk]:
        """What there is to read. Raises as `cache.look`."""
        desk, call = self._desk, self._call
        while isinstance(found := await cache.look_along(desk, call), Flight):
            try:
                async for chunk in found.read(desk.parts.clock, call.deadline):
                    yield chunk
            except Left:
                continue
            self.answer = cache.coalesced(call, found)
            return
        if found is not None:
            for chunk in replayed(found):
                yield chunk
        self.answer = found


class Pump:
    """Takes in the rest of one stream. The call of its leader settles when it ends, even if the leader has gone by then."""

    def __init__(self, desk: Desk, call: Call, taken: Taken, flight: Flight) -> None:
        self._desk = desk
        self._call = call
        self._taken = taken
        self._flight = flight
        self._left: BaseException | None = None
        self._error: BaseException | None = None
        self.answer: Answer | None = None
        flight.shown = True
        flight.changed()
        self._task = asyncio.get_running_loop().create_task(self._run())
        desk.flights.tasks.add(self._task)
        self._task.add_done_callback(desk.flights.tasks.discard)

    async def rest(self) -> AsyncGenerator[Chunk]:
        """The pieces that its leader has not had yet. Raises what broke the stream off."""
        flight = self._flight
        try:
            async for chunk in flight.from_place(len(flight.pieces), self._desk.parts.clock, self._call.deadline):
                yield chunk
        except (InterlockError, Left):
            if self._error is not None:
                raise self._error from None
            raise

    def whole(self) -> Answer:
        """The answer, once `rest` has ended."""
        assert self.answer is not None, "rest() ends with an answer or raises"
        return self.answer

    async def left(self, error: BaseException) -> bool:
        """Its leader goes. True where the stream goes on for others and settles the call itself; else it is cut off here."""
        if self._task.done():
            return False
        if self._flight.waiting and not isinstance(error, InterlockError):
            self._left = error
            self._flight.when_alone = self._task.cancel
            return True
        self._task.cancel()
        await asyncio.wait((self._task,), timeout=END_WITHIN_S)
        return False

    async def _run(self) -> None:
        desk, call, taken, flight = self._desk, self._call, self._taken, self._flight
        try:
            while (chunk := await taken.next()) is not None:
                taken.add(chunk)
                if not taken.held:
                    flight.add(chunk)
            self.answer = taken.whole()
            held, taken.held = taken.held, []
            for chunk in held:
                flight.add(chunk)
            if desk.parts.guards is not None:
                self.answer = await guarded.leave(desk.parts.guards, call, self.answer)
            cache.keep(desk, call, self.answer)
        except BaseException as error:  # noqa: BLE001 - handed to everybody who reads, the leader among them
            self._error = error
            await taken.broken(error)
            cache.leave(desk, call, error)
        if self._left is not None:
            settle.failed(desk, call, self._left, taken.response)
