"""OpenAI's chat completions, reply side: `ChatReply`, `Chunk` and errors → bytes.

What a vendor of the same dialect sent is handed on as it came. Source: the API reference for chat completions and their
streaming events (platform.openai.com/docs/api-reference/chat), 2026-11.

Above: openai. Below: msgspec, `core`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from interlock.core.chat import (
    ChatResponse,
    Choice,
    ChoiceDelta,
    Chunk,
    Finish,
    ThoughtDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
)
from interlock.core.errors import (
    CircuitOpen,
    Exhausted,
    InterlockError,
    RateLimited,
    UpstreamError,
    UpstreamRejected,
)
from interlock.core.events import Settled
from interlock.core.money import Usage
from interlock.core.ports import ChatReply
from interlock.core.shares import money_of
from interlock.core.time import NS_PER_S
from interlock.core.unreadable import UNREADABLE

from .degraded import extended
from .openai_read import DIALECT
from .ratelimit import openai_lines

DONE = b"data: [DONE]\n\n"
JSON = b"content-type: application/json\r\n"
HEADERS = (
    b"content-type: application/json\r\nx-request-id: %b\r\nx-interlock-call-id: %b\r\nx-interlock-model: %b\r\n"
    b"x-interlock-cost-nano-usd: %d\r\n"
)
"""Of every reply: the call twice, the deployment, what it cost."""
EVENTS = b"content-type: text/event-stream\r\ncache-control: no-cache\r\n"

_TYPES = {401: "authentication_error", 429: "rate_limit_error"}
_NO_RETRY = frozenset(("all_candidates_failed", "deadline_missed", "limit_reached", "output_schema_violation"))
"""Errors behind which the gateway has already tried what there is to try; the official clients honour `x-should-retry`."""


def header(name: bytes, value: str) -> bytes:
    """One finished header line; what cannot stand in one is percent-encoded."""
    return b"%b: %b\r\n" % (name, safe(value))


def safe(value: str) -> bytes:
    """As it may stand in a header."""
    if not (value.isascii() and value.isprintable()):
        value = quote(value, safe=" /:;,=.@()")
    return value.encode("ascii")


def reply_headers(settled: Settled) -> bytes:
    """What the caller may want to know about the call, beside the answer."""
    call = settled.call.encode()
    lines = [HEADERS % (call, call, safe(settled.deployment), _real_nano_usd(settled))]
    if settled.simulated:
        lines.append(b"x-interlock-simulated: true\r\n")
    if settled.degraded:
        lines.append(header(b"x-interlock-degraded", settled.degraded))
    if settled.input_cap:
        lines.append(header(b"x-interlock-input-cap", settled.input_cap))
    if settled.cache:
        lines.append(header(b"x-interlock-cache", settled.cache))
    if settled.confidence is not None:
        lines.append(b"x-interlock-confidence: %.4f\r\n" % settled.confidence)
    if settled.escalations:
        lines.append(b"x-interlock-escalations: %d\r\n" % len(settled.escalations))
    return b"".join(lines)


def _real_nano_usd(settled: Settled) -> int:
    """What the call cost in real money; what simulated deployments would have cost is in no figure that a caller adds up."""
    if settled.simulated or len(settled.attempts) > 1:
        return money_of(settled)[0]
    return settled.cost_nano_usd


def whole(reply: ChatReply) -> bytes:
    """The body of a reply that is not streamed."""
    response, settled = reply.response, reply.settled
    if response.raw and response.raw_dialect == DIALECT:
        return extended(response.raw, settled)
    choices = [_choice(0, response), *(_choice(at, each) for at, each in enumerate(response.others, 1))]
    body = {
        "id": response.id or settled.call,
        "object": "chat.completion",
        "created": settled.started_ns // NS_PER_S,
        "model": response.model,
        "choices": choices,
        "usage": _usage(response.usage),
    }
    return extended(msgspec.json.encode(body), settled)


def _choice(index: int, said: ChatResponse | Choice) -> dict[str, Any]:
    """One answer. Thoughts stand where several servers of this dialect put them, and their seals under a name of our own."""
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": said.refusal or None}
    if said.tool_calls:
        message["tool_calls"] = [_tool_call(call) for call in said.tool_calls]
    elif not said.text and not said.refusal:
        message["content"] = ""
    if said.thoughts:
        message["reasoning_content"] = "".join([thought.text for thought in said.thoughts]) or None
        message["interlock"] = {"thoughts": said.thoughts}
    logprobs = {"content": [_logprob(each) for each in said.logprobs], "refusal": None} if said.logprobs else None
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": _finish(said.finish)}


def _finish(finish: Finish) -> str:
    return "stop" if finish == "error" else finish


def _tool_call(call: ToolCall) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.signature:
        made["interlock"] = {"seal": call.signature}
    return made


def _logprob(each: TokenLogprob) -> dict[str, Any]:
    tops = [{"token": token, "logprob": value, "bytes": list(token.encode())} for token, value in each.top]
    return {"token": each.token, "logprob": each.logprob, "bytes": list(each.token.encode()), "top_logprobs": tops}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_total,
        "completion_tokens": usage.output_total,
        "total_tokens": usage.input_total + usage.output_total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
            "audio_tokens": usage.input_audio,
            "image_tokens": usage.input_image,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.output_audio},
    }


# --- errors ---


def error_status(error: InterlockError) -> int:
    """The HTTP status; a vendor's own refusal of the request keeps the vendor's status."""
    return error.upstream_status if isinstance(error, UpstreamRejected) else error.status


def error_body(error: InterlockError) -> bytes:
    """The error in the vendor's shape, `{"error": {"message", "type", "param", "code"}}`."""
    status = error_status(error)
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    param: str = getattr(error, "param", "")
    body = {"message": str(error), "type": kind, "param": param or None, "code": error.code}
    return msgspec.json.encode({"error": body})


