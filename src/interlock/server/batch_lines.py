"""Lines of batches answered in their endpoint's own words: what a client would have got for the same request by itself.

Above: serve. Below: the readers and writers of the faces, and the ports `ChatGateway` and `core.embed.EmbedGateway`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct, structs

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, ChatResponse, Fact, Finish, ToolCall
from interlock.core.embed import EmbedGateway
from interlock.core.errors import InterlockError, InvalidRequest, UpstreamRejected
from interlock.core.events import Record, Settled
from interlock.core.ids import Ids
from interlock.core.ports import ChatGateway, ChatReply
from interlock.core.time import NS_PER_S, Clock
from interlock.gateway.batch_queue import Outcome

from . import anthropic_read, anthropic_write, embeddings, openai_write, responses_write
from .openai_read import RequestReader
from .responses_read import ResponsesReader

logger = logging.getLogger("interlock.batches")
CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
MESSAGES = "/v1/messages"
ENDPOINTS = (CHAT, RESPONSES, EMBEDDINGS)
"""Of OpenAI's batches; Anthropic's are for messages."""
FACTS: dict[str, Fact] = {"priority": "low"}
"""Whoever waits for an answer goes first."""
_PASSING = frozenset((408, 409, 425, 429, 500, 502, 503, 504))


class _Answer(Struct, frozen=True):
    """An answer as the ledger keeps it while its task is under way."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish = "stop"
    refusal: str = ""
    confidence: float | None = None
    simulated: bool = False


class _Content(Struct, frozen=True):
    response: _Answer


class Lines:
    """`gateway.batch_queue.Perform`."""

    def __init__(self, gateway: ChatGateway, embed: EmbedGateway, ids: Ids, clock: Clock) -> None:
        self._gateway = gateway
        self._embed = embed
        self._ids = ids
        self._clock = clock
        self._chat = RequestReader()
        self._messages = anthropic_read.RequestReader()
        self._responses = ResponsesReader()
        self._embeddings = embeddings.EmbeddingsReader()
        self._by_endpoint: dict[str, Callable[[Caller, str, bytes], Awaitable[bytes]]] = {
            CHAT: self._completion,
            RESPONSES: self._response,
            EMBEDDINGS: self._vectors,
            MESSAGES: self._message,
        }

    async def __call__(self, endpoint: str, caller: Caller, call: str, body: bytes) -> Outcome:
        try:
            return Outcome(200, await self._by_endpoint[endpoint](caller, call, body))
        except InterlockError as error:
            status = openai_write.error_status(error)
            passing = status in _PASSING and error.code not in ("limit_reached", "ledger_full")
            return Outcome(status, _error_body(endpoint, error, call), passing=passing or error.retryable)
        except Exception:  # one line's defect must not stop a batch: recorded here, and the line says so
            logger.exception("a defect kept a line of a batch from being answered")
            return Outcome(500, _error_body(endpoint, InterlockError("the server failed on this request"), call))

    def remembered(self, endpoint: str, record: Record) -> Outcome | None:
        event = record.event
        if not isinstance(event, Settled) or endpoint == EMBEDDINGS:
            return None
        try:
            kept = msgspec.convert(record.content, _Content).response
        except msgspec.ValidationError:
            return None
        model = event.deployment.partition("/")[2]
        response = ChatResponse(
            model, kept.text, kept.tool_calls, kept.finish, event.usage, refusal=kept.refusal, simulated=kept.simulated
        )
        if endpoint != RESPONSES:
            return Outcome(200, self.reply(endpoint, response, event))
        return Outcome(200, responses_write.whole(response, {}, self._ids.new, event.started_ns // NS_PER_S).body)

    # --- through a vendor's batch API (`gateway.batch_vendor.Speaks`) ---

    def request(self, endpoint: str, body: bytes) -> ChatRequest | None:
        if endpoint not in (CHAT, MESSAGES):
            return None
        request = self._chat.read(body, {}) if endpoint == CHAT else self._messages.read(body, {})
        _not_streamed(request.stream)
        return request

    def reply(self, endpoint: str, response: ChatResponse, settled: Settled) -> bytes:
        write = anthropic_write.whole if endpoint == MESSAGES else openai_write.whole
        return write(ChatReply(response, settled))

    def refusal(self, endpoint: str, status: int, said: str) -> bytes:
        error = UpstreamRejected(said or "the vendor refused this line", upstream_status=status)
        return _error_body(endpoint, error, "")

    # --- one by one ---

    async def _completion(self, caller: Caller, call: str, body: bytes) -> bytes:
        request = self._chat.read(body, FACTS)
        _not_streamed(request.stream)
        reply = await self._gateway.chat(caller, structs.replace(request, call=call, tenant=caller.tenant))
        return openai_write.whole(reply)

    async def _message(self, caller: Caller, call: str, body: bytes) -> bytes:
        request = self._messages.read(body, FACTS, tenant=caller.tenant)
        _not_streamed(request.stream)
        reply = await self._gateway.chat(caller, structs.replace(request, call=call))
        return anthropic_write.whole(reply)

    async def _response(self, caller: Caller, call: str, body: bytes) -> bytes:
        asked = self._responses.read(body, FACTS)
        if asked.previous:
            raise InvalidRequest("`previous_response_id` cannot be used in a batch", param="previous_response_id")
        request = asked.with_earlier(())
        _not_streamed(request.stream)
        reply = await self._gateway.chat(caller, structs.replace(request, call=call, tenant=caller.tenant))
        now_s = self._clock.wall_ns() // NS_PER_S
        repeated: dict[str, Any] = {**asked.repeated, "store": False}
        return responses_write.whole(reply.response, repeated, self._ids.new, now_s).body

    async def _vectors(self, caller: Caller, call: str, body: bytes) -> bytes:
        request, base64_wanted = self._embeddings.read(body)
        reply = await self._embed.embed(caller, structs.replace(request, call=call))
        return embeddings.whole(reply, base64_wanted=base64_wanted)


def _error_body(endpoint: str, error: InterlockError, call: str) -> bytes:
    return anthropic_write.error_body(error, call) if endpoint == MESSAGES else openai_write.error_body(error)


def _not_streamed(stream: bool) -> None:
    if stream:
        raise InvalidRequest("a line of a batch cannot be streamed", param="stream", hint="Leave `stream` out.")
