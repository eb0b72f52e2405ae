"""Gemini's contents as the vendor writes them: whole replies, event streams, errors.

Source: the API reference and the pages on function calling and thought signatures (ai.google.dev), November 2026.

Above: vendors. Below: msgspec, upstream (the vocabulary of scripts).
"""

from __future__ import annotations

from typing import Any

import msgspec

from .gemini_rules import gemini_fault as fault
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
    methods = ("generateContent", "streamGenerateContent?alt=sse", "countTokens")
    return asked.path.startswith(f"{PREFIX}/models/") and method in methods


def authorised(asked: Asked, key: str) -> bool:
    return asked.headers.get("x-goog-api-key") == key


def streamed(asked: Asked) -> bool:
    return "streamGenerateContent" in asked.path


def broken() -> bytes:
    """The event of a stream that fails in its middle."""
    error = {"code": 503, "message": OVERLOADED, "status": "UNAVAILABLE"}
    return b"data: " + msgspec.json.encode({"error": error}) + b"\r\n\r\n"


def error(answer: Answer) -> bytes:
    details: list[dict[str, Any]] = []
    if answer.error_code:
        details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": answer.error_code})
    status = _STATUSES.get(answer.status, "UNAVAILABLE")
    return msgspec.json.encode(
        {"error": {"code": answer.status, "message": answer.text, "status": status, "details": details}}
    )


def whole(answer: Answer, asked: Asked) -> bytes:
    if asked.path.endswith(":countTokens"):
        inside: dict[str, Any] = asked.body["generateContentRequest"]
        sent = len(msgspec.json.encode(inside["contents"])) // 4
        return msgspec.json.encode({"totalTokens": sent if answer.input_tokens is None else answer.input_tokens})
    if answer.refusal:
        return msgspec.json.encode(_blocked(answer, asked))
    said = _calls(answer) or ([{"text": answer.text}] if answer.text else [])
    parts = [*_thoughts(answer), *said]
    return msgspec.json.encode(_reply(answer, asked, parts, _FINISHES[answer.finish or "stop"]))


def _blocked(answer: Answer, asked: Asked) -> dict[str, Any]:
    usage = {**_usage(answer, asked), "candidatesTokenCount": 0}
    return {"promptFeedback": {"blockReason": answer.refusal}, "usageMetadata": usage}


def _thoughts(answer: Answer) -> list[dict[str, Any]]:
    return [{"text": answer.thought, "thought": True}] if answer.reasoning_tokens and answer.thought else []


def events(answer: Answer, asked: Asked) -> list[bytes]:
    if answer.refusal:
        return [b"data: " + msgspec.json.encode(_blocked(answer, asked)) + b"\r\n\r\n"]
    calls = _calls(answer)
    pieces: list[list[dict[str, Any]]] = [[each] for each in calls or [{"text": each} for each in _pieces(answer)]]
    if thoughts := _thoughts(answer):
        pieces.insert(0, thoughts)
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
            part["thoughtSignature"] = answer.signature
        calls.append(part)
    return calls


def _reply(answer: Answer, asked: Asked, parts: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
    config: dict[str, Any] = asked.body.get("generationConfig", {})
    candidates: list[dict[str, Any]] = []
    for index in range(config.get("candidateCount", 1)):
        said = [*parts, {"text": f" ({index})"}] if index and finish and not answer.tool_calls else parts
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": said}, "index": index}
        if finish:
            candidate["finishReason"] = finish
        if answer.logprob is not None and config.get("responseLogprobs"):
            chosen = [{"token": each, "logProbability": answer.logprob} for each in _pieces(answer)]
            candidate |= {"avgLogprobs": answer.logprob, "logprobsResult": {"chosenCandidates": chosen}}
        candidates.append(candidate)
    return {
        "candidates": candidates,
        "usageMetadata": _usage(answer, asked),
        "modelVersion": answer.model or asked.path.rsplit("/", 1)[-1].partition(":")[0],
        "responseId": f"resp{asked.number}",
    }


def _usage(answer: Answer, asked: Asked) -> dict[str, Any]:
    sent = len(msgspec.json.encode(asked.body.get("contents", []))) // 4
    prompt = sent if answer.input_tokens is None else answer.input_tokens
    output = len(_pieces(answer)) if answer.output_tokens is None else answer.output_tokens
    kinds = {"IMAGE": answer.image_tokens, "AUDIO": answer.audio_tokens}
    text = {"modality": "TEXT", "tokenCount": prompt - sum(kinds.values())}
    usage: dict[str, Any] = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": output - answer.reasoning_tokens,
        "totalTokenCount": prompt + output,
        "promptTokensDetails": [
            text,
            *({"modality": kind, "tokenCount": count} for kind, count in kinds.items() if count),
        ],
    }
    if answer.spoken_tokens:
        usage["candidatesTokensDetails"] = [{"modality": "AUDIO", "tokenCount": answer.spoken_tokens}]
    if answer.reasoning_tokens:
        usage["thoughtsTokenCount"] = answer.reasoning_tokens
    if answer.cached_tokens:
        usage["cachedContentTokenCount"] = answer.cached_tokens
    return usage


def _pieces(answer: Answer) -> list[str]:
    words = answer.text.split(" ")
    return [word if place == 0 else f" {word}" for place, word in enumerate(words)]
