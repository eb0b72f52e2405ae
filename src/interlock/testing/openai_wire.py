"""OpenAI's chat completions as a vendor writes them: whole replies, event streams, errors.

Source: the API reference for chat completions and their streaming events (platform.openai.com/docs/api-reference/chat), 2026-11.

Above: upstream. Below: msgspec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from .upstream import Answer

_ERROR_TYPES = {400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error", 429: "tokens"}


class Bill(Struct, frozen=True):
    """What the vendor charges for one answer when it is delivered in full."""

    input_tokens: int
    output_tokens: int


def openai_error(answer: Answer) -> bytes:
    """The body of an error reply."""
    kind = _ERROR_TYPES.get(answer.status, "server_error")
    error = {"message": answer.text, "type": kind, "param": None, "code": answer.error_code or None}
    return msgspec.json.encode({"error": error})


def openai_whole(answer: Answer, body: dict[str, Any], number: int) -> tuple[bytes, Bill]:
    """The body of a whole reply, and its bill."""
    pieces = _pieces(answer)
    bill = _bill(answer, body, len(pieces))
    choices: list[dict[str, Any]] = [
        {
            "index": index,
            "message": _message(answer, number, index),
            "logprobs": _logprobs(answer, body, pieces),
            "finish_reason": _finish(answer),
            **({"stop_reason": answer.stop_hit} if answer.stop_hit else {}),
        }
        for index in range(body.get("n") or 1)
    ]
    whole = {**_envelope(answer, body, number, "chat.completion"), "choices": choices, "usage": _usage(answer, bill)}
    return msgspec.json.encode(whole), bill


def _message(answer: Answer, number: int, index: int) -> dict[str, Any]:
    """What one choice says; every further one says which it is."""
    text = answer.text if not index else f"{answer.text} ({index})"
    message: dict[str, Any] = {"role": "assistant", "content": None if answer.tool_calls else text, "refusal": None}
    if answer.refusal:
        message |= {"content": None, "refusal": answer.refusal}
    if answer.reasoning_tokens and answer.thought:
        message["reasoning_content"] = answer.thought
    if answer.tool_calls:
        message["tool_calls"] = [
            {"id": f"call_{number}_{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for at, (name, arguments) in enumerate(answer.tool_calls)
        ]
    return message


def openai_events(answer: Answer, body: dict[str, Any], number: int) -> tuple[list[bytes], Bill]:
    """The events of a stream, each as its own bytes, and the bill of the whole of it."""
    pieces = _pieces(answer)
    bill = _bill(answer, body, len(pieces))
    options: dict[str, Any] = body.get("stream_options") or {}
    wants_usage = bool(options.get("include_usage"))
    envelope = _envelope(answer, body, number, "chat.completion.chunk")

    def event(delta: dict[str, Any], finish: str | None = None, logprobs: Any = None, index: int = 0) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        usage = {"usage": None} if wants_usage else {}
        return b"data: " + msgspec.json.encode({**envelope, "choices": [choice], **usage}) + b"\n\n"

    events: list[bytes] = []
    for index in range(body.get("n") or 1):
        events.append(event({"role": "assistant", "content": "" if not answer.tool_calls else None}, index=index))
        if answer.reasoning_tokens and answer.thought:
            events.append(event({"reasoning_content": answer.thought}, index=index))
        if answer.tool_calls:
            events += [event({"tool_calls": [delta]}, index=index) for delta in _tool_deltas(answer, number)]
        elif answer.refusal:
            events.append(event({"refusal": answer.refusal}, index=index))
        else:
            said = [*pieces, f" ({index})"] if index else pieces
            events += [event({"content": each}, None, _logprobs(answer, body, [each]), index) for each in said]
        events.append(event({}, _finish(answer), index=index))
    if wants_usage:
        usage: dict[str, Any] = {**envelope, "choices": [], "usage": _usage(answer, bill)}
        events.append(b"data: " + msgspec.json.encode(usage) + b"\n\n")
    events.append(b"data: [DONE]\n\n")
    return events, bill


def _tool_deltas(answer: Answer, number: int) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = []
    for at, (name, arguments) in enumerate(answer.tool_calls):
        function = {"name": name, "arguments": ""}
        deltas.append({"index": at, "id": f"call_{number}_{at}", "type": "function", "function": function})
        middle = len(arguments) // 2
        deltas += [{"index": at, "function": {"arguments": half}} for half in (arguments[:middle], arguments[middle:])]
    return deltas


def _pieces(answer: Answer) -> list[str]:
    if answer.pieces is not None:
        size = max(1, -(-len(answer.text) // max(1, answer.pieces)))
        return [answer.text[at : at + size] for at in range(0, len(answer.text), size)]
    words = answer.text.split(" ")
    return [word if at == 0 else f" {word}" for at, word in enumerate(words)]


def _bill(answer: Answer, body: dict[str, Any], pieces: int) -> Bill:
    asked = len(msgspec.json.encode(body.get("messages", []))) // 4
    return Bill(
        input_tokens=asked if answer.input_tokens is None else answer.input_tokens,
        output_tokens=pieces + answer.reasoning_tokens if answer.output_tokens is None else answer.output_tokens,
    )


def _usage(answer: Answer, bill: Bill) -> dict[str, Any]:
    return {
        "prompt_tokens": bill.input_tokens,
        "completion_tokens": bill.output_tokens,
        "total_tokens": bill.input_tokens + bill.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": answer.cached_tokens,
            "audio_tokens": answer.audio_tokens,
            "image_tokens": answer.image_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning_tokens,
            "audio_tokens": answer.spoken_tokens,
        },
    }


def _logprobs(answer: Answer, body: dict[str, Any], pieces: list[str]) -> dict[str, Any] | None:
    if answer.logprob is None or not body.get("logprobs"):
        return None
    tokens: list[dict[str, Any]] = [
        {"token": piece, "logprob": answer.logprob, "bytes": None, "top_logprobs": []} for piece in pieces
    ]
    return {"content": tokens, "refusal": None}


def _finish(answer: Answer) -> str:
    return answer.finish or ("tool_calls" if answer.tool_calls else "stop")


def _envelope(answer: Answer, body: dict[str, Any], number: int, kind: str) -> dict[str, Any]:
    model = answer.model or str(body.get("model", ""))
    return {"id": f"chatcmpl-{number}", "object": kind, "created": 1_790_000_000 + number, "model": model}
