"""The Responses face: POST /v1/responses, streamed and not, and GET and DELETE of one that was kept.

A conversation is kept here, never at the vendor: whoever names `previous_response_id` gets the turns of its own tenant and key put
in front of its input, whichever model answers.

Above: serve, which puts it at its addresses. Below: responses_read, responses_write, responses_stream, openai_write, auth, and the ports
`CountingGateway` and `core.kept.Responses`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import structs
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, Chunk
from interlock.core.errors import InterlockError, StoreUnavailable, UpstreamCut
from interlock.core.ids import Ids
from interlock.core.kept import Responses
from interlock.core.ports import ChatReply, CountingGateway
from interlock.core.time import NS_PER_S, Clock

from .asgi import authorization
from .auth import Keys
from .behalf import facts_of, on_behalf
from .degraded import extended
from .exchange import Exchange
from .openai_write import EVENTS, JSON, error_body, error_headers, error_status, header, reply_headers
from .responses_read import ResponsesReader, ResponsesRequest
from .responses_stream import ResponsesStream
from .responses_write import Reply, whole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

logger = logging.getLogger("interlock.server")
NOT_KEPT = b"x-interlock-not-stored: the store could not be written\r\n"


class ResponsesFace:
    """Reads requests in the words of the Responses API, has them answered by the gateway, keeps them, and answers."""

    def __init__(self, gateway: CountingGateway, keys: Keys, ids: Ids, clock: Clock, kept: Responses) -> None:
        self._gateway = gateway
        self._keys = keys
        self._ids = ids
        self._clock = clock
        self._kept = kept
        self._reader = ResponsesReader()

    def routes(self) -> list[BaseRoute]:
        """The cold addresses."""
        return [
            Route("/v1/responses/{response_id}", self._get, methods=["GET"]),
            Route("/v1/responses/{response_id}", self._delete, methods=["DELETE"]),
            Route("/v1/responses/{response_id}/input_items", self._input_items, methods=["GET"]),
        ]

    async def create(self, exchange: Exchange) -> None:
        """One call, straight through. Whatever goes wrong becomes an error in OpenAI's shape."""
        await self._answered(exchange, self._created)

    async def _created(self, exchange: Exchange, caller: Caller) -> None:
        asked, chat = await self._read(exchange, caller)
        caller = on_behalf(caller, exchange, chat.user)
        if chat.stream:
            await self._stream(exchange, caller, asked, chat)
        else:
            await self._whole(exchange, caller, asked, chat)

    async def _read(self, exchange: Exchange, caller: Caller) -> tuple[ResponsesRequest, ChatRequest]:
        """What is asked, with the turns before it."""
        asked = self._reader.read(exchange.body, facts_of(exchange))
        if not self._kept.keeps:
            asked = structs.replace(asked, store=False, repeated={**asked.repeated, "store": False})
        earlier = await self._kept.earlier(caller, asked.previous) if asked.previous else ()
        return asked, structs.replace(asked.with_earlier(earlier), tenant=caller.tenant)

    async def _answered(self, exchange: Exchange, answer: Callable[[Exchange, Caller], Awaitable[None]]) -> None:
        try:
            caller = self._keys.caller(exchange.header(b"authorization"))
            if exchange.refusal is not None:
                raise exchange.refusal
            await answer(exchange, caller)
        except InterlockError as error:
            self._refuse(exchange, error)
        except Exception:  # the outermost frame of a call: recorded here, and the client gets an answer all the same
            logger.exception("a defect kept a response from being made")
            self._refuse(exchange, InterlockError("the server failed on this request", hint="See its log."))

    async def input_tokens(self, exchange: Exchange) -> None:
        """How many tokens a request would have; the header `x-interlock-count` says whether the vendor counted or it is an estimate."""
        await self._answered(exchange, self._counted)

    async def _counted(self, exchange: Exchange, caller: Caller) -> None:
        _, chat = await self._read(exchange, caller)
        count = await self._gateway.count_tokens(on_behalf(caller, exchange, chat.user), chat)
        how = header(b"x-interlock-count", "estimate" if count.estimated else "vendor")
        headers = JSON + how + header(b"x-interlock-model", count.deployment)
        body = {"object": "response.input_tokens", "input_tokens": count.input_tokens}
        exchange.reply(200, headers + header(b"x-request-id", self._ids.new("req")), msgspec.json.encode(body))

    async def _whole(self, exchange: Exchange, caller: Caller, asked: ResponsesRequest, chat: ChatRequest) -> None:
        answer = await self._gateway.chat(caller, chat)
        made = whole(answer.response, asked.repeated, self._ids.new, self._clock.wall_ns() // NS_PER_S)
        made = structs.replace(made, body=extended(made.body, answer.settled))
        stored = await self._keep(caller, asked, made)
        headers = reply_headers(answer.settled)
        exchange.reply(200, headers if stored else headers + NOT_KEPT, made.body)

    async def _stream(self, exchange: Exchange, caller: Caller, asked: ResponsesRequest, chat: ChatRequest) -> None:
        """The status line waits for the first piece, so that a call that fails before it has an honest status."""
        writer = ResponsesStream(asked.repeated, chat.model, self._ids.new, self._clock.wall_ns() // NS_PER_S)
        pieces = cast("AsyncGenerator[Chunk | ChatReply, None]", self._gateway.stream(caller, chat))
        async with aclosing(pieces):
            try:
                async for piece in pieces:
                    if not exchange.response_started:
                        exchange.begin(200, EVENTS + header(b"x-request-id", self._ids.new("req")))
                    if isinstance(piece, ChatReply):
                        made = writer.end(piece.response)
                        made = structs.replace(made, body=extended(made.body, piece.settled))
                        await self._keep(caller, asked, made)
                        await exchange.write(writer.closing(made))
                        exchange.end()
                        return
                    if data := writer.piece(piece):
                        await exchange.write(data)
                raise UpstreamCut("the stream ended without having settled")
            except InterlockError as error:
                if not exchange.response_started:
                    raise
                await exchange.write(writer.failed(error))
                exchange.end()

    async def _keep(self, caller: Caller, asked: ResponsesRequest, made: Reply) -> bool:
        """Keeps the turn before the client can name it. An answer that was paid for goes out although the store is down."""
        if not asked.store:
            return True
        try:
            await self._kept.keep(caller, made.id, asked.previous, asked.items, made.output, made.body)
        except StoreUnavailable as error:
            logger.warning("response %s could not be kept: %s", made.id, error)
            return False
        return True

    def _refuse(self, exchange: Exchange, error: InterlockError) -> None:
        """Nothing is written into a reply that has begun: the connection is then cut by the protocol."""
        if not exchange.response_started:
            exchange.reply(error_status(error), error_headers(error, self._ids.new("req")), error_body(error))

    async def _get(self, request: Request) -> Response:
        row = await self._kept.find(self._keys.caller(authorization(request)), request.path_params["response_id"])
        return Response(row.body, media_type="application/json")

    async def _input_items(self, request: Request) -> Response:
        caller = self._keys.caller(authorization(request))
        row = await self._kept.find(caller, request.path_params["response_id"])
        earlier = await self._kept.earlier(caller, row.previous) if row.previous else ()
        items = [*earlier, *(bytes(each) for each in msgspec.json.decode(row.items, type=list[msgspec.Raw]))]
        if request.query_params.get("order", "desc") == "desc":
            items.reverse()
        body = b'{"object":"list","data":[%b],"has_more":false,"first_id":null,"last_id":null}' % b",".join(items)
        return Response(body, media_type="application/json")

    async def _delete(self, request: Request) -> Response:
        name = request.path_params["response_id"]
        await self._kept.delete(self._keys.caller(authorization(request)), name)
        body = msgspec.json.encode({"id": name, "object": "response", "deleted": True})
        return Response(body, media_type="application/json")
