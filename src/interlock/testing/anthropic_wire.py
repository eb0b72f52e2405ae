"""Anthropic's messages as the vendor writes them: whole replies, event streams, errors.

Source: the API reference and the pages on streaming and errors (platform.claude.com/docs), November 2026.

Above: vendors. Below: msgspec, upstream (the vocabulary of scripts).
"""

from __future__ import annotations

from typing import Any

import msgspec

from .anthropic_rules import anthropic_fault as fault
from .upstream import OVERLOADED, Answer, Asked

__all__ = [
    "PREFIX",
    "WRONG_KEY_STATUS",
    "authorised",
    "broken",
    "error",
    "events",
    "fault",
    "known",
    "streamed",
    "whole",
]

PREFIX = "/v1"
WRONG_KEY_STATUS = 401
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_STOPS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


def known(asked: Asked) -> bool:
    return asked.method == "POST" and asked.path in (f"{PREFIX}/messages", f"{PREFIX}/messages/count_tokens")


def authorised(asked: Asked, key: str) -> bool:
    return asked.headers.get("x-api-key") == key


def streamed(asked: Asked) -> bool:
    return bool(asked.body.get("stream"))


def broken() -> bytes:
    """The event of a stream that fails in its middle."""
    return _event("error", error={"type": "overloaded_error", "message": OVERLOADED})


def error(answer: Answer) -> bytes:
    kind = _TYPES.get(answer.status, "api_error")
    return msgspec.json.encode(
        {"type": "error", "error": {"type": kind, "message": answer.text}, "request_id": "req_011"}
    )


def whole(answer: Answer, asked: Asked) -> bytes:
    if asked.path.endswith("/count_tokens"):
        return msgspec.json.encode({"input_tokens": _usage(answer, asked)["input_tokens"]})
    content: list[dict[str, Any]] = []
    if answer.reasoning_tokens:
        content.append(_thinking(answer))
    if answer.text and not answer.tool_calls and not answer.refusal:
        content.append({"type": "text", "text": answer.text})
    content += [
        {
            "type": "tool_use",
            "id": f"toolu_{asked.number}_{place}",
            "name": name,
            "input": msgspec.json.decode(arguments),
        }
        for place, (name, arguments) in enumerate(answer.tool_calls)
    ]
    return msgspec.json.encode(
        {**_head(answer, asked), "content": content, **_stop(answer), "usage": _usage(answer, asked)}
    )


def _thinking(answer: Answer) -> dict[str, Any]:
    """Shown, or sealed where nothing of it is to be seen."""
    if not answer.thought:
        return {"type": "redacted_thinking", "data": answer.signature}
    return {"type": "thinking", "thinking": answer.thought, "signature": answer.signature}


def events(answer: Answer, asked: Asked) -> list[bytes]:
    began = {**_usage(answer, asked), "output_tokens": 1}
    made = [
        _event(
            "message_start",
            message={**_head(answer, asked), "content": [], "stop_reason": None, "stop_sequence": None, "usage": began},
        ),
        _event("ping"),
    ]
    index = 0
    if answer.reasoning_tokens:
        made += _thinking_events(answer)
        index = 1
    if answer.tool_calls:
        for place, (name, arguments) in enumerate(answer.tool_calls):
            made += _tool(index + place, f"toolu_{asked.number}_{place}", name, arguments)
    elif answer.text and not answer.refusal:
        made.append(_event("content_block_start", index=index, content_block={"type": "text", "text": ""}))
        made += [
            _event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
            for piece in _pieces(answer)
        ]
        made.append(_event("content_block_stop", index=index))
    output = {"output_tokens": _usage(answer, asked)["output_tokens"]}
    made.append(_event("message_delta", delta=_stop(answer), usage=output))
    made.append(_event("message_stop"))
    return made


def _thinking_events(answer: Answer) -> list[bytes]:
    if not answer.thought:
        block = _thinking(answer)
        return [_event("content_block_start", index=0, content_block=block), _event("content_block_stop", index=0)]
    empty = {"type": "thinking", "thinking": "", "signature": ""}
    deltas = [
        {"type": "thinking_delta", "thinking": answer.thought},
        {"type": "signature_delta", "signature": answer.signature},
    ]
    return [
        _event("content_block_start", index=0, content_block=empty),
        *(_event("content_block_delta", index=0, delta=delta) for delta in deltas),
        _event("content_block_stop", index=0),
    ]


def _tool(index: int, call_id: str, name: str, arguments: str) -> list[bytes]:
    block: dict[str, Any] = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    middle = len(arguments) // 2
    pieces = ("",) if arguments == "{}" else ("", arguments[:middle], arguments[middle:])
    return [
        _event("content_block_start", index=index, content_block=block),
        *(
            _event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": half})
            for half in pieces
        ),
        _event("content_block_stop", index=index),
    ]


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))


def _head(answer: Answer, asked: Asked) -> dict[str, Any]:
    return {
        "id": f"msg_{asked.number}",
        "type": "message",
        "role": "assistant",
        "model": answer.model or asked.model,
    }


def _stop(answer: Answer) -> dict[str, Any]:
    if answer.refusal:
        details = {"type": "refusal", "category": None, "explanation": answer.refusal}
        return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    if answer.stop_hit:
        return {"stop_reason": "stop_sequence", "stop_sequence": answer.stop_hit}
    return {"stop_reason": "tool_use" if answer.tool_calls else _STOPS[answer.finish or "stop"], "stop_sequence": None}


def _usage(answer: Answer, asked: Asked) -> dict[str, Any]:
    sent = len(msgspec.json.encode(asked.body.get("messages", []))) // 4
    return {
        "input_tokens": sent if answer.input_tokens is None else answer.input_tokens - answer.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached_tokens,
        "output_tokens": len(_pieces(answer)) if answer.output_tokens is None else answer.output_tokens,
        **({"output_tokens_details": {"thinking_tokens": answer.reasoning_tokens}} if answer.reasoning_tokens else {}),
    }


def _pieces(answer: Answer) -> list[str]:
    words = answer.text.split(" ")
    return [word if place == 0 else f" {word}" for place, word in enumerate(words)]
