"""Gemini's contents as the vendor writes them: whole replies, event streams, errors.

Source: the API reference and the pages on function calling and thought signatures (ai.google.dev), November 2026.

Above: vendors. Below: msgspec, upstream (the vocabulary of scripts).
"""

from __future__ import annotations

from typing import Any

import msgspec

from .upstream import Answer, Asked

PREFIX = "/v1beta"
WRONG_KEY_STATUS = 400
_STATUSES = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
}
_FINISHES = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "tool_calls": "STOP"}


def known(asked: Asked) -> bool:
    method = asked.path.partition(":")[2]
    return asked.path.startswith(f"{PREFIX}/models/") and method in ("generateContent", "streamGenerateContent?alt=sse")


def authorised(asked: Asked, key: str) -> bool:
    return asked.headers.get("x-goog-api-key") == key


def streamed(asked: Asked) -> bool:
    return "streamGenerateContent" in asked.path


def error(answer: Answer) -> bytes:
    details: list[dict[str, Any]] = []
    if answer.error_code:
        details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": answer.error_code})
    status = _STATUSES.get(answer.status, "UNAVAILABLE")
    return msgspec.json.encode(
        {"error": {"code": answer.status, "message": answer.text, "status": status, "details": details}}
    )


def whole(answer: Answer, asked: Asked) -> bytes:
    parts: list[dict[str, Any]] = _calls(answer) or [{"text": answer.text}]
    if answer.reasoning_tokens:
        parts.insert(0, {"text": "let me see", "thought": True})
    return msgspec.json.encode(_reply(answer, asked, parts, _FINISHES[answer.finish or "stop"]))


def events(answer: Answer, asked: Asked) -> list[bytes]:
    calls = _calls(answer)
    pieces: list[list[dict[str, Any]]] = [[each] for each in calls or [{"text": each} for each in _pieces(answer)]]
    if answer.reasoning_tokens:
        pieces.insert(0, [{"text": "let me see", "thought": True}])
    made: list[bytes] = []
    for number, parts in enumerate(pieces):
        last = number == len(pieces) - 1
        finish = _FINISHES[answer.finish or "stop"] if last else None
        made.append(b"data: " + msgspec.json.encode(_reply(answer, asked, parts, finish)) + b"\r\n\r\n")
    return made


def _calls(answer: Answer) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    for place, (name, arguments) in enumerate(answer.tool_calls):
        part: dict[str, Any] = {"functionCall": {"name": name, "args": msgspec.json.decode(arguments)}}
        if place == 0:
            part["thoughtSignature"] = "c2lnbmF0dXJl"
        calls.append(part)
    return calls


def _reply(answer: Answer, asked: Asked, parts: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(answer, asked),
        "modelVersion": answer.model or asked.path.rsplit("/", 1)[-1].partition(":")[0],
        "responseId": f"resp{asked.number}",
    }


def _usage(answer: Answer, asked: Asked) -> dict[str, Any]:
    sent = len(msgspec.json.encode(asked.body.get("contents", []))) // 4
    prompt = sent if answer.input_tokens is None else answer.input_tokens
    output = len(_pieces(answer)) if answer.output_tokens is None else answer.output_tokens
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": output - answer.reasoning_tokens,
        "totalTokenCount": prompt + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
    }
    if answer.reasoning_tokens:
        usage["thoughtsTokenCount"] = answer.reasoning_tokens
    if answer.cached_tokens:
        usage["cachedContentTokenCount"] = answer.cached_tokens
    return usage


def _pieces(answer: Answer) -> list[str]:
    words = answer.text.split(" ")
    return [word if place == 0 else f" {word}" for place, word in enumerate(words)]
