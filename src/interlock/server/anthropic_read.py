"""Anthropic's messages, request side: bytes → `ChatRequest`.

The caller's bytes ride along (`raw`), so that a vendor of the same dialect gets them as they are: cache marks, sealed thoughts, fields
that nobody here has heard of. Source: the API reference for messages (platform.claude.com/docs/en/api/messages), 2026-11.

Above: anthropic. Below: msgspec, anthropic_blocks, `core`.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from interlock.core.chat import MOST_TOKENS, CacheMark, ChatRequest, Fact, Message, OutputSchema, Thinking, ToolSpec
from interlock.core.errors import InvalidRequest
from interlock.core.text import textual
from interlock.core.unreadable import UNREADABLE

from .anthropic_blocks import DIALECT, Block, LooseTurn, Turn, TurnReader, tightened


class _Control(Struct, frozen=True):
    ttl: str = "5m"


class _Tool(Struct, frozen=True):
    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: _Control | None = None
    defer_loading: bool | None = None
    input_examples: list[Any] | None = None
    allowed_callers: list[str] | None = None


class _Choice(Struct, frozen=True):
    type: str
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class _Thinking(Struct, frozen=True):
    type: str
    budget_tokens: Annotated[int, Meta(ge=0, le=MOST_TOKENS)] | None = None
    display: str | None = None


class _Format(Struct, frozen=True):
    type: str
    schema: dict[str, Any] | None = None
    name: str = "answer"


class _Output(Struct, frozen=True):
    effort: str | None = None
    format: _Format | None = None
    task_budget: Raw | None = None


class _Metadata(Struct, frozen=True):
    user_id: str | None = None


class _Asked(Struct, frozen=True, kw_only=True):
    """The fields that the vocabulary has names for."""

    model: str
    max_tokens: Annotated[int, Meta(le=MOST_TOKENS)] | None = None
    system: str | list[Block] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _Choice | None = None
    thinking: _Thinking | None = None
    output_config: _Output | None = None
    output_format: _Format | None = None
    metadata: _Metadata | None = None
    stop_sequences: list[str] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=MOST_TOKENS)] | None = None
    stream: bool | None = None


class _Body(_Asked, frozen=True, kw_only=True):
    messages: list[Turn]


class _Usual(_Body, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that says nothing beyond them, which is the usual one and costs one pass to read."""


class _Loose(_Asked, frozen=True, kw_only=True):
    messages: list[LooseTurn]


_KNOWN = frozenset(_Body.__struct_fields__)
_MEANINGLESS: dict[str, Any] = {"service_tier": "auto", "speed": "standard"}
"""Values that say what would happen anyway; left out of `extra`, so that no other dialect stumbles over them."""
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


class RequestReader:
    """Decoders, made once."""

    def __init__(self) -> None:
        self._usual = msgspec.json.Decoder(_Usual)
        self._loose = msgspec.json.Decoder(_Loose)
        self._fields = msgspec.json.Decoder(dict[str, Raw])

    def read(
        self,
        raw: bytes,
        facts: dict[str, Fact],
        headers: tuple[tuple[str, str], ...] = (),
        *,
        capped: bool = True,
        tenant: str = "",
    ) -> ChatRequest:
        """The request that `raw` holds; `facts` is what routing conditions may look at. `capped`: `max_tokens` has to be there.

        Raises:
            InvalidRequest: not JSON, or a field missing or of the wrong type; `.param` names it.
        """
        extra: dict[str, Any] = {}
        try:
            body: _Asked = self._usual.decode(textual(raw))
            turns = body.messages
        except UNREADABLE:
            body, turns, extra = self._read_with_extra(raw)
        if not turns:
            raise InvalidRequest("`messages` is empty", param="messages", hint="Give at least one message.")
        if capped and body.max_tokens is None:
            raise InvalidRequest("`max_tokens` is missing", param="max_tokens", hint="Say how long the answer may be.")
        reader = TurnReader()
        system = reader.system(body.system) if body.system else None
        messages = reader.messages(turns)
        tools = _tools(body.tools or [], reader.lost)
        if body.output_config is not None and body.output_config.task_budget is not None:
            reader.lost["output_config.task_budget"] = True
        if reader.lost:
            seal = blake2b(raw, digest_size=16).hexdigest()  # so that no two such requests pass for the same one
            extra |= dict.fromkeys(reader.lost, seal)
        said = tuple(messages) if system is None else (system, *messages)
        return _request(body, said, tools, facts=facts, extra=extra, tenant=tenant, raw=raw, raw_headers=headers)

    def _read_with_extra(self, raw: bytes) -> tuple[_Asked, list[Turn], dict[str, Any]]:
        try:
            body = self._loose.decode(textual(raw))
            turns = tightened(body.messages)
            fields = self._fields.decode(raw)
            values = {name: msgspec.json.decode(each) for name, each in fields.items() if name not in _KNOWN}
        except UNREADABLE as fault:
            raise _invalid(fault) from None
        extra = {name: value for name, value in values.items() if value is not None and _MEANINGLESS.get(name) != value}
        return body, turns, extra


