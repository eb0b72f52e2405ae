"""The OpenAI face: POST /v1/chat/completions, streamed and not.

Above: serve, which puts it at its address. Below: openai_read, openai_short, openai_stream, openai_write, auth, and the port `ChatGateway`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, Chunk
from interlock.core.errors import InterlockError
from interlock.core.ids import Ids
from interlock.core.ports import ChatGateway, ChatReply, Tap
from interlock.core.short import HasShortcut
from interlock.core.time import NS_PER_S, Clock

from .auth import Keys
from .behalf import facts_of, on_behalf
from .exchange import Exchange
from .openai_read import RequestReader
from .openai_short import OpenAIShort
from .openai_stream import relayed
from .openai_write import StreamWriter, error_body, error_headers, error_status, reply_headers, whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

logger = logging.getLogger("interlock.server")


class OpenAIFace:
    """Reads requests in OpenAI's words, has them answered by the gateway, and answers in OpenAI's words."""

    def __init__(self, gateway: ChatGateway, keys: Keys, ids: Ids, clock: Clock) -> None:
        self._gateway = gateway
        self._keys = keys
        self._ids = ids
        self._clock = clock
        self._reader = RequestReader()
        self.short = (
            OpenAIShort(gateway.shortcut, keys, ids, clock, self._refuse).take
            if isinstance(gateway, HasShortcut)
            else None
        )
        """Takes plain requests without a task, where the gateway has a short way."""

    async def chat_completions(self, exchange: Exchange) -> None:
        """One call, straight through. Whatever goes wrong becomes an error in OpenAI's shape."""
        try:
            caller = self._keys.caller(exchange.header(b"authorization"))
            if exchange.refusal is not None:
                raise exchange.refusal
            request = self._reader.read(exchange.body, facts_of(exchange), caller.tenant)
            caller = on_behalf(caller, exchange, request.user)
            if request.stream:
                await self._stream(exchange, caller, request)
                return
            reply = await self._gateway.chat(caller, request)
            exchange.reply(200, reply_headers(reply.settled), whole(reply))
        except InterlockError as error:
            self._refuse(exchange, error)
        except Exception:  # the outermost frame of a call: recorded here, and the client gets an answer all the same
            logger.exception("a defect kept a chat completion from being answered")
            self._refuse(exchange, InterlockError("the server failed on this request", hint="See its log."))

    async def _stream(self, exchange: Exchange, caller: Caller, request: ChatRequest) -> None:
        """The status line waits for the first piece, so that a call that fails before it has an honest status."""
        call = self._ids.new("req")
        writer = StreamWriter(call, self._clock.wall_ns() // NS_PER_S, request.model, request.include_usage)
        pieces = cast("AsyncGenerator[Chunk | ChatReply, Tap | None]", self._gateway.stream(caller, request))
        await relayed(exchange, call, writer, pieces)

    def _refuse(self, exchange: Exchange, error: InterlockError) -> None:
        """Nothing is written into a reply that has begun: the connection is then cut by the protocol."""
        if not exchange.response_started:
            exchange.reply(error_status(error), error_headers(error, self._ids.new("req")), error_body(error))
