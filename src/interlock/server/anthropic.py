"""The Anthropic face: POST /v1/messages, streamed and not, and POST /v1/messages/count_tokens.

Above: serve, which puts it at its addresses. Below: anthropic_read, anthropic_write, anthropic_stream, auth, and the port `CountingGateway`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import msgspec

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, Chunk
from interlock.core.errors import InterlockError, UpstreamCut
from interlock.core.ids import Ids
from interlock.core.ports import ChatReply, CountingGateway

from .anthropic_read import RequestReader
from .anthropic_stream import StreamWriter
from .anthropic_write import error_body, error_headers, message_headers, status_of, whole
from .auth import Keys
from .behalf import facts_of, on_behalf
from .exchange import Exchange
from .openai_write import EVENTS, JSON, header

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

logger = logging.getLogger("interlock.server")
FORWARDED = (b"anthropic-beta", b"anthropic-version")
"""Headers that say how a request is meant, for a vendor of the same dialect."""


class AnthropicFace:
    """Reads requests in Anthropic's words, has them answered by the gateway, and answers in Anthropic's words."""

    def __init__(self, gateway: CountingGateway, keys: Keys, ids: Ids) -> None:
        self._gateway = gateway
        self._keys = keys
        self._ids = ids
        self._reader = RequestReader()

    async def messages(self, exchange: Exchange) -> None:
        """One call, straight through. Whatever goes wrong becomes an error in Anthropic's shape."""
        await self._answered(exchange, self._message)

    async def count_tokens(self, exchange: Exchange) -> None:
        """Input tokens of a request; the header `x-interlock-count` says whether it is the vendor's count or an estimate."""
        await self._answered(exchange, self._count)

    async def _answered(self, exchange: Exchange, answer: Callable[[Exchange, Caller], Awaitable[None]]) -> None:
        try:
            caller = self._keys.caller(presented(exchange))
            if exchange.refusal is not None:
                raise exchange.refusal
            await answer(exchange, caller)
        except InterlockError as error:
            self._refuse(exchange, error)
        except Exception:  # the outermost frame of a call: recorded here, and the client gets an answer all the same
            logger.exception("a defect kept a message from being answered")
            self._refuse(exchange, InterlockError("the server failed on this request", hint="See its log."))

    async def _message(self, exchange: Exchange, caller: Caller) -> None:
        request = self._read(exchange, caller, capped=True)
        caller = on_behalf(caller, exchange, request.user)
        if request.stream:
            await self._stream(exchange, caller, request)
            return
        reply = await self._gateway.chat(caller, request)
        exchange.reply(200, message_headers(reply), whole(reply))

    async def _stream(self, exchange: Exchange, caller: Caller, request: ChatRequest) -> None:
        """The status line waits for the first piece, so that a call that fails before it has an honest status."""
        call = self._ids.new("req")
        writer = StreamWriter(call, request.model)
        pieces = cast("AsyncGenerator[Chunk | ChatReply, None]", self._gateway.stream(caller, request))
        async with aclosing(pieces):
            try:
                async for piece in pieces:
                    if not exchange.response_started:
                        ids = header(b"request-id", call) + header(b"x-request-id", call)
                        exchange.begin(200, EVENTS + ids)
                    data = writer.last(piece) if isinstance(piece, ChatReply) else writer.piece(piece)
                    if data:
                        await exchange.write(data)
                    if isinstance(piece, ChatReply):
                        exchange.end()
                        return
                raise UpstreamCut("the stream ended without having settled")
            except InterlockError as error:
                if not exchange.response_started:
                    raise
                await exchange.write(writer.error(error))
                exchange.end()

    async def _count(self, exchange: Exchange, caller: Caller) -> None:
        request = self._read(exchange, caller, capped=False)
        count = await self._gateway.count_tokens(on_behalf(caller, exchange, request.user), request)
        how = header(b"x-interlock-count", "estimate" if count.estimated else "vendor")
        call = self._ids.new("req")
        headers = JSON + how + header(b"x-interlock-model", count.deployment) + header(b"request-id", call)
        exchange.reply(200, headers, msgspec.json.encode({"input_tokens": count.input_tokens}))

    def _read(self, exchange: Exchange, caller: Caller, *, capped: bool) -> ChatRequest:
        said = ((name, exchange.header(name)) for name in FORWARDED)
        forwarded = tuple([(name.decode(), value.decode("latin-1")) for name, value in said if value])
        return self._reader.read(exchange.body, facts_of(exchange), forwarded, capped=capped, tenant=caller.tenant)

    def _refuse(self, exchange: Exchange, error: InterlockError) -> None:
        """Nothing is written into a reply that has begun: the connection is then cut by the protocol."""
        if not exchange.response_started:
            call = self._ids.new("req")
            exchange.reply(status_of(error), error_headers(error, call), error_body(error, call))


def presented(exchange: Exchange) -> bytes:
    """The credential as an `Authorization` header: this dialect's clients send `x-api-key`, or a bearer token."""
    key = exchange.header(b"x-api-key")
    return b"Bearer " + key if key else exchange.header(b"authorization")
