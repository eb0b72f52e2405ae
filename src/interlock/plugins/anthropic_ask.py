"""Requests in Anthropic's words, out of `core.chat`.

Above: providers/anthropic. Below: `core`, `plugins.wire`, msgspec.
Source: the API reference and the pages on tool use, thinking and prompt caching (platform.claude.com/docs), November 2026.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec
from msgspec import Raw

from interlock.core.chat import ChatRequest, Message, Part, ToolCall, ToolSpec
from interlock.core.errors import InvalidRequest

from . import wire

DIALECT = "anthropic"
THOUGHTS_KEPT = 10_000
USUAL_OUTPUT = 32_000
"""Cap of an output that neither caller nor budget capped; thinking counts towards it."""

_fields = msgspec.json.Decoder(dict[str, Raw])
_json = msgspec.json.Encoder()


class Thoughts:
    """Thinking blocks by the first tool call that followed them, those seen longest ago forgotten first.

    The vendor wants them back unchanged with the calls they led to; callers of other dialects have no place for them.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, list[dict[str, str]]] = OrderedDict()

    def keep(self, call_id: str, blocks: list[dict[str, str]]) -> None:
        self._kept[call_id] = blocks
        if len(self._kept) > THOUGHTS_KEPT:
            self._kept.popitem(last=False)

    def of(self, message: Message) -> list[dict[str, str]]:
        return self._kept.get(message.tool_calls[0].id, []) if message.tool_calls else []


def patched(request: ChatRequest, model: str, *, stream: bool) -> bytes:
    """The caller's own bytes with the model and the output cap put in; `cache_control` and all else stay as they are."""
    fields = _fields.decode(request.raw)
    fields["model"] = Raw(_json.encode(model))
    if request.max_output_tokens is not None:
        fields["max_tokens"] = Raw(_json.encode(request.max_output_tokens))
    fields["stream"] = Raw(b"true" if stream else b"false")
    return _json.encode(fields)


def encoded(
    request: ChatRequest,
    model: str,
    most: int,
    thoughts: Thoughts,
    *,
    cache: str,
    native: bool,
    sampling: bool,
    stream: bool,
) -> bytes:
    """A request in this dialect. `most` is the model's largest output; `sampling` says whether it takes temperature and top_p.

    Raises:
        InvalidRequest: something of the request has no place in this dialect.
    """
    wire.only_known(request, DIALECT)
    fields: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_output_tokens or min(most, USUAL_OUTPUT),
        "messages": _turns(request.messages, thoughts),
    }
    control: dict[str, Any] = {"cache_control": {"type": "ephemeral", "ttl": cache}} if cache else {}
    if system := _system(request, native=native):
        fields["system"] = [{"type": "text", "text": system, **control}] if cache else system
    if request.tools:
        fields["tools"] = [_tool(each) for each in request.tools]
        if cache and not system:
            fields["tools"][-1].update(control)
        if choice := _tool_choice(request):
            fields["tool_choice"] = choice
    if sampling:
        _sample(fields, request)
    if request.stop:
        fields["stop_sequences"] = list(request.stop)
    if native and request.output_schema is not None:
        fields["output_config"] = {"format": {"type": "json_schema", "schema": request.output_schema.schema}}
    if request.user:
        fields["metadata"] = {"user_id": request.user}
    if stream:
        fields["stream"] = True
    return _json.encode(fields)


def _sample(fields: dict[str, Any], request: ChatRequest) -> None:
    if request.temperature is not None:
        if request.temperature > 1:
            raise InvalidRequest(f"temperature {request.temperature:g}: {DIALECT} takes 0 to 1.", param="temperature")
        fields["temperature"] = request.temperature
    elif request.top_p is not None:  # the newer models take one of the two only
        fields["top_p"] = request.top_p


def _system(request: ChatRequest, *, native: bool) -> str:
    texts = [each.text for each in request.messages if each.role in ("system", "developer")]
    if request.output_schema is not None and not native:
        schema = _json.encode(request.output_schema.schema).decode()
        texts.append(f"Reply with one JSON document and nothing else. It must satisfy this JSON Schema:\n{schema}")
    elif request.json_mode:
        texts.append("Reply with one JSON document and nothing else.")
    return "\n\n".join(text for text in texts if text)


def _turns(messages: tuple[Message, ...], thoughts: Thoughts) -> list[dict[str, Any]]:
    """User and assistant turns; neighbours of one role become one, as answers of parallel tools have to be."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role in ("system", "developer"):
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = [*thoughts.of(message), *_blocks(message)]
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.text}]
    if isinstance(message.content, str):
        blocks: list[dict[str, Any]] = [{"type": "text", "text": message.content}] if message.content else []
    else:
        blocks = [_part(each) for each in message.content]
    for call in message.tool_calls:
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": _arguments(call)})
    return blocks


def _arguments(call: ToolCall) -> Raw:
    """The arguments as the model wrote them; an object is required here, so anything else is wrapped in one."""
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except msgspec.DecodeError:
        value = None
    if isinstance(value, dict):
        return Raw(call.arguments.encode() or b"{}")
    return Raw(_json.encode({"arguments": call.arguments}))


def _part(part: Part) -> dict[str, Any]:
    if part.type == "text":
        return {"type": "text", "text": part.text}
    inside = wire.media(part)
    if part.type == "audio":
        raise InvalidRequest(f"audio cannot be carried to the {DIALECT} dialect.", param="messages")
    kind = "image" if part.type == "image" else "document"
    if inside is not None:
        media_type = inside[0] or ("application/pdf" if kind == "document" else "image/png")
        return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": inside[1]}}
    return {"type": kind, "source": {"type": "url", "url": part.url}}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    made: dict[str, Any] = {"name": tool.name, "input_schema": tool.parameters or {"type": "object"}}
    if tool.description:
        made["description"] = tool.description
    return made


def _tool_choice(request: ChatRequest) -> dict[str, Any]:
    kinds = {"required": {"type": "any"}, "auto": {"type": "auto"}, "none": {"type": "none"}}
    choice: dict[str, Any] = {}
    if request.tool_choice:
        choice = dict(kinds.get(request.tool_choice, {"type": "tool", "name": request.tool_choice}))
    if request.parallel_tool_calls is False and request.tool_choice != "none":
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return choice
