"""OpenAI's chat completions between bytes and `core.chat`.

Above: providers/openai. Below: `core`, msgspec. Only what the gateway needs is decoded; the rest travels as the bytes it is.
Source: the API reference for chat completions and their streaming events (platform.openai.com/docs/api-reference/chat), November 2026.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from interlock.core.chat import (
    ChatRequest,
    ChatResponse,
    Chunk,
    Finish,
    Message,
    Part,
    ToolCall,
    ToolCallDelta,
    ToolSpec,
)
from interlock.core.errors import BadReply, InvalidRequest, UpstreamCut, UpstreamRefused
from interlock.core.money import Usage
from interlock.core.ports import Deployment

FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
CAPS = ("max_completion_tokens", "max_tokens")
SAMPLING = ("temperature", "top_p", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty", "logit_bias")
NULL = Raw(b"null")


class _PromptDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _CompletionDetails(Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Message(Struct):
    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct):
    index: int = 0
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None
    logprobs: Raw = NULL


class _Completion(Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Raw = NULL


class _UsageOnly(Struct):
    usage: _Usage | None = None


class _Logprob(Struct):
    logprob: float


class _Logprobs(Struct):
    content: list[_Logprob] | None = None


_completion = msgspec.json.Decoder(_Completion)
_usage_only = msgspec.json.Decoder(_UsageOnly)
_fields = msgspec.json.Decoder(dict[str, Raw])
_logprobs = msgspec.json.Decoder(_Logprobs | None)
_json = msgspec.json.Encoder()


# --- Requests ---------------------------------------------------------------------------------------------------


def patched(
    request: ChatRequest, model: str, cap: str, *, sampling: bool, tools: str, stream: bool, usage: bool
) -> bytes:
    """The caller's own bytes with the model, the output cap and the wish for usage put in.

    All else stays as it was, but for what the model's profile (`sampling`, `tools`) says it would refuse.
    """
    fields = _fields.decode(request.raw)
    fields["model"] = Raw(_json.encode(model))
    allowed = request.max_output_tokens
    if allowed is not None and not any(fields.get(name) == str(allowed).encode() for name in CAPS):
        present = next((name for name in CAPS if name in fields and fields[name] != NULL), cap)
        fields[present] = Raw(_json.encode(allowed))
    if not sampling:
        for name in SAMPLING:
            fields.pop(name, None)
    elif request.logprobs and "logprobs" not in fields:
        fields["logprobs"] = Raw(b"true")
    if request.tools and tools != "yes":
        fields.setdefault("reasoning_effort", Raw(_json.encode(_effort(tools, model))))
    if stream != (fields.get("stream") == b"true"):
        fields["stream"] = Raw(b"true" if stream else b"false")
    if stream and usage and not request.include_usage:
        fields["stream_options"] = Raw(b'{"include_usage":true}')
    if not stream:
        fields.pop("stream_options", None)
    return _json.encode(fields)


def encoded(
    request: ChatRequest, model: str, cap: str, *, sampling: bool, tools: str, stream: bool, usage: bool
) -> bytes:
    """A request in this dialect. `sampling` and `tools` are the model's profile.

    Raises:
        InvalidRequest: the request has something that this dialect, or the model in it, cannot take.
    """
    fields: dict[str, Any] = {"model": model, "messages": [_message(each) for each in request.messages]}
    if request.tools:
        fields["tools"] = [_tool(each) for each in request.tools]
        if request.tool_choice:
            fields["tool_choice"] = _tool_choice(request.tool_choice)
        if tools != "yes":
            fields["reasoning_effort"] = _effort(tools, model)
        _put(fields, parallel_tool_calls=request.parallel_tool_calls)
    if sampling:
        _put(fields, temperature=request.temperature, top_p=request.top_p, seed=request.seed)
        _put(fields, stop=list(request.stop) or None, logprobs=request.logprobs or None)
    _put(fields, **{cap: request.max_output_tokens}, user=request.user or None, response_format=_format(request))
    fields.update(request.extra)
    if stream:
        fields["stream"] = True
        if usage:
            fields["stream_options"] = {"include_usage": True}
    return _json.encode(fields)


def _tool_choice(choice: str) -> Any:
    return choice if choice in ("auto", "none", "required") else {"type": "function", "function": {"name": choice}}


def _format(request: ChatRequest) -> dict[str, Any] | None:
    schema = request.output_schema
    if schema is None:
        return {"type": "json_object"} if request.json_mode else None
    return {
        "type": "json_schema",
        "json_schema": {"name": schema.name, "schema": schema.schema, "strict": schema.strict},
    }


def _effort(tools: str, model: str) -> str:
    """The reasoning effort with which a model takes tools here, unless the caller says another."""
    if tools == "no":
        raise InvalidRequest(
            f"{model} takes tools only through another interface than chat completions.",
            param="tools",
            hint="Route requests with tools to another model.",
        )
    return "none"


def _put(fields: dict[str, Any], **values: Any) -> None:
    fields.update({name: value for name, value in values.items() if value is not None})


def _message(message: Message) -> dict[str, Any]:
    role = "system" if message.role == "developer" else message.role
    content = message.content if isinstance(message.content, str) else [_part(each) for each in message.content]
    made: dict[str, Any] = {"role": role, "content": content}
    if message.tool_calls:
        made["content"] = content or None
        made["tool_calls"] = [
            {"id": each.id, "type": "function", "function": {"name": each.name, "arguments": each.arguments}}
            for each in message.tool_calls
        ]
    if message.tool_call_id:
        made["tool_call_id"] = message.tool_call_id
    elif message.name:
        made["name"] = message.name
    return made


def _part(part: Part) -> dict[str, Any]:
    if part.type == "text":
        return {"type": "text", "text": part.text}
    if part.type == "image":
        return {"type": "image_url", "image_url": {"url": part.url or f"data:{part.media_type};base64,{part.data}"}}
    if part.type == "audio":
        if not part.data:
            raise InvalidRequest("audio has to come as base64 in this dialect, not by address.", param="messages")
        kind = part.media_type.rsplit("/", 1)[-1].removeprefix("x-")
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": kind or "wav"}}
    data = part.url or f"data:{part.media_type or 'application/pdf'};base64,{part.data}"
    return {"type": "file", "file": {"filename": part.name or "file", "file_data": data}}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    _put(function, description=tool.description or None, strict=tool.strict or None)
    return {"type": "function", "function": function}


# --- Replies ----------------------------------------------------------------------------------------------------


def response_of(body: bytes, request: ChatRequest, deployment: Deployment) -> ChatResponse:
    """A whole answer.

    Raises:
        BadReply: the body is not of this dialect; its usage, where it can still be read, is on the error.
    """
    try:
        reply = _completion.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad(f"{deployment.name} sent a body that is not a chat completion: {error}", body) from error
    if not reply.choices or reply.choices[0].message is None:
        raise _bad(
            f"{deployment.name} sent a completion without an answer: {body[:200].decode('utf-8', 'replace')}", body
        )
    choice = reply.choices[0]
    message = reply.choices[0].message
    return ChatResponse(
        model=reply.model or deployment.model,
        text=_text(message.content),
        tool_calls=tuple(_tool_call(each, place) for place, each in enumerate(message.tool_calls or ())),
        finish=FINISHES.get(choice.finish_reason or "stop", "stop"),
        usage=usage_of(reply.usage),
        id=reply.id or "",
        refusal=message.refusal or "",
        mean_logprob=_mean_logprob(choice.logprobs) if request.logprobs else None,
        raw=body if request.raw_dialect == "openai" else b"",
        raw_dialect="openai" if request.raw_dialect == "openai" else "",
    )


def chunk_of(raw: bytes, data: list[bytes], request: ChatRequest, deployment: Deployment, *, relayed: bool) -> Chunk:
    """One piece of a stream out of whole events that came together.

    A usage event that only we had asked for is not in its `raw`: some clients take every event to have a choice.

    Raises:
        BadReply: an event is not of this dialect. UpstreamRefused, UpstreamCut: an event says that the vendor failed, before or after
        anything was relayed.
    """
    text: list[str] = []
    deltas: list[ToolCallDelta] = []
    finish: Finish | None = None
    usage: Usage | None = None
    model = identity = ""
    for each in data:
        if each == b"[DONE]":
            continue
        try:
            event = _completion.decode(each)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadReply(f"{deployment.name} sent an event that is not of a chat completion: {error}") from error
        if event.error != NULL:
            raise _failed(bytes(event.error), deployment, relayed=relayed)
        model, identity = event.model or model, event.id or identity
        if event.usage is not None:
            usage = usage_of(event.usage)
            if not event.choices and not request.include_usage:
                raw = b"".join(b"data: " + other + b"\n\n" for other in data if other is not each)
        for choice in event.choices:
            if choice.index != 0:
                continue
            if choice.finish_reason is not None:
                finish = FINISHES.get(choice.finish_reason, "stop")
            if (delta := choice.delta) is not None:
                if delta.content:
                    text.append(_text(delta.content))
                deltas.extend(_delta(call) for call in delta.tool_calls or ())
    same = request.raw_dialect == "openai"
    return Chunk(
        "".join(text), tuple(deltas), finish, usage, model, identity, raw if same else b"", "openai" if same else ""
    )


def usage_of(usage: _Usage | None) -> Usage:
    """Disjoint buckets: this dialect counts cached tokens inside the prompt, and reasoning inside the completion."""
    if usage is None:
        return Usage()
    asked = usage.prompt_tokens_details or _PromptDetails()
    made = usage.completion_tokens_details or _CompletionDetails()
    cached, kept = asked.cached_tokens or 0, asked.cache_write_tokens or 0
    heard, seen = asked.audio_tokens or 0, asked.image_tokens or 0
    thought, spoken = made.reasoning_tokens or 0, made.audio_tokens or 0
    return Usage(
        input=max(0, usage.prompt_tokens - cached - kept - heard - seen),
        cache_read=cached,
        cache_write=kept,
        input_image=seen,
        input_audio=heard,
        output=max(0, (usage.completion_tokens or 0) - thought - spoken),
        reasoning=thought,
        output_audio=spoken,
    )


def _bad(message: str, body: bytes) -> BadReply:
    error = BadReply(message)
    try:
        error.usage = usage_of(_usage_only.decode(body).usage)
    except (msgspec.DecodeError, UnicodeDecodeError):
        error.usage = _scanned(body)
    if error.usage == Usage():
        error.usage = None
    return error


def _scanned(body: bytes) -> Usage | None:
    """Usage read number by number out of a body that does not parse."""
    found: dict[str, int] = {}
    for name in ("prompt_tokens", "completion_tokens"):
        _, _, after = body.rpartition(f'"{name}":'.encode())
        digits = after.lstrip()[:12].split(b",")[0].split(b"}")[0].strip()
        if not digits.isdigit():
            return None
        found[name] = int(digits)
    return Usage(input=found["prompt_tokens"], output=found["completion_tokens"])


def _failed(error: bytes, deployment: Deployment, *, relayed: bool) -> UpstreamCut | UpstreamRefused:
    what = f"{deployment.name} reported an error in its stream: {error[:500].decode('utf-8', 'replace')}"
    if relayed:
        return UpstreamCut(what)
    return UpstreamRefused(what, upstream_status=500, body=error.decode("utf-8", "replace"))


def _text(content: str | list[Any] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    parts = cast(list[dict[str, Any]], [part for part in content if isinstance(part, dict)])
    return "".join(str(part.get("text", "")) for part in parts)


def _tool_call(call: _ToolCall, place: int) -> ToolCall:
    function = call.function or _Function()
    return ToolCall(id=call.id or f"call_{place}", name=function.name or "", arguments=function.arguments or "{}")


def _delta(call: _ToolCall) -> ToolCallDelta:
    function = call.function or _Function()
    return ToolCallDelta(call.index, call.id or "", function.name or "", function.arguments or "")


def _mean_logprob(raw: Raw) -> float | None:
    found = _logprobs.decode(raw)
    if found is None or not found.content:
        return None
    return sum(each.logprob for each in found.content) / len(found.content)