def error_headers(error: InterlockError, request_id: str) -> bytes:
    """`x-request-id`, and what the caller should do about trying again."""
    lines = [JSON, header(b"x-request-id", request_id)]
    wait_s = _retry_after_s(error)
    if wait_s is not None:
        lines.append(b"retry-after: %d\r\n" % max(1, round(wait_s + 0.5)))
    if _tried(error):
        lines.append(b"x-should-retry: false\r\n")
    if error.status == 401:
        lines.append(b"www-authenticate: Bearer\r\n")
    lines.append(openai_lines(error))
    return b"".join(lines)


def _tried(error: InterlockError) -> bool:
    """Whether the gateway has tried what there is to try. A client that tries again by itself, as the official ones do twice, would
    triple what an outage costs its vendor; where nothing was sent, it may come back after the wait that it is told.
    """
    if isinstance(error, (RateLimited, CircuitOpen)):
        return False
    return isinstance(error, UpstreamError) or error.code in _NO_RETRY


def _retry_after_s(error: InterlockError) -> float | None:
    errors = error.errors if isinstance(error, Exhausted) else (error,)
    waits = [wait for one in errors if (wait := getattr(one, "retry_after_s", None)) is not None]
    return min(waits, default=None)


# --- streams ---


class _Event(Struct):
    choices: list[msgspec.Raw] = []


class Facts(Struct, frozen=True):
    """How a call settled, as the end of its stream says."""

    call: str
    model: str
    """The deployment that answered."""
    cost_nano_usd: int
    simulated: bool = False
    degraded: str = ""
    cache: str = ""


