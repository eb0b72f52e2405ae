"""Items of OpenAI's Responses ↔ messages: what a conversation is made of in that dialect.

An assistant's turn is several items there (reasoning, a message, function calls) and one message here. A vendor's seal on a thought
travels inside `encrypted_content`, so that a client that keeps its own history brings it back to the vendor that can read it.
Source: the API reference for input items (platform.openai.com/docs/api-reference/responses/input-items), 2026-11.

Above: responses_read, responses_write. Below: msgspec, `core.chat`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from interlock.core.chat import Message, Part, Thought, ToolCall
from interlock.core.errors import InvalidRequest
from interlock.core.unreadable import UNREADABLE

VENDOR = "openai_responses"
"""Origin of thoughts whose seal is this dialect's own."""
_MARK = "il1."
"""Begins an `encrypted_content` that wraps another vendor's seal."""


class _Part(Struct, frozen=True):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: dict[str, str] | None = None


class _Typed(Struct, frozen=True):
    type: str = "message"


class _Item(Struct, frozen=True):
    role: str = ""
    content: str | list[_Part] | None = None
    id: str | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = "{}"
    output: str | list[_Part] | None = None
    summary: list[_Part] = []
    encrypted_content: str | None = None


_typed = msgspec.json.Decoder(_Typed)
_item = msgspec.json.Decoder(_Item)
_KNOWN = frozenset(("message", "function_call", "function_call_output", "reasoning"))
_ROLES = frozenset(("user", "assistant", "system", "developer"))


class _Turn:
    """An assistant's turn whose items are still coming."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refusal = ""
        self.calls: list[ToolCall] = []
        self.thoughts: list[Thought] = []

    def __bool__(self) -> bool:
        return bool(self.texts or self.refusal or self.calls or self.thoughts)

    def message(self) -> Message:
        return Message(
            "assistant",
            "\n".join(self.texts),
            tool_calls=tuple(self.calls),
            thoughts=tuple(self.thoughts),
            refusal=self.refusal,
        )


def messages_of(items: Sequence[bytes]) -> tuple[tuple[Message, ...], dict[str, Any]]:
    """(messages, items that only this dialect can carry, by path).

    Raises:
        InvalidRequest: an item lacks something or has it in the wrong form; `.param` names it.
    """
    messages: list[Message] = []
    unknown: dict[str, Any] = {}
    turn = _Turn()
    for at, raw in enumerate(items):
        where = f"input[{at}]"
        kind, item = _read(raw, where)
        if item is None:
            unknown[f"{where}.type"] = kind
        elif not _goes_on(turn, kind, item, where):
            if turn:
                messages.append(turn.message())
                turn = _Turn()
            messages.append(_message(kind, item, where))
    if turn:
        messages.append(turn.message())
    return tuple(messages), unknown


def _read(raw: bytes, where: str) -> tuple[str, _Item | None]:
    try:
        kind = _typed.decode(raw).type
        return kind, _item.decode(raw) if kind in _KNOWN else None
    except UNREADABLE as fault:
        message, _, path = str(fault).partition(" - at `$")
        param = where + path.rstrip("`")
        raise InvalidRequest(f"`{param}`: {message}", param=param) from None


def _goes_on(turn: _Turn, kind: str, item: _Item, where: str) -> bool:
    """Takes an item that belongs to the assistant's turn; False for any other."""
    if kind == "function_call":
        if not item.call_id or not item.name:
            raise InvalidRequest(f"`{where}` lacks its call_id or name", param=where)
        turn.calls.append(ToolCall(item.call_id, item.name, item.arguments or "{}"))
    elif kind == "reasoning":
        turn.thoughts.append(thought_of(item.summary, item.content, item.encrypted_content, item.id))
    elif kind == "message" and item.role == "assistant":
        parts = [_Part("output_text", item.content)] if isinstance(item.content, str) else item.content or []
        for part in parts:
            if part.type == "refusal":
                turn.refusal += part.refusal
            elif part.text:
                turn.texts.append(part.text)
    else:
        return False
    return True


def _message(kind: str, item: _Item, where: str) -> Message:
    if kind == "function_call_output":
        if not item.call_id:
            raise InvalidRequest(f"`{where}` lacks its call_id", param=where)
        return Message("tool", _content(item.output, where), tool_call_id=item.call_id)
    if item.role not in _ROLES:
        raise InvalidRequest(f"`{where}.role` is {item.role!r}", param=f"{where}.role", hint="user, system, developer.")
    role: Any = item.role
    return Message(role, _content(item.content, where))


def _content(content: str | list[_Part] | None, where: str) -> str | tuple[Part, ...]:
    if content is None or isinstance(content, str):
        return content or ""
    return tuple([_part(part, f"{where}.content[{at}]") for at, part in enumerate(content)])


def _part(part: _Part, where: str) -> Part:
    match part.type:
        case "input_text" | "output_text" | "text":
            return Part("text", text=part.text)
        case "refusal":
            return Part("text", text=part.refusal)
        case "input_image" if part.image_url or part.file_id:
            return Part("image", url=part.image_url or "", file_id=part.file_id or "", detail=part.detail or "")
        case "input_file" if part.file_data or part.file_url or part.file_id:
            data, url = part.file_data or "", part.file_url or ""
            if data.startswith("data:"):
                data, url = "", data
            return Part("file", url=url, data=data, name=part.filename or "", file_id=part.file_id or "")
        case "input_audio" if part.input_audio:
            form = part.input_audio.get("format", "")
            return Part("audio", data=part.input_audio.get("data", ""), media_type=f"audio/{form}" if form else "")
        case _:
            raise InvalidRequest(
                f"`{where}` of type {part.type!r} is unknown or lacks its content",
                param=where,
                hint="Known: input_text, input_image, input_file, input_audio, output_text, refusal.",
            )


# --- Reasoning ---


def thought_of(
    summary: list[_Part], content: str | list[_Part] | None, sealed: str | None, item: str | None
) -> Thought:
    """The thought of a reasoning item; a seal that was wrapped here comes out as its vendor gave it."""
    shown = content if isinstance(content, list) and content else summary
    text = "\n\n".join(part.text for part in shown)
    if sealed is None:
        return Thought(text, id=item or "")
    if not sealed.startswith(_MARK):
        return Thought(text, data=sealed, origin=VENDOR, id=item or "")
    try:
        text, signature, data, origin = msgspec.msgpack.decode(
            base64.urlsafe_b64decode(sealed.removeprefix(_MARK)), type=tuple[str, str, str, str]
        )
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        raise InvalidRequest(
            "a reasoning item's `encrypted_content` is damaged", param="input", hint="Send it back unchanged."
        ) from None
    return Thought(text, signature, data, origin, item or "")


def sealed_of(thought: Thought) -> str | None:
    """The `encrypted_content` of a thought: the vendor's own seal, or another vendor's wrapped; `None` where there is none."""
    if thought.origin == VENDOR:
        return thought.data or None
    if not thought.signature and not thought.data:
        return None
    kept = msgspec.msgpack.encode((thought.text, thought.signature, thought.data, thought.origin))
    return _MARK + base64.urlsafe_b64encode(kept).decode()