def _request(body: _Asked, messages: tuple[Message, ...], tools: tuple[ToolSpec, ...], **came: Any) -> ChatRequest:
    """`came`: how and for whom the request came in."""
    choice = body.tool_choice
    return ChatRequest(
        model=body.model,
        messages=messages,
        tools=tools,
        tool_choice="" if choice is None else _tool_choice(choice),
        parallel_tool_calls=None if choice is None or not choice.disable_parallel_tool_use else False,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        max_output_tokens=body.max_tokens,
        stop=tuple(body.stop_sequences or ()),
        thinking=_thinking(body),
        output_schema=_output_schema(body),
        stream=bool(body.stream),
        include_usage=True,
        user=(body.metadata.user_id or "") if body.metadata is not None else "",
        raw_dialect=DIALECT,
        **came,
    )


def _tools(tools: list[_Tool], lost: dict[str, Any]) -> tuple[ToolSpec, ...]:
    found: list[ToolSpec] = []
    for at, tool in enumerate(tools):
        if tool.type not in (None, "custom"):
            lost[f"tools[{at}].type"] = True  # run by the vendor, or with a schema that only its models know
            continue
        if not tool.name:
            raise InvalidRequest(f"`tools[{at}]` lacks its `name`", param=f"tools[{at}].name")
        for name in ("defer_loading", "input_examples"):
            if getattr(tool, name):
                lost[f"tools[{at}].{name}"] = True
        if tool.allowed_callers and tool.allowed_callers != ["direct"]:
            lost[f"tools[{at}].allowed_callers"] = True
        mark: CacheMark = "" if tool.cache_control is None else "1h" if tool.cache_control.ttl == "1h" else "5m"
        schema: dict[str, Any] = tool.input_schema or {"type": "object", "properties": {}}
        found.append(ToolSpec(tool.name, schema, tool.description or "", bool(tool.strict), mark))
    return tuple(found)


def _tool_choice(choice: _Choice) -> str:
    if choice.type in _CHOICES:
        return _CHOICES[choice.type]
    if choice.type == "tool" and choice.name:
        return choice.name
    raise InvalidRequest(
        f"`tool_choice` of type {choice.type!r} is unknown or lacks its name",
        param="tool_choice",
        hint="Known: auto, any, none, tool with a name.",
    )


def _thinking(body: _Asked) -> Thinking | None:
    effort = (body.output_config.effort or "") if body.output_config is not None else ""
    wish = body.thinking
    if wish is None:
        return Thinking(effort) if effort else None
    if wish.type == "disabled":
        return Thinking(effort, budget=0)
    return Thinking(effort, wish.budget_tokens if wish.type == "enabled" else None, wish.display != "omitted")


def _output_schema(body: _Asked) -> OutputSchema | None:
    form = body.output_config.format if body.output_config is not None else None
    form = form or body.output_format
    if form is None:
        return None
    if form.type != "json_schema" or form.schema is None:
        raise InvalidRequest(
            f"an output format of type {form.type!r} is unknown or lacks its schema",
            param="output_config.format",
            hint="Known: json_schema.",
        )
    return OutputSchema(form.name, form.schema)


def _invalid(fault: Exception) -> InvalidRequest:
    """msgspec says "… - at `$.messages[0].role`"; the path becomes `param`."""
    text = str(fault)
    message, mark, path = text.partition(" - at `$")
    if not mark:
        lacking = text.rpartition("missing required field `")[2].rstrip("`") if "missing required field" in text else ""
        return InvalidRequest(
            f"the body is not a request for a message: {text}", param=lacking, hint="Send one JSON object."
        )
    param = path.rstrip("`").removeprefix(".")
    return InvalidRequest(f"`{param}`: {message}", param=param)
