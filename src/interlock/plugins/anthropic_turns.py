"""A conversation in Anthropic's turns and content blocks, out of `core.chat`.

Above: anthropic_ask, anthropic_wire. Below: `core`, `plugins.wire`, `plugins.seals`, msgspec.
Source: the API reference and the pages on tool use, thinking, vision and documents (platform.claude.com/docs), November 2026.
"""

from __future__ import annotations

import base64
import re
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Raw

from interlock.core.chat import ChatRequest, Message, Part, Thought, ToolCall
from interlock.core.errors import InvalidRequest
from interlock.core.unreadable import UNREADABLE

from . import wire
from .seals import Seals

DIALECT = "anthropic"
Thoughts = Seals[list[dict[str, str]]]
"""Thinking blocks by the first tool call that followed them: the vendor wants them back unchanged with the calls they led to."""

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_json = msgspec.json.Encoder()


def turns(request: ChatRequest, thoughts: Thoughts) -> tuple[list[dict[str, Any]], list[str]]:
    """(user and assistant turns, instructions that came after the first of them).

    Neighbours of one role become one, as answers of parallel tools have to be. Later instructions have no place of their own with most
    models of this vendor, so that they join the system prompt.
    """
    made: list[dict[str, Any]] = []
    hoisted: list[str] = []
    for message in request.messages:
        if message.role in ("system", "developer"):
            if made and message.text.strip():
                hoisted.append(message.text)
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = [*_thoughts(message, request.tenant, thoughts), *_blocks(message, request)]
        if made and made[-1]["role"] == role:
            made[-1]["content"].extend(blocks)
        elif blocks:
            made.append({"role": role, "content": blocks})
    if not made:
        made = _only_instructions(request)
    elif made[0]["role"] == "assistant":
        made.insert(0, {"role": "user", "content": [{"type": "text", "text": wire.SILENCE}]})
    return made, hoisted


def system_blocks(request: ChatRequest) -> list[dict[str, Any]]:
    """The instructions before the first turn, as text blocks with the caller's cache marks."""
    blocks: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role not in ("system", "developer"):
            break
        if isinstance(message.content, str):
            blocks += [{"type": "text", "text": message.content}] if message.content.strip() else []
        else:
            blocks += [_part(each, request) for each in message.content if each.text.strip()]
    return blocks


def _only_instructions(request: ChatRequest) -> list[dict[str, Any]]:
    """The vendor answers a user's turn; where there are nothing but instructions, they are asked as one."""
    text = "\n\n".join(each.text for each in request.messages if each.text.strip())
    if not text:
        raise InvalidRequest("every message is empty", param="messages", hint="Say something.")
    return [{"role": "user", "content": [{"type": "text", "text": text}]}]


def in_a_tool_loop_without_thoughts(made: list[dict[str, Any]]) -> bool:
    """Whether a tool's answer is the latest, to a call that was made without this vendor's thoughts: it refuses to think on from there."""
    if len(made) < 2 or made[-1]["content"][0]["type"] != "tool_result":
        return False
    before = made[-2]["content"]
    return bool(before) and before[0]["type"] not in ("thinking", "redacted_thinking")


def thinking_block(thought: Thought) -> dict[str, str]:
    """A thought of this vendor as it gave it."""
    if thought.data:
        return {"type": "redacted_thinking", "data": thought.data}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}


def cache_control(lifetime: str) -> dict[str, str]:
    """A mark for the vendor's prompt cache; its default lifetime is not named, as callers write it."""
    return {"type": "ephemeral"} if lifetime == "5m" else {"type": "ephemeral", "ttl": lifetime}


def _thoughts(message: Message, tenant: str, thoughts: Thoughts) -> list[dict[str, str]]:
    """Thoughts with this vendor's seal: those that came along, else those remembered. Other vendors' it would refuse."""
    ours = [thinking_block(each) for each in message.thoughts if each.origin == DIALECT]
    if ours or not message.tool_calls:
        return ours
    return thoughts.of(tenant, message.tool_calls[0].id) or []


def _blocks(message: Message, request: ChatRequest) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [_result(message, request)]
    content = message.content or message.refusal
    if isinstance(content, str):
        blocks: list[dict[str, Any]] = [{"type": "text", "text": content}] if content.strip() else []
    else:
        blocks = [_part(each, request) for each in content if each.type != "text" or each.text.strip()]
    for call in message.tool_calls:
        blocks.append({"type": "tool_use", "id": known_id(call.id), "name": call.name, "input": _arguments(call)})
    return blocks


def _result(message: Message, request: ChatRequest) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "tool_result", "tool_use_id": known_id(message.tool_call_id)}
    if isinstance(message.content, str):
        made["content"] = message.content
    else:
        shown = [each for each in message.content if each.type != "text" or each.text.strip()]
        made["content"] = [_part(each, request) for each in shown]
        marks = [each.pop("cache_control") for each in made["content"] if "cache_control" in each]
        if marks:
            made["cache_control"] = marks[-1]
    if message.failed:
        made["is_error"] = True
    return made


def known_id(call_id: str) -> str:
    """The id of a tool call in the letters this vendor allows; the same for the call and for its answer."""
    if _ID.fullmatch(call_id):
        return call_id
    return f"toolu_{blake2b(call_id.encode(), digest_size=12).hexdigest()}"


def _arguments(call: ToolCall) -> Raw:
    """The arguments as the model wrote them; an object is required here, so anything else is wrapped in one."""
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except UNREADABLE:
        value = None
    if isinstance(value, dict):
        return Raw(call.arguments.encode() or b"{}")
    return Raw(_json.encode({"arguments": call.arguments}))


def _part(part: Part, request: ChatRequest) -> dict[str, Any]:
    made = _unmarked(part, request)
    if part.cache:
        made["cache_control"] = cache_control(part.cache)
    return made


def _unmarked(part: Part, request: ChatRequest) -> dict[str, Any]:
    if part.type == "text":
        return {"type": "text", "text": part.text}
    if part.type == "audio":
        raise InvalidRequest(f"audio cannot be carried to the {DIALECT} dialect.", param="messages")
    kind = "image" if part.type == "image" else "document"
    made: dict[str, Any] = {"type": kind, "source": _source(part, kind, request)}
    if kind == "document" and part.name:
        made["title"] = part.name
    return made


def _source(part: Part, kind: str, request: ChatRequest) -> dict[str, Any]:
    if part.file_id:
        if request.raw_dialect not in ("", DIALECT):
            raise InvalidRequest(
                f"the file {part.file_id!r} lies with another vendor.", param="messages", hint="Send its content."
            )
        return {"type": "file", "file_id": part.file_id}
    if part.text:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    inside = wire.media(part)
    if inside is None:
        return {"type": "url", "url": part.url}
    media_type = inside[0] or ("application/pdf" if kind == "document" else "image/png")
    if kind == "document" and media_type.startswith("text/"):
        text = base64.b64decode(inside[1]).decode("utf-8", "replace")
        return {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "base64", "media_type": media_type, "data": inside[1]}
