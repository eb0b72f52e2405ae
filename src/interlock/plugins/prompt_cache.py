"""The vendors' own prompt caches: where a request that has no marks of its own is marked, and what it is sent under.

Above: anthropic_ask, openai_ask. Below: the standard library. What a caller marked itself is left as it is, every mark of it.
Source: "Prompt caching" in platform.claude.com/docs (order tools, system, messages; at most four marks; a look back over 20 blocks; thinking and
empty text take none) and in developers.openai.com/api/docs (prompt_cache_key), November 2026.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from interlock.core.chat import ChatRequest

MARKED = ("text", "image", "document", "tool_use", "tool_result")
"""Blocks that take a mark."""


def marked_by_caller(request: ChatRequest) -> bool:
    """Whether the caller placed marks of its own, anywhere."""
    return any(each.cache for each in request.tools) or any(
        part.cache for message in request.messages if not isinstance(message.content, str) for part in message.content
    )


def mark(fields: dict[str, Any], control: dict[str, str]) -> None:
    """Marks the stable prefix of a request in Anthropic's form: the last tool, the end of the system prompt, the turns that come again.

    In a tool loop the newest turn comes again with the next step; else what stands before the newest question does. The turn before
    it is marked too, so that one that was lost is not paid for from the beginning. A lone question is marked nowhere.
    """
    tools: list[dict[str, Any]] = fields.get("tools", [])
    if tools:
        tools[-1]["cache_control"] = control
    system: Any = fields.get("system")
    if system:
        blocks: list[dict[str, Any]] = [{"type": "text", "text": system}] if isinstance(system, str) else system
        blocks[-1]["cache_control"] = control
        fields["system"] = blocks
    turns: list[dict[str, Any]] = fields["messages"]
    stable = turns if _in_tool_loop(turns) else turns[:-1]
    for turn in stable[-1:] + stable[-3:-2]:
        _mark_turn(turn, control)


def key_of(request: ChatRequest) -> str:
    """A name for requests that begin alike: one per tenant, system prompt and set of tools; tells nobody what they are."""
    told = blake2b(digest_size=12)
    for part in (request.tenant, *(each.name for each in request.tools)):
        told.update(part.encode() + b"\0")
    for message in request.messages:
        if message.role not in ("system", "developer"):
            break
        told.update(message.text.encode())
    return told.hexdigest()


def _in_tool_loop(turns: list[dict[str, Any]]) -> bool:
    content: Any = turns[-1]["content"] if turns else ""
    return not isinstance(content, str) and any(block["type"] == "tool_result" for block in content)


def _mark_turn(turn: dict[str, Any], control: dict[str, str]) -> None:
    content: Any = turn["content"]
    if isinstance(content, str):
        if content:
            turn["content"] = [{"type": "text", "text": content, "cache_control": control}]
        return
    for block in reversed(content):
        if block["type"] in MARKED and block.get("text") != "":
            block["cache_control"] = control
            return
