"""Streams of the OpenAI face: written out by a task, or piece by piece in the callbacks that read them.

Above: openai, openai_short. Below: exchange, openai_write, `core.short`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from interlock.core.chat import ChatRequest, Chunk
from interlock.core.errors import InterlockError, UpstreamCut
from interlock.core.money import Usage
from interlock.core.ports import ChatReply, Tap
from interlock.core.short import Ride

from .exchange import Exchange
from .openai_write import EVENTS, Facts, StreamWriter, header

logger = logging.getLogger("interlock.server")


async def relayed(
    exchange: Exchange, call: str, writer: StreamWriter, pieces: AsyncGenerator[Chunk | ChatReply, Tap | None]
) -> None:
    """Writes a stream out, or what is left of one. `call`: what the reply's head names it.

    Raises InterlockError: it failed before anything was written.
    """
    async with aclosing(pieces):
        try:
            piece = await anext(pieces)
            while True:
                if not exchange.response_started:
                    exchange.begin(200, EVENTS + header(b"x-request-id", call))
                data = writer.last(piece) if isinstance(piece, ChatReply) else writer.piece(piece)
                if data:
                    await exchange.write(data)
                if isinstance(piece, ChatReply):
                    exchange.end()
                    return
                piece = await pieces.asend(exchange)  # what is plain text meanwhile goes straight from socket to socket
        except StopAsyncIteration:
            raise UpstreamCut("the stream ended without having settled") from None
        except InterlockError as error:
            if not exchange.response_started:
                raise
            await exchange.write(writer.error(error))
            exchange.end()


class StreamTurn:
    """One stream on the short way: the `core.short.Listener` of its pieces."""

    __slots__ = ("_call", "_exchange", "_refuse", "_whole", "_writer", "ride")

    def __init__(
        self,
        exchange: Exchange,
        call: str,
        writer: StreamWriter,
        whole: Callable[[], ChatRequest],
        refuse: Callable[[Exchange, InterlockError], None],
    ) -> None:
        """`call`: what the reply's head names it. `whole`: everything that the request says. `refuse`: answers with an error."""
        self._exchange = exchange
        self._call = call
        self._writer = writer
        self._whole = whole
        self._refuse = refuse
        self.ride: Ride | None = None

    def piece(self, chunk: Chunk) -> bool:
        exchange, data = self._exchange, self._writer.piece(chunk)
        if not exchange.response_started:
            return exchange.begin_with(200, EVENTS + header(b"x-request-id", self._call), data)
        return exchange.put(data, ()) if data else not exchange.slow

    @property
    def tap(self) -> Tap:
        return self._exchange

    def answered(self, reply: ChatReply) -> None:
        self._exchange.end_with(self._writer.last(reply))
        self._finished()

    def ended(self, call: str, deployment: str, cost_nano_usd: int, usage: Usage) -> None:
        self._exchange.end_with(self._writer.closing(Facts(call, deployment, cost_nano_usd), usage))
        self._finished()

    def passed_on(self, call: str, deployment: str, cost_nano_usd: int, body: bytes) -> None:
        raise NotImplementedError("a stream is not passed on as a whole")

    def refused(self, error: Exception) -> None:
        if not isinstance(error, InterlockError):
            logger.error("a defect kept a stream from being answered", exc_info=error)
            error = InterlockError("the server failed on this request", hint="See its log.")
        if self._exchange.response_started:
            self._exchange.end_with(self._writer.error(error))
        else:
            self._refuse(self._exchange, error)
        self._finished()

    def whole(self) -> ChatRequest:
        return self._whole()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._exchange.spawn(work)

    def goes_on(self, pieces: AsyncGenerator[Chunk | ChatReply, Tap | None]) -> None:
        self.ride = None
        self._exchange.spawn(self._relayed(pieces))

    async def _relayed(self, pieces: AsyncGenerator[Chunk | ChatReply, Tap | None]) -> None:
        try:
            await relayed(self._exchange, self._call, self._writer, pieces)
        except InterlockError as error:
            self._refuse(self._exchange, error)
        except Exception:  # the outermost frame of a call: recorded here, and the client gets an answer all the same
            logger.exception("a defect kept a stream from being answered")
            self._refuse(self._exchange, InterlockError("the server failed on this request", hint="See its log."))

    async def left(self) -> None:
        if self.ride is not None:
            await self.ride.left()

    def _finished(self) -> None:
        self.ride = None  # which knows this one, too
        self._exchange.finished()
