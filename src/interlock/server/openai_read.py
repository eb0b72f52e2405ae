"""OpenAI's chat completions, request side: bytes → `ChatRequest`.

The caller's bytes ride along (`raw`), so that a provider of the same dialect can forward them as they are; fields that the
vocabulary does not name are kept in `extra`. Source: the API reference for chat completions
(platform.openai.com/docs/api-reference/chat/create), 2026-11.

Above: openai. Below: msgspec, `core`.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct, field

from interlock.core.chat import (
    Cap,
    ChatRequest,
    Fact,
    Message,
    OutputSchema,
    Part,
    Role,
    Thinking,
    Thought,
    ToolCall,
    ToolSpec,
    Whole,
)
from interlock.core.errors import InvalidRequest
from interlock.core.text import textual
from interlock.core.unreadable import UNREADABLE

DIALECT = "openai"


class _Media(Struct, frozen=True):
    url: str
    detail: str | None = None


class _Audio(Struct, frozen=True):
    data: str
    format: str = ""


class _File(Struct, frozen=True):
    file_data: str = ""
    file_id: str = ""
    filename: str = ""


class _Part(Struct, frozen=True):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: _Media | None = None
    input_audio: _Audio | None = None
    file: _File | None = None


class _Function(Struct, frozen=True):
    name: str
    arguments: str = "{}"


class _Seal(Struct, frozen=True):
    """What we added to a tool call of an earlier answer for its vendor's sake."""

    seal: str = ""


class _Thoughts(Struct, frozen=True):
    """What we added to an earlier answer for its vendor's sake."""

    thoughts: tuple[Thought, ...] = ()


class _ToolCall(Struct, frozen=True):
    id: str
    function: _Function | None = None
    interlock: _Seal | None = None


class _Message(Struct, frozen=True):
    role: Role | Literal["function"]
    content: str | list[_Part] | None = None
    name: str | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    audio: Raw | None = None
    interlock: _Thoughts | None = None


