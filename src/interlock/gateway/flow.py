"""One streamed call that goes the short way: asked for without a task, its pieces relayed and its end settled in the callbacks of the vendor's socket.

Above: shortcut. Below: cache, exchange, guarded, once, ride, settle, stream, taken. It keeps what the long way keeps (`Call`, `Trial`, `Taken`), so that the long way
(`stream.relay`) can go on from any place: when the vendor fails, when its reader is slow or leaves, when others come to read along.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from interlock.core.chat import ChatRequest, ChatResponse, Chunk
from interlock.core.guards import Guards
from interlock.core.ports import ChatReply, Tap
from interlock.core.short import Listener, Streaming

from . import cache, guarded, once, settle
from .call import Answer
from .desk import Desk
from .exchange import Exchange, Opened, Unopened
from .ride import Ride
from .stream import Begun, relay
from .taken import Taken
from .through import Through


class Flow:
    """`core.short.Ride`, and the `Hearer` of its answer."""

    __slots__ = (
        "_call",
        "_desk",
        "_exchange",
        "_listener",
        "_opened",
        "_plan",
        "_streaming",
        "_taken",
        "_trial",
        "tap",
    )

    def __init__(self, desk: Desk, exchange: Exchange, ride: Ride, request: ChatRequest, listener: Listener) -> None:
        """`ride`: the call, about to be sent."""
        self._desk = desk
        self._exchange = exchange
        self._listener = listener
        self._call, self._trial = ride.as_call(request)
        self._plan = ride.road.plan
        self._opened: Opened | None = None
        self._taken: Taken | None = None
        self.tap: Tap = listener
        """Takes note of plain pieces too, once a first piece is here."""
        late_s = once.BACKSTOP_S
        self._streaming: Streaming | None = ride.road.wire.stream(
            request, self._trial.key, self._call.deadline, late_s, self
        )

    # --- its answer ---

    def piece(self, chunk: Chunk) -> bool:
        taken, flight = self._taken or self._first(chunk), self._call.flight
        taken.add(chunk)
        if flight is not None:
            flight.add(chunk)
        return self._listener.piece(chunk) and (flight is None or not flight.waiting)

    def _first(self, chunk: Chunk) -> Taken:
        """The first piece is here."""
        desk, call, trial = self._desk, self._call, self._trial
        once.begun(desk, trial)
        opened = self._opened = Opened(trial, Unopened(), chunk, call.deadline)
        taken = self._taken = Taken(desk, self._exchange, call, opened, "")
        self.tap = Through(taken, self._listener, call.flight)
        return taken

    def ended(self) -> None:
        self._streaming = None
        taken, guards = self._taken, self._desk.parts.guards
        assert taken is not None, "an answer that has ended well has begun"
        try:
            answer = taken.whole()
            if guards is not None and not _passes(guards, answer.response):
                self._listener.spawn(self._guarded(guards, answer))
                return
            self._settle(answer)
        except Exception as error:  # noqa: BLE001 - whatever it is: it settles, and whoever asked is told
            self._failed(error)

    async def _guarded(self, guards: Guards, answer: Answer) -> None:
        """The same where guards have something to say of the answer; as `stream` does it."""
        try:
            answer = await guarded.leave(guards, self._call, answer)
        except BaseException as error:
            self._failed(error)
            if not isinstance(error, Exception):
                raise
            return
        self._settle(answer)

    def _settle(self, answer: Answer) -> None:
        desk, call = self._desk, self._call
        cache.keep(desk, call, answer)
        desk.gate.leave()
        self._listener.answered(settle.answered(desk, call, answer))

    def _failed(self, error: BaseException) -> None:
        desk, call, taken = self._desk, self._call, self._taken
        desk.gate.leave()
        cache.leave(desk, call, error)
        settle.failed(desk, call, error, taken.response if taken is not None else None)
        if isinstance(error, Exception):
            self._listener.refused(error)

    # --- it goes another way ---

    def over(self) -> None:
        self._listener.goes_on(self._rest())

    async def left(self) -> None:
        """The client is gone: the long way, cancelled where it waits for the vendor."""
        if self._streaming is None:
            return
        loop = asyncio.get_running_loop()
        reading = loop.create_task(_read(self._rest()))
        loop.call_soon(reading.cancel)  # once it waits for the vendor
        while not reading.done():
            try:
                await asyncio.wait((reading,))
            except asyncio.CancelledError:
                reading.cancel()

    def _rest(self) -> AsyncGenerator[Chunk | ChatReply, Tap | None]:
        """The long way, from here on."""
        streaming, self._streaming = self._streaming, None
        assert streaming is not None, "it is handed over once"
        self._call.request = self._listener.whole()
        pieces = streaming.rest()
        if self._opened is not None:
            self._opened.pieces = pieces
        begun = Begun(self._call, self._plan, self._trial, pieces, self._taken)
        return relay(self._desk, self._exchange, begun.begin, begun)


async def _read(pieces: AsyncGenerator[Chunk | ChatReply, Tap | None]) -> None:
    async with aclosing(pieces):
        async for _ in pieces:
            pass


def _passes(guards: Guards, response: ChatResponse) -> bool:
    """Guards would do nothing with it."""
    return response.finish == "stop" and not response.tool_calls and guards.passes_answer(response.text)
