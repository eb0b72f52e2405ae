"""The short way of the OpenAI face: plain requests that are answered without a task, whole or streamed.

Above: openai. Below: auth, behalf, exchange, openai_read, openai_stream, openai_write, `core.short`. What the headers say is worked out once for all requests of a connection that
have the same; the key is looked up anew each time, so that one that was revoked opens nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest
from interlock.core.errors import InterlockError
from interlock.core.ids import Ids
from interlock.core.ports import ChatReply
from interlock.core.short import Ride, Shortcut
from interlock.core.time import NS_PER_S, Clock

from .auth import Keys
from .behalf import facts_of, on_behalf
from .exchange import Exchange
from .openai_read import DIALECT, Plain, RequestReader
from .openai_stream import StreamTurn
from .openai_write import HEADERS, StreamWriter, reply_headers, safe, whole

logger = logging.getLogger("interlock.server")


class Known:
    """What a head says, as long as its key opens."""

    __slots__ = ("caller", "holder", "presented")

    def __init__(self, presented: str, holder: Caller, caller: Caller) -> None:
        self.presented = presented
        self.holder = holder
        """Whom the key stands for."""
        self.caller = caller
        """On whose behalf, too."""


class OpenAIShort:
    """Takes plain requests; `take` is an `exchange.ShortWay`."""

    def __init__(
        self,
        shortcut: Shortcut,
        keys: Keys,
        ids: Ids,
        clock: Clock,
        refuse: Callable[[Exchange, InterlockError], None],
    ) -> None:
        self._shortcut = shortcut
        self._keys = keys
        self._ids = ids
        self._clock = clock
        self._reader = RequestReader()
        self.refuse = refuse

    def take(self, exchange: Exchange) -> bool:
        known = exchange.headers.known
        if exchange.refusal is not None:
            return False
        if not isinstance(known, Known) or self._keys.holder(known.presented) is not known.holder:
            known = exchange.headers.known = self._known(exchange)
            if known is None:
                return False
        raw = exchange.body
        plain = self._reader.plain(raw)
        if plain is None or (plain.stream_options is not None and not plain.stream):
            return False
        caller = known.caller
        if plain.stream:
            return self._stream(exchange, caller, plain)
        request = ChatRequest(
            plain.model,
            (),
            max_output_tokens=plain.cap,
            temperature=plain.temperature,
            tenant=caller.tenant,
            raw=raw,
            raw_dialect=DIALECT,
        )
        turn = _Turn(self, exchange, caller)
        try:
            turn.ride = self._shortcut.take(caller, request, plain.messages, turn)
        except Exception as defect:  # noqa: BLE001 - this is its outermost frame: recorded, and the client gets an answer all the same
            turn.refused(defect)
            return True
        if turn.ride is None:
            return False
        exchange.turn = turn
        return True

    def _stream(self, exchange: Exchange, caller: Caller, plain: Plain) -> bool:
        options, raw = plain.stream_options, exchange.body
        request = ChatRequest(
            plain.model,
            (),
            max_output_tokens=plain.cap,
            temperature=plain.temperature,
            stream=True,
            include_usage=options is not None and options.include_usage,
            tenant=caller.tenant,
            raw=raw,
            raw_dialect=DIALECT,
        )
        call = self._ids.new("req")
        writer = StreamWriter(call, self._clock.wall_ns() // NS_PER_S, plain.model, request.include_usage)
        turn = StreamTurn(exchange, call, writer, lambda: self.whole(exchange, caller), self.refuse)
        try:
            turn.ride = self._shortcut.stream(caller, request, plain.messages, turn)
        except Exception as defect:  # noqa: BLE001 - as above
            turn.refused(defect)
            return True
        if turn.ride is None:
            return False
        exchange.turn = turn
        return True

    def whole(self, exchange: Exchange, caller: Caller) -> ChatRequest:
        """Everything that the request says."""
        return self._reader.read(exchange.body, {}, caller.tenant)

    def _known(self, exchange: Exchange) -> Known | None:
        """`None` for a request that has no key of ours, or that needs a closer look."""
        try:
            presented = self._keys.presented(exchange.header(b"authorization"))
            holder = self._keys.holder(presented)
            if holder is None or facts_of(exchange) or exchange.header(b"traceparent"):
                return None
            return Known(presented, holder, on_behalf(holder, exchange, ""))
        except InterlockError:
            return None


class _Turn:
    """One request on the short way: the `core.short.Asker` of its answer."""

    __slots__ = ("_caller", "_exchange", "_face", "ride")

    def __init__(self, face: OpenAIShort, exchange: Exchange, caller: Caller) -> None:
        self._face = face
        self._exchange = exchange
        self._caller = caller
        self.ride: Ride | None = None

    def passed_on(self, call: str, deployment: str, cost_nano_usd: int, body: bytes) -> None:
        name = call.encode()
        self._exchange.reply(200, HEADERS % (name, name, safe(deployment), cost_nano_usd), body)
        self._finished()

    def answered(self, reply: ChatReply) -> None:
        self._exchange.reply(200, reply_headers(reply.settled), whole(reply))
        self._finished()

    def refused(self, error: Exception) -> None:
        if not isinstance(error, InterlockError):
            logger.error("a defect kept a chat completion from being answered", exc_info=error)
            error = InterlockError("the server failed on this request", hint="See its log.")
        self._face.refuse(self._exchange, error)
        self._finished()

    def whole(self) -> ChatRequest:
        return self._face.whole(self._exchange, self._caller)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._exchange.spawn(work)

    def _finished(self) -> None:
        self.ride = None  # which knows this one, too
        self._exchange.finished()

    async def left(self) -> None:
        if self.ride is not None:
            await self.ride.left()
