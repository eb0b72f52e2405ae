"""Anthropic's messages, request side: turns of content blocks → `core.chat.Message`s.

What other dialects have no place for is written down by its path, so that it is refused there and never lost without a word.
Source: the API reference for messages and the pages on thinking, documents and tool use (platform.claude.com/docs), 2026-11.

Above: anthropic_read. Below: msgspec, `core`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from interlock.core.chat import CacheMark, Message, Part, Role, Thought, ToolCall
from interlock.core.errors import InvalidRequest

DIALECT = "anthropic"
SEALED_ELSEWHERE = "interlock-seal:"
"""Begins signatures of thoughts that came from a vendor of another dialect: `interlock-seal:<dialect>:<kind>:<id>:<seal>`."""
NO_OBJECT = Raw(b"{}")


class _Control(Struct, frozen=True):
    type: str = "ephemeral"
    ttl: str = "5m"


class _Citations(Struct, frozen=True):
    enabled: bool = False


class _Source(Struct, frozen=True):
    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    content: str | list[dict[str, Any]] = ""


class Block(Struct, frozen=True):
    """One content block of any type."""

    type: str
    text: str = ""
    cache_control: _Control | None = None
    source: _Source | str | None = None
    title: str | None = None
    context: str | None = None
    citations: _Citations | list[Any] | None = None
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = NO_OBJECT
    tool_use_id: str = ""
    content: str | list[Block] | dict[str, Any] = ""
    is_error: bool | None = None


class Turn(Struct, frozen=True):
    """One message as it comes in."""

    role: str
    content: str | list[Block]


class LooseTurn(Struct, frozen=True):
    """One message some of whose blocks may be of types that are not known here and look otherwise."""

    role: str
    content: str | list[Raw]


class _Typed(Struct, frozen=True):
    type: str


KNOWN = frozenset(("text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result"))
_block = msgspec.json.Decoder(Block)
_typed = msgspec.json.Decoder(_Typed)
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}


def tightened(turns: list[LooseTurn]) -> list[Turn]:
    """The turns with every known block decoded, and of unknown ones the type alone. Raises msgspec.ValidationError."""
    return [
        Turn(each.role, each.content if isinstance(each.content, str) else [_tight(raw) for raw in each.content])
        for each in turns
    ]


def _tight(raw: Raw) -> Block:
    kind = _typed.decode(raw).type
    return _block.decode(raw) if kind in KNOWN else Block(kind)


class TurnReader:
    """One request's messages. `lost` collects, by path, what only the raw bytes carry."""

    def __init__(self) -> None:
        self.lost: dict[str, Any] = {}

    def messages(self, turns: list[Turn]) -> list[Message]:
        """The conversation.

        Raises:
            InvalidRequest: a block lacks what makes it one; `.param` is its path.
        """
        found: list[Message] = []
        for at, turn in enumerate(turns):
            where = f"messages[{at}]"
            role = _ROLES.get(turn.role)
            if role is None:
                raise InvalidRequest(
                    f"`{where}.role` is {turn.role!r}", param=f"{where}.role", hint="Use user, assistant or system."
                )
            if isinstance(turn.content, str):
                found.append(Message(role, turn.content))
            elif role == "assistant":
                found.append(self._said(turn.content, f"{where}.content"))
            else:
                found.extend(self._asked(role, turn.content, f"{where}.content"))
        return found

    def system(self, system: str | list[Block]) -> Message | None:
        """The system prompt; `None` for an empty one."""
        if isinstance(system, str):
            return Message("system", system) if system else None
        parts = self._parts(system, "system")
        return Message("system", _plain(parts)) if parts else None

    def _said(self, blocks: list[Block], where: str) -> Message:
        """An assistant's turn: what it thought, said, and called."""
        thoughts: list[Thought] = []
        seals: dict[str, str] = {}
        calls: list[ToolCall] = []
        parts: list[Part] = []
        for at, block in enumerate(blocks):
            if block.type in ("thinking", "redacted_thinking"):
                _thought(block, thoughts, seals)
            elif block.type == "tool_use":
                if not block.id or not block.name:
                    raise _lacks(f"{where}[{at}]", "`id` or `name`")
                arguments = bytes(block.input).decode()
                calls.append(ToolCall(block.id, block.name, arguments, seals.get(block.id, "")))
            else:
                self._part(block, f"{where}[{at}]", parts)
        return Message("assistant", _plain(parts), tool_calls=tuple(calls), thoughts=tuple(thoughts))

    def _asked(self, role: Role, blocks: list[Block], where: str) -> list[Message]:
        """A user's turn: the answers of tools, then what the user says."""
        found: list[Message] = []
        parts: list[Part] = []
        for at, block in enumerate(blocks):
            if block.type == "tool_result":
                found.append(self._result(block, f"{where}[{at}]"))
            else:
                self._part(block, f"{where}[{at}]", parts)
        if parts or not found:
            found.append(Message(role, _plain(parts)))
        return found

    def _result(self, block: Block, where: str) -> Message:
        if not block.tool_use_id:
            raise _lacks(where, "`tool_use_id`")
        content = block.content
        if isinstance(content, dict):
            raise InvalidRequest(f"`{where}.content` is neither text nor a list of blocks", param=f"{where}.content")
        said = content if isinstance(content, str) else _plain(self._parts(content, f"{where}.content"))
        if block.cache_control is not None:
            said = _marked(said, _mark(block))
        return Message("tool", said, tool_call_id=block.tool_use_id, failed=bool(block.is_error))

    def _parts(self, blocks: list[Block], where: str) -> list[Part]:
        parts: list[Part] = []
        for at, block in enumerate(blocks):
            self._part(block, f"{where}[{at}]", parts)
        return parts

    def _part(self, block: Block, where: str, parts: list[Part]) -> None:
        if block.type == "text":
            parts.append(Part("text", text=block.text, cache=_mark(block)))
        elif block.type == "image" and isinstance(block.source, _Source):
            parts.append(self._image(block, block.source, where))
        elif block.type == "document" and isinstance(block.source, _Source):
            parts.append(self._document(block, block.source, where))
        elif block.type in ("image", "document"):
            raise _lacks(where, "its `source`")
        else:
            self.lost[f"{where}.type"] = block.type

    def _image(self, block: Block, source: _Source, where: str) -> Part:
        match source.type:
            case "base64":
                return Part("image", data=source.data, media_type=source.media_type, cache=_mark(block))
            case "url":
                return Part("image", url=source.url, cache=_mark(block))
            case "file":
                return Part("image", file_id=source.file_id, cache=_mark(block))
            case _:
                raise InvalidRequest(f"`{where}.source.type` is {source.type!r}", param=f"{where}.source.type")

    def _document(self, block: Block, source: _Source, where: str) -> Part:
        if isinstance(block.citations, _Citations) and block.citations.enabled:
            self.lost[f"{where}.citations"] = True
        if block.context:
            self.lost[f"{where}.context"] = True
        name = block.title or ""
        match source.type:
            case "base64":
                return Part("file", data=source.data, media_type=source.media_type, name=name, cache=_mark(block))
            case "url":
                return Part("file", url=source.url, media_type="application/pdf", name=name, cache=_mark(block))
            case "file":
                return Part("file", file_id=source.file_id, name=name, cache=_mark(block))
            case "text":
                return Part("file", text=source.data, media_type="text/plain", name=name, cache=_mark(block))
            case "content":
                text = self._document_text(source.content, where)
                return Part("file", text=text, media_type="text/plain", name=name, cache=_mark(block))
            case _:
                raise InvalidRequest(f"`{where}.source.type` is {source.type!r}", param=f"{where}.source.type")

    def _document_text(self, content: str | list[dict[str, Any]], where: str) -> str:
        if isinstance(content, str):
            return content
        if any(each.get("type") != "text" for each in content):
            self.lost[f"{where}.source.content"] = True
        return "\n".join(str(each.get("text", "")) for each in content)


