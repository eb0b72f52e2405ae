"""What Anthropic's Messages refuse, so that a request that only a lenient double takes does not pass for a good one.

Not every rule of the vendor: those that translations from other dialects tend to break. Source: the API reference and the pages on
tool use and thinking (platform.claude.com/docs), November 2026.

Above: anthropic_wire. Below: nothing.
"""

from __future__ import annotations

import re
from typing import Any

FIELDS = frozenset(
    (
        *("model", "messages", "max_tokens", "system", "tools", "tool_choice", "thinking", "output_config", "metadata"),
        *("stop_sequences", "stream", "temperature", "top_p", "top_k", "service_tier", "cache_control", "container"),
        *("context_management", "diagnostics", "inference_geo", "mcp_servers", "speed", "output_format"),
    )
)
BLOCKS = {
    "text": {"text"},
    "image": {"source"},
    "document": {"source"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
    "tool_use": {"id", "name", "input"},
    "tool_result": {"tool_use_id"},
}
CHOICES = {"auto", "any", "tool", "none"}
SOURCES = {"base64", "url", "file", "text", "content"}
LEAST_BUDGET = 1_024
_ID = re.compile(r"[a-zA-Z0-9_-]+")


def anthropic_fault(body: dict[str, Any]) -> str:
    """What the vendor would find at fault; empty for a good request."""
    if unknown := sorted(set(body) - FIELDS):
        return f"{unknown[0]}: Extra inputs are not permitted"
    if not body.get("messages"):
        return "messages: at least one message is required"
    waiting: set[str] = set()
    for at, message in enumerate(body["messages"]):
        blocks = _blocks(message)
        fault = _turn_fault(message, blocks, waiting) if blocks else "content is empty"
        if fault:
            return f"messages.{at}: {fault}"
        waiting = {block["id"] for block in blocks if block["type"] == "tool_use"}
    if body["messages"][0]["role"] != "user":
        return "messages: first message must use the user role"
    return _thinking_fault(body) or _tools_fault(body)


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content or []


def _turn_fault(message: dict[str, Any], blocks: list[dict[str, Any]], waiting: set[str]) -> str:
    role = message.get("role")
    if role not in ("user", "assistant", "system"):
        return f"Input should be 'user' or 'assistant', not {role!r}"
    for block in blocks:
        kind = block.get("type", "")
        if kind not in BLOCKS or not BLOCKS[kind].issubset(block):
            return f"invalid block {block!r}"
        if fault := _block_fault(block, role, waiting):
            return fault
    answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
    if waiting - answered:
        return f"`tool_use` ids were found without `tool_result` blocks immediately after: {sorted(waiting)}"
    return ""


def _block_fault(block: dict[str, Any], role: str, waiting: set[str]) -> str:
    kind = block["type"]
    if kind == "text" and not block["text"].strip():
        return "text content blocks must contain non-whitespace text"
    if kind == "tool_use" and (
        role != "assistant" or not _ID.fullmatch(block["id"]) or not isinstance(block["input"], dict)
    ):
        return f"invalid tool_use {block!r}"
    if kind == "tool_result" and (role != "user" or block["tool_use_id"] not in waiting):
        return f"unexpected `tool_use_id` found in `tool_result` blocks: {block['tool_use_id']}"
    if kind in ("thinking", "redacted_thinking") and role != "assistant":
        return "thinking belongs into an assistant's turn"
    if kind == "thinking" and str(block["signature"]).startswith("interlock-seal:"):
        return "Invalid `signature` in `thinking` block"
    if kind == "redacted_thinking" and str(block["data"]).startswith("interlock-seal:"):
        return "Invalid `data` in `redacted_thinking` block"
    if kind in ("image", "document") and block["source"].get("type") not in SOURCES:
        return f"invalid source {block['source']!r}"
    return ""


def _thinking_fault(body: dict[str, Any]) -> str:
    thinking = body.get("thinking")
    if thinking is None or thinking.get("type") == "disabled":
        return ""
    choice: dict[str, Any] = body.get("tool_choice", {})
    if choice.get("type") in ("any", "tool"):
        return "Thinking may not be enabled when tool_choice forces tool use."
    if body.get("temperature") not in (None, 1) or "top_k" in body:
        return "`temperature` may only be set to 1 when thinking is enabled."
    budget = thinking.get("budget_tokens")
    if thinking.get("type") == "enabled" and not LEAST_BUDGET <= (budget or 0) < body.get("max_tokens", 0):
        return "`max_tokens` must be greater than `thinking.budget_tokens`, which must be at least 1024."
    return ""


def _tools_fault(body: dict[str, Any]) -> str:
    for at, tool in enumerate(body.get("tools") or ()):
        if tool.get("type", "custom") == "custom" and (tool.get("input_schema") or {}).get("type") != "object":
            return f"tools.{at}.input_schema.type: Input should be 'object'"
    choice = body.get("tool_choice")
    if choice is not None and not body.get("tools"):
        return "tool_choice: tools are missing"
    if choice is not None and choice.get("type") not in CHOICES:
        return f"tool_choice: {choice!r}"
    return ""