class _FunctionSpec(Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(Struct, frozen=True):
    type: str
    function: _FunctionSpec | None = None


class _Schema(Struct, frozen=True):
    name: str
    schema: dict[str, Any] = {}
    strict: bool | None = None
    description: str | None = None


class _Format(Struct, frozen=True):
    type: str
    json_schema: _Schema | None = None


class _StreamOptions(Struct, frozen=True):
    include_usage: bool = False


class _Body(Struct, frozen=True):
    """The fields that the vocabulary has names for."""

    model: str
    messages: list[_Message]
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_tokens: Cap | None = None
    max_completion_tokens: Cap | None = None
    stop: str | list[str] | None = None
    seed: Whole | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    top_k: Whole | None = None
    reasoning_effort: str | None = None
    response_format: _Format | None = None
    logprobs: bool | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user: str | None = None


class _Usual(_Body, frozen=True, forbid_unknown_fields=True):
    """A request that says nothing beyond them, which is the usual one and costs one pass to read."""


class _PlainMessage(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    role: Role
    text: str = field(name="content")


class Plain(Struct, frozen=True, forbid_unknown_fields=True):
    """A request that says nothing but the most usual things: texts, caps, sampling. Read in one quick pass; there is nothing else in it."""

    model: str
    messages: list[_PlainMessage]
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_tokens: Cap | None = None
    max_completion_tokens: Cap | None = None
    stop: str | list[str] | None = None
    seed: Whole | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None

    @property
    def cap(self) -> int | None:
        """The most output tokens that are wanted."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


_KNOWN = frozenset(_Body.__struct_fields__)
_MEANINGLESS: dict[str, Any] = {
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
    "modalities": ["text"],
    "verbosity": "medium",
}
"""Values that say what would happen anyway; left out of `extra`, so that no other dialect stumbles over them."""


class RequestReader:
    """Decoders, made once."""

    def __init__(self) -> None:
        self._plain = msgspec.json.Decoder(Plain)
        self._usual = msgspec.json.Decoder(_Usual)
        self._body = msgspec.json.Decoder(_Body)
        self._fields = msgspec.json.Decoder(dict[str, msgspec.Raw])

    def plain(self, raw: bytes) -> Plain | None:
        """The request, if it is a plain one."""
        try:
            found = self._plain.decode(textual(raw))
        except UNREADABLE:
            return None
        return found if found.messages else None

    def read(self, raw: bytes, facts: dict[str, Fact], tenant: str = "") -> ChatRequest:
        """The request that `raw` holds; `facts` is what routing conditions may look at.

        Raises:
            InvalidRequest: not JSON, or a field of the wrong type; `.param` names it.
        """
        extra: dict[str, Any] = {}
        try:
            body: _Body = self._usual.decode(textual(raw))
        except UNREADABLE:
            body, extra = self._read_with_extra(raw)
        if not body.messages:
            raise InvalidRequest("`messages` is empty", param="messages", hint="Give at least one message.")
        lost: list[str] = []
        messages = tuple([_message(message, at, lost) for at, message in enumerate(body.messages)])
        tools = () if not body.tools else _tools(body.tools, lost)
        choice = "" if body.tool_choice is None else _tool_choice(body.tool_choice, lost)
        if lost:
            seal = blake2b(raw, digest_size=16).hexdigest()  # so that no two such requests pass for the same one
            extra |= dict.fromkeys(lost, seal)
        return _request(body, messages, tools, tool_choice=choice, facts=facts, extra=extra, tenant=tenant, raw=raw)

    def _read_with_extra(self, raw: bytes) -> tuple[_Body, dict[str, Any]]:
        try:
            return self._body.decode(textual(raw)), _extra(self._fields.decode(raw))
        except UNREADABLE as fault:
            raise _invalid(fault) from None


def _request(body: _Body, messages: tuple[Message, ...], tools: tuple[ToolSpec, ...], **came: Any) -> ChatRequest:
    """`came`: what was worked out beside the body, and how and for whom the request came in."""
    options = body.stream_options
    form = body.response_format
    return ChatRequest(
        model=body.model,
        messages=messages,
        tools=tools,
        parallel_tool_calls=body.parallel_tool_calls,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        max_output_tokens=body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens,
        stop=() if body.stop is None else (body.stop,) if isinstance(body.stop, str) else tuple(body.stop),
        seed=body.seed,
        n=body.n or 1,
        thinking=Thinking(body.reasoning_effort) if body.reasoning_effort else None,
        output_schema=None if form is None else _output_schema(form),
        json_mode=form is not None and form.type == "json_object",
        logprobs=bool(body.logprobs),
        stream=bool(body.stream),
        include_usage=options is not None and options.include_usage,
        user=body.user or "",
        raw_dialect=DIALECT,
        **came,
    )


def _message(message: _Message, at: int, lost: list[str]) -> Message:
    content = message.content
    role = message.role
    if role == "function":
        lost.append(f"messages[{at}].role")
        role = "tool"
    if message.audio is not None:
        lost.append(f"messages[{at}].audio")
    calls = message.tool_calls
    if calls and any(call.function is None for call in calls):
        lost.append(f"messages[{at}].tool_calls")
    thought = message.reasoning_content
    return Message(
        role=role,
        content=content if isinstance(content, str) else "" if content is None else _parts(content, at),
        tool_calls=() if not calls else tuple([_call(call) for call in calls]),
        tool_call_id=message.tool_call_id or "",
        name=message.name or "",
        thoughts=message.interlock.thoughts
        if message.interlock
        else (Thought(thought, origin=DIALECT),)
        if thought
        else (),
        refusal=message.refusal or "",
    )


def _call(call: _ToolCall) -> ToolCall:
    function = call.function or _Function("")
    return ToolCall(call.id, function.name, function.arguments, call.interlock.seal if call.interlock else "")


def _parts(parts: list[_Part], at: int) -> tuple[Part, ...]:
    return tuple([_part(part, f"messages[{at}].content[{number}]") for number, part in enumerate(parts)])


def _part(part: _Part, where: str) -> Part:
    match part:
        case _Part(type="text"):
            return Part("text", text=part.text)
        case _Part(type="refusal"):
            return Part("text", text=part.refusal)
        case _Part(type="image_url", image_url=_Media() as image):
            return Part("image", url=image.url, detail=image.detail or "")
        case _Part(type="input_audio", input_audio=_Audio() as audio):
            return Part("audio", data=audio.data, media_type=f"audio/{audio.format}" if audio.format else "")
        case _Part(type="file", file=_File() as file):
            return _file_part(file)
        case _:
            raise InvalidRequest(
                f"`{where}` of type {part.type!r} is unknown or lacks its content",
                param=where,
                hint="Known: text, image_url, input_audio, file, refusal.",
            )


def _file_part(file: _File) -> Part:
    if file.file_id:
        return Part("file", file_id=file.file_id, name=file.filename)
    if file.file_data.startswith("data:"):
        return Part("file", url=file.file_data, name=file.filename)
    return Part("file", data=file.file_data, name=file.filename)


def _tools(tools: list[_Tool], lost: list[str]) -> tuple[ToolSpec, ...]:
    """The functions; a tool of a kind that only this dialect has travels in the caller's own bytes."""
    found: list[ToolSpec] = []
    for at, tool in enumerate(tools):
        spec = tool.function
        if tool.type != "function":
            lost.append(f"tools[{at}].type")
        elif spec is None:
            raise InvalidRequest(f"`tools[{at}]` lacks its `function`", param=f"tools[{at}]", hint="Give its name.")
        else:
            parameters = spec.parameters or {"type": "object", "properties": {}}
            found.append(ToolSpec(spec.name, parameters, spec.description or "", bool(spec.strict)))
    return tuple(found)


def _tool_choice(choice: str | dict[str, Any], lost: list[str]) -> str:
    if isinstance(choice, str):
        if choice in ("auto", "none", "required"):
            return choice
    elif choice.get("type") == "function":
        function: Any = choice.get("function")
        if isinstance(function, dict) and isinstance(name := function.get("name"), str):  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            return name
    elif choice.get("type") in ("allowed_tools", "custom"):
        lost.append("tool_choice.type")
        return ""
    raise InvalidRequest(
        "`tool_choice` is neither auto, none, required nor one function",
        param="tool_choice",
        hint='One function is {"type": "function", "function": {"name": "…"}}.',
    )


def _output_schema(form: _Format) -> OutputSchema | None:
    if form.type in ("text", "json_object"):
        return None
    schema = form.json_schema
    if form.type != "json_schema" or schema is None:
        raise InvalidRequest(
            f"`response_format` of type {form.type!r} is unknown or lacks its schema",
            param="response_format",
            hint="Known: text, json_object, json_schema.",
        )
    return OutputSchema(schema.name, schema.schema, bool(schema.strict), schema.description or "")


def _extra(fields: dict[str, msgspec.Raw]) -> dict[str, Any]:
    values = {name: msgspec.json.decode(raw) for name, raw in fields.items() if name not in _KNOWN}
    return {
        name: value
        for name, value in values.items()
        if value is not None and not (name in _MEANINGLESS and _MEANINGLESS[name] == value)
    }


def _invalid(fault: Exception) -> InvalidRequest:
    """msgspec says "… - at `$.messages[0].role`"; the path becomes `param`."""
    text = str(fault)
    message, mark, path = text.partition(" - at `$")
    if not mark:
        return InvalidRequest(f"the body is not a chat completion request: {text}", hint="Send one JSON object.")
    param = path.rstrip("`").removeprefix(".")
    return InvalidRequest(f"`{param}`: {message}", param=param)