class StreamWriter:
    """Turns one stream's chunks into events. Keeps what the events have in common, and what is still owed at the end."""

    def __init__(self, call: str, created_s: int, model: str, include_usage: bool) -> None:
        self._id = call
        self._created_s = created_s
        self._model = model
        self._include_usage = include_usage
        self._begun: set[int] = set()
        """Answers whose first piece has gone out."""
        self._usage_sent = False

    def piece(self, chunk: Chunk) -> bytes:
        """The events of one chunk; empty when it holds nothing that the caller asked for. The end mark is held back."""
        if not chunk.raw or chunk.raw_dialect != DIALECT:
            return self._event(chunk)
        raw = chunk.raw
        self._begun.add(0)  # in case that the rest of the answer comes from somebody else
        if b"[DONE]" in raw:
            raw = raw.replace(DONE, b"")
        if chunk.usage is not None:
            self._usage_sent = True
            if not self._include_usage:
                return _without_usage(raw)
        return raw

    def last(self, reply: ChatReply) -> bytes:
        """What ends the stream: usage if it was asked for and did not come by itself, how the call settled, the end mark."""
        settled = reply.settled
        facts = Facts(
            settled.call,
            settled.deployment,
            _real_nano_usd(settled),
            settled.simulated,
            settled.degraded,
            settled.cache,
        )
        return self.closing(facts, reply.response.usage)

    def closing(self, facts: Facts, spent: Usage) -> bytes:
        """As `last`."""
        # A comment, which every reader of server-sent events passes over; headers had to go out before this was known.
        comment = b": interlock %b\n\n" % msgspec.json.encode(facts)
        if self._include_usage and not self._usage_sent:
            usage: dict[str, Any] = {**self._envelope(), "choices": [], "usage": _usage(spent)}
            return b"data: %b\n\n" % msgspec.json.encode(usage) + comment + DONE
        return comment + DONE

    def error(self, error: InterlockError) -> bytes:
        """What ends a stream that broke: a typed error event and no end mark."""
        return b"data: %b\n\n" % error_body(error)

    def _envelope(self) -> dict[str, Any]:
        return {"id": self._id, "object": "chat.completion.chunk", "created": self._created_s, "model": self._model}

    def _event(self, chunk: Chunk) -> bytes:
        """The chunk's events, one thing at a time as the vendor sends them: accumulators count on that."""
        self._model = chunk.model or self._model
        self._id = chunk.id or self._id
        choices = list(self._choices(0, chunk))
        for other in chunk.others:
            choices.extend(self._choices(other.index, other))
        events = [{**self._envelope(), "choices": [choice]} for choice in choices]
        return b"".join([b"data: %b\n\n" % msgspec.json.encode(event) for event in events])

    def _choices(self, index: int, piece: Chunk | ChoiceDelta) -> Iterator[dict[str, Any]]:
        delta = _thought_delta(piece.thoughts) if piece.thoughts else {}
        if piece.text:
            delta["content"] = piece.text
        if piece.refusal:
            delta["refusal"] = piece.refusal
        if (delta or piece.tool_calls or piece.finish) and index not in self._begun:
            self._begun.add(index)
            yield _choice_delta(index, {"role": "assistant", "content": ""})
        if delta:
            logprobs = [_logprob(each) for each in piece.logprobs] if isinstance(piece, Chunk) else []
            yield _choice_delta(index, delta, logprobs=logprobs)
        for call in piece.tool_calls:
            yield _choice_delta(index, {"tool_calls": [_tool_delta(call)]})
        if piece.finish is not None:
            yield _choice_delta(index, {}, _finish(piece.finish))


def _choice_delta(
    index: int, delta: dict[str, Any], finish: str | None = None, *, logprobs: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    tokens = {"content": logprobs, "refusal": None} if logprobs else None
    return {"index": index, "delta": delta, "logprobs": tokens, "finish_reason": finish}


def _tool_delta(piece: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": piece.arguments}
    delta: dict[str, Any] = {"index": piece.index, "function": function}
    if piece.name:
        function["name"] = piece.name
    if piece.id:
        delta |= {"id": piece.id, "type": "function"}
    if piece.signature:
        delta["interlock"] = {"seal": piece.signature}
    return delta


def _thought_delta(thoughts: tuple[ThoughtDelta, ...]) -> dict[str, Any]:
    delta: dict[str, Any] = {}
    if text := "".join([thought.text for thought in thoughts]):
        delta["reasoning_content"] = text
    if any(thought.signature or thought.data for thought in thoughts):
        delta["interlock"] = {"thoughts": thoughts}
    return delta


def _without_usage(raw: bytes) -> bytes:
    """`raw` without the event that only carries usage: the gateway asked for it, the caller did not."""
    kept: list[bytes] = []
    for event in raw.replace(b"\r\n", b"\n").split(b"\n\n"):
        data = event.removeprefix(b"data:").strip()
        if not data:
            continue
        try:
            only_usage = not msgspec.json.decode(data, type=_Event).choices
        except UNREADABLE:
            only_usage = False
        if not only_usage:
            kept.append(event + b"\n\n")
    return b"".join(kept)
