"""What OpenAI's chat completions refuse, so that a request that only a lenient double takes does not pass for a good one.

Not every rule of the vendor: those that translations from other dialects tend to break. Source: the API reference for chat completions
(platform.openai.com/docs/api-reference/chat/create), November 2026.

Above: upstream. Below: nothing.
"""

from __future__ import annotations

from typing import Any

FIELDS = frozenset(
    (
        *("model", "messages", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs"),
        *("max_completion_tokens", "max_tokens", "metadata", "modalities", "moderation", "n", "parallel_tool_calls"),
        *("prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        *(
            "reasoning_effort",
            "response_format",
            "safety_identifier",
            "seed",
            "service_tier",
            "stop",
            "store",
            "stream",
        ),
        *("stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity"),
        "web_search_options",
    )
)
MESSAGE_FIELDS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "audio", "tool_calls", "function_call"},
    "tool": {"role", "content", "tool_call_id"},
}
PARTS = {"text": "text", "image_url": "image_url", "input_audio": "input_audio", "file": "file", "refusal": "refusal"}
LONGEST_ID = 40
LONGEST_USER = 64


def openai_fault(body: dict[str, Any]) -> str:
    """What the vendor would find at fault; empty for a good request."""
    if unknown := sorted(set(body) - FIELDS):
        return f"Unrecognized request argument supplied: {', '.join(unknown)}"
    if not body.get("messages"):
        return "'messages' is empty"
    if len(body.get("user", "")) > LONGEST_USER:
        return "Invalid 'user': string too long."
    if "stream_options" in body and not body.get("stream"):
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    waiting: set[str] = set()
    for at, message in enumerate(body["messages"]):
        fault = _message_fault(message, waiting)
        if fault:
            return f"messages[{at}]: {fault}"
        waiting |= {call["id"] for call in message.get("tool_calls") or ()}
    if waiting:
        return f"An assistant message with 'tool_calls' must be followed by tool messages: {sorted(waiting)}"
    return _tools_fault(body)


def _message_fault(message: dict[str, Any], waiting: set[str]) -> str:
    role = message.get("role")
    if role not in MESSAGE_FIELDS:
        return f"unknown role {role!r}"
    if unknown := sorted(set(message) - MESSAGE_FIELDS[role]):
        return f"Additional properties are not allowed: {', '.join(unknown)}"
    if role == "tool":
        if message.get("tool_call_id") not in waiting:
            return "a tool message must follow a message with its tool call"
        waiting.discard(message["tool_call_id"])
    elif waiting:
        return f"tool calls without an answer: {sorted(waiting)}"
    for call in message.get("tool_calls") or ():
        if len(call["id"]) > LONGEST_ID:
            return f"string too long: the id {call['id']!r}"
    content = message.get("content")
    if content is None:
        return (
            "" if role == "assistant" and (message.get("tool_calls") or message.get("refusal")) else "content is null"
        )
    return "" if isinstance(content, str) else _parts_fault(content, role)


def _parts_fault(parts: list[dict[str, Any]], role: str) -> str:
    if not parts:
        return "content is an empty array"
    for part in parts:
        kind = part.get("type")
        if kind not in PARTS or PARTS[kind] not in part:
            return f"invalid content part {part!r}"
        if role != "user" and kind not in ("text", "refusal"):
            return f"a {role} message holds no {kind}"
        if kind == "input_audio" and part["input_audio"].get("format") not in ("wav", "mp3"):
            return f"invalid audio format {part['input_audio'].get('format')!r}"
        if kind == "image_url" and not str(part["image_url"].get("url", "")).startswith(("http", "data:image/")):
            return "invalid image address"
    return ""


def _tools_fault(body: dict[str, Any]) -> str:
    names = {tool["function"]["name"] for tool in body.get("tools") or () if tool.get("type") == "function"}
    choice = body.get("tool_choice")
    if choice is not None and not body.get("tools"):
        return "'tool_choice' is only allowed when 'tools' are specified."
    if isinstance(choice, dict) and choice.get("type") == "function" and choice["function"]["name"] not in names:  # pyright: ignore[reportUnknownMemberType]
        return "tool_choice names an unknown function"
    form = body.get("response_format")
    if form is not None and form.get("type") == "json_schema" and not form.get("json_schema", {}).get("name"):
        return "response_format.json_schema.name is missing"
    return ""
