"""The OpenAI face: POST /v1/chat/completions, streamed and not.

Above: serve, which puts it at its address. Below: openai_read, openai_write, auth, and the port `ChatGateway`.
"""

from __future__ import annotations

import logging
import re
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import structs

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, Chunk, Fact
from interlock.core.errors import InterlockError, InvalidRequest, UpstreamCut
from interlock.core.ids import Ids
from interlock.core.ports import ChatGateway, ChatReply
from interlock.core.time import NS_PER_S, Clock

from .auth import Keys
from .exchange import Exchange
from .openai_read import RequestReader
from .openai_write import EVENTS, StreamWriter, error_body, error_headers, error_status, header, reply_headers, whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

logger = logging.getLogger("interlock.server")
_WORKFLOW = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class OpenAIFace:
    """Reads requests in OpenAI's words, has them answered by the gateway, and answers in OpenAI's words."""

    def __init__(self, gateway: ChatGateway, keys: Keys, ids: Ids, clock: Clock) -> None:
        self._gateway = gateway
        self._keys = keys
        self._ids = ids
        self._clock = clock
        self._reader = RequestReader()
        self._facts = msgspec.json.Decoder(dict[str, Fact])

    async def chat_completions(self, exchange: Exchange) -> None:
        """One call, straight through. Whatever goes wrong becomes an error in OpenAI's shape."""
        try:
            caller = self._keys.caller(exchange.header(b"authorization"))
            if exchange.refusal is not None:
                raise exchange.refusal
            request = self._reader.read(exchange.body, self._read_facts(exchange))
            caller = self._on_behalf(caller, exchange, request)
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
        pieces = cast("AsyncGenerator[Chunk | ChatReply, None]", self._gateway.stream(caller, request))
        async with aclosing(pieces):
            try:
                async for piece in pieces:
                    if not exchange.response_started:
                        exchange.begin(200, EVENTS + header(b"x-request-id", call))
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

    def _refuse(self, exchange: Exchange, error: InterlockError) -> None:
        """Nothing is written into a reply that has begun: the connection is then cut by the protocol."""
        if not exchange.response_started:
            exchange.reply(error_status(error), error_headers(error, self._ids.new("req")), error_body(error))

    def _read_facts(self, exchange: Exchange) -> dict[str, Fact]:
        raw = exchange.header(b"x-interlock-facts")
        if not raw:
            return {}
        try:
            return self._facts.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
            raise InvalidRequest(
                f"the header x-interlock-facts is not a JSON object of plain values: {fault}",
                param="x-interlock-facts",
                hint='Send e.g. {"account_tier": "enterprise"}.',
            ) from None

    def _on_behalf(self, caller: Caller, exchange: Exchange, request: ChatRequest) -> Caller:
        """The key's caller, for the user and the workflow that the request names. The tenant is the key's and nobody else's."""
        workflow = exchange.header(b"x-interlock-workflow").decode("latin-1")
        if workflow and not _WORKFLOW.fullmatch(workflow):
            raise InvalidRequest("the header x-interlock-workflow is not a name", param="x-interlock-workflow")
        if workflow:
            return structs.replace(caller, workflow=workflow, user=request.user)
        return structs.replace(caller, user=request.user) if request.user else caller
