"""Anthropic's messages, reply side: `ChatReply` and errors → bytes.

What a vendor of the same dialect sent is handed on as it came. Source: the API reference for messages and the page on errors
(platform.claude.com/docs), 2026-11.

Above: anthropic, anthropic_stream. Below: msgspec, openai_write (what the faces share), `core`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from interlock.core.chat import ChatResponse, Finish, Thought, ToolCall
from interlock.core.errors import InterlockError, UpstreamRefused, UpstreamRejected
from interlock.core.money import Usage
from interlock.core.ports import ChatReply
from interlock.core.unreadable import UNREADABLE

from .anthropic_blocks import DIALECT, SEALED_ELSEWHERE
from .degraded import extended
from .openai_write import error_headers as _error_headers
from .openai_write import error_status, header, reply_headers
from .ratelimit import anthropic_lines

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
OVERLOADED = (503, 529)
"""Statuses of vendors that have no room; the second is known to nobody but this dialect's."""
_STOPS: dict[Finish, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "error": "end_turn",
}
_json = msgspec.json.Encoder()


def message_headers(reply: ChatReply) -> bytes:
    """As for the other faces, and the request's id under the name that this dialect's clients read."""
    return reply_headers(reply.settled) + header(b"request-id", reply.settled.call)


def whole(reply: ChatReply) -> bytes:
    """The body of a reply that is not streamed."""
    response = reply.response
    if response.raw and response.raw_dialect == DIALECT:
        return extended(response.raw, reply.settled)
    body = {
        **envelope(response.id or reply.settled.call, response.model),
        "content": _content(response),
        **stop_of(response),
        "usage": usage_of(response.usage),
    }
    return extended(_json.encode(body), reply.settled)


def envelope(identity: str, model: str) -> dict[str, Any]:
    """What every message has, whatever it says."""
    return {"id": identity, "type": "message", "role": "assistant", "model": model}


def stop_of(response: ChatResponse) -> dict[str, Any]:
    """Why the answer ended: `stop_reason`, the stop sequence, and what was said instead of an answer."""
    stop: dict[str, Any] = {"stop_reason": _STOPS[response.finish], "stop_sequence": None}
    if response.stop_hit:
        stop = {"stop_reason": "stop_sequence", "stop_sequence": response.stop_hit}
    if response.refusal or stop["stop_reason"] == "refusal":
        details = {"type": "refusal", "category": None, "explanation": response.refusal or None}
        stop = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    return stop


def _content(response: ChatResponse) -> list[dict[str, Any]]:
    blocks = [thinking_block(each) for each in response.thoughts]
    if text := response.text or ("" if response.finish == "content_filter" else response.refusal):
        blocks.append({"type": "text", "text": text})
    for call in response.tool_calls:
        if call.signature:
            blocks.append(seal_of_call(call.id, call.signature))
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call)})
    return blocks


def thinking_block(thought: Thought) -> dict[str, Any]:
    """A thought as a block; another vendor's seal says whose it is, so that it finds its way back."""
    sealed = thought.data or thought.signature
    if thought.origin != DIALECT:
        kind = "data" if thought.data else "seal"
        sealed = f"{SEALED_ELSEWHERE}{thought.origin}:{kind}:{thought.id}:{sealed}"
    if thought.data and not thought.text:
        return {"type": "redacted_thinking", "data": sealed}
    return {"type": "thinking", "thinking": thought.text, "signature": sealed}


def seal_of_call(call_id: str, signature: str) -> dict[str, Any]:
    """Another vendor's seal on a tool call, in the only kind of block that clients send back without looking into it."""
    return {"type": "redacted_thinking", "data": f"{SEALED_ELSEWHERE}:call:{call_id}:{signature}"}


def _input(call: ToolCall) -> Raw:
    """The arguments; this dialect takes an object and nothing else."""
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except UNREADABLE:
        value = None
    if isinstance(value, dict):
        return Raw(call.arguments.encode() or b"{}")
    return Raw(_json.encode({"arguments": call.arguments}))


def usage_of(usage: Usage) -> dict[str, Any]:
    """Usage as this dialect counts it: what the cache gave or took is not inside the input, thinking is inside the output."""
    made: dict[str, Any] = {
        "input_tokens": usage.input + usage.input_image + usage.input_audio,
        "cache_creation_input_tokens": usage.cache_write + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output_total,
        "service_tier": "standard",
    }
    if usage.reasoning:
        made["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return made


# --- errors ---


def status_of(error: InterlockError) -> int:
    """The HTTP status; a vendor's own refusal of the request keeps the vendor's, and so does its having no room."""
    if isinstance(error, UpstreamRefused) and error.upstream_status in OVERLOADED:
        return 503
    return error_status(error)


def error_body(error: InterlockError, request_id: str) -> bytes:
    """The error in the vendor's shape, `{"type": "error", "error": {"type", "message", "details"}, "request_id"}`."""
    status = status_of(error)
    kind = _TYPES.get(status) or ("invalid_request_error" if status < 500 else "api_error")
    if isinstance(error, UpstreamRejected) and status not in _TYPES:
        kind = "invalid_request_error"
    details: dict[str, Any] = {"error_code": error.code}
    if param := getattr(error, "param", ""):
        details["param"] = param
    return _json.encode(
        {
            "type": "error",
            "error": {"type": kind, "message": str(error), "details": details},
            "request_id": request_id,
        }
    )


def error_headers(error: InterlockError, request_id: str) -> bytes:
    """As for the other faces, and the request's id under the name that this dialect's clients read."""
    return _error_headers(error, request_id) + header(b"request-id", request_id) + anthropic_lines(error)
