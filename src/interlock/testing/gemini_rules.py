"""What Gemini's generateContent refuses, so that a request that only a lenient double takes does not pass for a good one.

Not every rule of the vendor: those that translations from other dialects tend to break. Source: the API reference and the pages on
function calling and thinking (ai.google.dev), November 2026.

Above: gemini_wire. Below: nothing.
"""

from __future__ import annotations

from typing import Any

FIELDS = frozenset(
    ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent")
)
CONFIG = frozenset(
    (
        *(
            "temperature",
            "topP",
            "topK",
            "maxOutputTokens",
            "stopSequences",
            "seed",
            "candidateCount",
            "thinkingConfig",
        ),
        *("responseLogprobs", "logprobs", "responseMimeType", "responseJsonSchema", "responseSchema"),
        *("presencePenalty", "frequencyPenalty", "responseModalities", "speechConfig", "mediaResolution"),
    )
)
DATA = ("text", "inlineData", "fileData", "functionCall", "functionResponse")


def gemini_fault(body: dict[str, Any]) -> str:
    """What the vendor would find at fault; empty for a good request."""
    body = body.get("generateContentRequest", body)
    if unknown := sorted(set(body) - FIELDS - {"model"}):
        return f"Invalid JSON payload received. Unknown name {unknown[0]!r}: Cannot find field."
    config: dict[str, Any] = body.get("generationConfig", {})
    if unknown := sorted(set(config) - CONFIG):
        return f"Invalid JSON payload received. Unknown name {unknown[0]!r} at 'generation_config': Cannot find field."
    if {"thinkingLevel", "thinkingBudget"} <= set(config.get("thinkingConfig", {})):
        return "You can only set one of thinking budget and thinking level."
    if not body.get("contents"):
        return "contents is not specified"
    asked = 0
    for at, content in enumerate(body["contents"]):
        fault, asked = _content_fault(content, asked)
        if fault:
            return f"contents[{at}]: {fault}"
    return ""


def _content_fault(content: dict[str, Any], asked: int) -> tuple[str, int]:
    """(fault, calls that wait for an answer after this turn)."""
    parts: list[dict[str, Any]] = content.get("parts") or []
    if not parts:
        return "must include at least one parts field", 0
    if content.get("role") not in ("user", "model"):
        return f"Please use a valid role: user, model. Not {content.get('role')!r}", 0
    for part in parts:
        if sum(name in part for name in DATA) != 1 or part.get("text") == "":
            return f"required oneof field 'data' must have one initialized field: {part!r}", 0
    answers = sum("functionResponse" in part for part in parts)
    if answers != asked:
        return "the number of function response parts is not equal to the number of function call parts", 0
    return "", sum("functionCall" in part for part in parts)
