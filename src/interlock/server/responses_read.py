"""OpenAI's Responses, request side: bytes → `ChatRequest`, and what the reply has to repeat.

What no other dialect can carry (built-in tools, prompts kept by the vendor, …) is named in `extra` by its path, so that a provider
that forwards this dialect's bytes takes it and every other one refuses it by name. Source: the API reference for responses
(platform.openai.com/docs/api-reference/responses/create), 2026-11.

Above: responses. Below: responses_items, msgspec, `core`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from interlock.core.chat import Cap, ChatRequest, Fact, Message, OutputSchema, Thinking, ToolSpec
from interlock.core.errors import InvalidRequest
from interlock.core.text import textual
from interlock.core.unreadable import UNREADABLE

from .responses_items import messages_of

DIALECT = "openai_responses"
SEALS = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
_EMPTY: dict[str, Any] = {"type": "object", "properties": {}}


class _Tool(Struct, frozen=True):
    type: str
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Choice(Struct, frozen=True):
    type: str
    name: str = ""
    mode: str = "auto"
    tools: list[_Tool] = []


class _Format(Struct, frozen=True):
    type: str
    name: str = ""
    schema: dict[str, Any] = {}
    strict: bool | None = None
    description: str | None = None


class _Text(Struct, frozen=True):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(Struct, frozen=True):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class _Body(Struct, frozen=True):
    """The fields that are read; every other one is looked at by name."""

    model: str | None = None
    input: str | list[Raw] | None = None
    instructions: str | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Choice | None = None
    parallel_tool_calls: bool | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_output_tokens: Cap | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    background: bool | None = None
    conversation: Raw = Raw(b"null")
    user: str | None = None
    safety_identifier: str | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    truncation: str | None = None


_SAME_NAME = ("service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "top_logprobs")
"""Fields that chat completions have under the same name."""
_IDLE = frozenset(("stream_options", "max_tool_calls", "truncation", "context_management", "prompt_cache_options"))
"""Fields that change nothing where no built-in tool runs and nothing is cut."""
_READ = frozenset(_Body.__struct_fields__) | _IDLE


class ResponsesRequest(Struct, frozen=True):
    """A request as the face goes on with it."""

    chat: ChatRequest
    """Without the turns of earlier responses; `with_earlier` puts them in."""
    items: tuple[bytes, ...]
    """The new input, item by item, as JSON."""
    instructions: str
    previous: str
    store: bool
    sealed: bool
    """The caller wants reasoning in sealed form, so that it can send it back."""
    repeated: dict[str, Any]
    """What the reply repeats."""

    def with_earlier(self, earlier: Sequence[bytes]) -> ChatRequest:
        """The request as it is asked: instructions, the items of earlier responses, the new ones."""
        items = (*earlier, *self.items)
        turns, unknown = messages_of(items)
        if self.instructions:
            turns = (Message("system", self.instructions), *turns)
        if not turns and not unknown:
            raise InvalidRequest("`input` is empty", param="input", hint="Give a text, or a list of items.")
        extra = {**self.chat.extra, **unknown}
        raw = self.chat.raw
        if self.previous:
            fields = msgspec.json.decode(raw, type=dict[str, Raw])
            fields["input"] = Raw(b"[" + b",".join(items) + b"]")
            fields.pop("previous_response_id", None)
            raw = msgspec.json.encode(fields)
        return msgspec.structs.replace(self.chat, messages=turns, extra=extra, raw=raw)


class ResponsesReader:
    """Decoders, made once."""

    def __init__(self) -> None:
        self._body = msgspec.json.Decoder(_Body)
        self._fields = msgspec.json.Decoder(dict[str, Raw])

    def read(self, raw: bytes, facts: dict[str, Fact]) -> ResponsesRequest:
        """The request that `raw` holds; `facts` is what routing conditions may look at.

        Raises:
            InvalidRequest: not JSON, a field of the wrong type, or something that is not offered; `.param` names it.
        """
        try:
            body, fields = self._body.decode(textual(raw)), self._fields.decode(raw)
            unnamed = _extra(body, fields)
        except UNREADABLE as fault:
            raise invalid(fault) from None
        _refuse(body)
        tools, choice, extra = _tools(body)
        extra |= unnamed
        thought = body.reasoning
        form = body.text.format if body.text else None
        include = body.include or []
        chat = ChatRequest(
            model=body.model or "",
            messages=(),
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=body.parallel_tool_calls,
            temperature=body.temperature,
            top_p=body.top_p,
            max_output_tokens=body.max_output_tokens,
            thinking=None
            if thought is None
            else Thinking(thought.effort or "", shown=bool(thought.summary or thought.generate_summary)),
            output_schema=None if form is None else _schema(form),
            json_mode=form is not None and form.type == "json_object",
            logprobs=LOGPROBS in include or bool(body.top_logprobs),
            stream=bool(body.stream),
            include_usage=True,
            user=body.user or body.safety_identifier or "",
            facts=facts,
            extra=extra,
            raw=raw,
            raw_dialect=DIALECT,
        )
        return ResponsesRequest(
            chat=chat,
            items=_items(body.input),
            instructions=body.instructions or "",
            previous=body.previous_response_id or "",
            store=body.store is not False,
            sealed=SEALS in include or body.store is False,
            repeated=_repeated(body, fields),
        )


def _refuse(body: _Body) -> None:
    if body.background:
        raise InvalidRequest(
            "`background` is not offered", param="background", hint="Wait for the answer, or use POST /v1/batches."
        )
    if body.conversation != Raw(b"null"):
        raise InvalidRequest(
            "`conversation` is not offered", param="conversation", hint="Go on with `previous_response_id`."
        )
    if body.top_logprobs and LOGPROBS not in (body.include or []):
        raise InvalidRequest(
            "`top_logprobs` without its place in the reply",
            param="top_logprobs",
            hint=f'Add "{LOGPROBS}" to `include`.',
        )


def _items(given: str | list[Raw] | None) -> tuple[bytes, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        return (msgspec.json.encode({"type": "message", "role": "user", "content": given}),)
    return tuple([bytes(each) for each in given])


def _tools(body: _Body) -> tuple[tuple[ToolSpec, ...], str, dict[str, Any]]:
    """(function tools, choice, what only this dialect can carry)."""
    extra: dict[str, Any] = {}
    specs: list[ToolSpec] = []
    for at, tool in enumerate(body.tools or ()):
        if tool.type == "function" and tool.name:
            specs.append(ToolSpec(tool.name, tool.parameters or _EMPTY, tool.description or "", bool(tool.strict)))
        else:
            extra[f"tools[{at}].type"] = tool.type
    choice = body.tool_choice
    if choice is None or isinstance(choice, str):
        if choice not in (None, "auto", "none", "required"):
            raise InvalidRequest(
                f"`tool_choice` is {choice!r}", param="tool_choice", hint="auto, none, required or one."
            )
        return tuple(specs), choice or "", extra
    if choice.type == "function":
        return tuple(specs), choice.name, extra
    if choice.type == "allowed_tools" and all(each.type == "function" for each in choice.tools):
        allowed = {each.name for each in choice.tools}
        return tuple([each for each in specs if each.name in allowed]), choice.mode, extra
    extra["tool_choice.type"] = choice.type
    return tuple(specs), "", extra


def _schema(form: _Format) -> OutputSchema | None:
    if form.type in ("text", "json_object"):
        return None
    if form.type != "json_schema" or not form.name:
        raise InvalidRequest(
            f"`text.format` of type {form.type!r} is unknown or lacks its name",
            param="text.format",
            hint="Known: text, json_object, json_schema.",
        )
    return OutputSchema(form.name, form.schema, bool(form.strict), form.description or "")


def _extra(body: _Body, fields: dict[str, Raw]) -> dict[str, Any]:
    """Fields that the vocabulary does not name: by their own name where chat completions have them, else by a path."""
    extra: dict[str, Any] = {}
    for name, value in fields.items():
        if value == b"null":
            continue
        if name in _SAME_NAME:
            extra[name] = msgspec.json.decode(value)
        elif name not in _READ:
            extra[f"body.{name}"] = msgspec.json.decode(value)
    if body.text is not None and body.text.verbosity:
        extra["verbosity"] = body.text.verbosity
    if body.truncation not in (None, "disabled"):
        extra["body.truncation"] = body.truncation
    for at, name in enumerate(body.include or ()):
        if name not in (SEALS, LOGPROBS):
            extra[f"include[{at}]"] = name
    return extra


def _repeated(body: _Body, fields: dict[str, Raw]) -> dict[str, Any]:
    """What the reply says of the request, defaults filled in."""

    def given(name: str, otherwise: Any) -> Any:
        raw = fields.get(name)
        return otherwise if raw is None or raw == b"null" else raw

    form = (body.text.format if body.text else None) is not None
    return {
        "background": False,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "reasoning": given("reasoning", {"effort": None, "summary": None}),
        "store": body.store is not False,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "text": fields["text"] if form else {"format": {"type": "text"}},
        "tool_choice": given("tool_choice", "auto"),
        "tools": given("tools", []),
        "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": body.truncation or "disabled",
        "user": body.user,
    }


def invalid(fault: Exception) -> InvalidRequest:
    """msgspec says "… - at `$.text.format`"; the path becomes `param`."""
    text = str(fault)
    message, mark, path = text.partition(" - at `$")
    if not mark:
        return InvalidRequest(f"the body is not a request for a response: {text}", hint="Send one JSON object.")
    param = path.rstrip("`").removeprefix(".")
    return InvalidRequest(f"`{param}`: {message}", param=param)