def _thought(block: Block, thoughts: list[Thought], seals: dict[str, str]) -> None:
    """One thought, given back to the vendor that sealed it; a seal on a tool call goes to its call instead."""
    seal = block.data if block.type == "redacted_thinking" else block.signature
    if not seal.startswith(SEALED_ELSEWHERE):
        if block.type == "redacted_thinking":
            thoughts.append(Thought(data=block.data, origin=DIALECT))
        else:
            thoughts.append(Thought(text=block.thinking, signature=block.signature, origin=DIALECT))
        return
    origin, _, rest = seal.removeprefix(SEALED_ELSEWHERE).partition(":")
    kind, _, rest = rest.partition(":")
    identity, _, seal = rest.partition(":")
    if kind == "call":
        seals[identity] = seal
    elif kind == "data":
        thoughts.append(Thought(text=block.thinking, data=seal, origin=origin, id=identity))
    else:
        thoughts.append(Thought(text=block.thinking, signature=seal, origin=origin, id=identity))


def _mark(block: Block) -> CacheMark:
    control = block.cache_control
    if control is None:
        return ""
    return "1h" if control.ttl == "1h" else "5m"


def _marked(said: str | tuple[Part, ...], mark: CacheMark) -> tuple[Part, ...]:
    parts = (Part("text", text=said),) if isinstance(said, str) else said
    return (*parts[:-1], msgspec.structs.replace(parts[-1], cache=mark)) if parts else ()


def _plain(parts: list[Part]) -> str | tuple[Part, ...]:
    """One unmarked text is a string, as most dialects write it; so is nothing at all."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].type == "text" and not parts[0].cache:
        return parts[0].text
    return tuple(parts)


def _lacks(where: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"`{where}` lacks {what}", param=where)
