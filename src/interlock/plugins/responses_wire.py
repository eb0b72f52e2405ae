"""OpenAI's Responses between bytes and `core.chat`, for callers of that dialect: their bytes go out and the vendor's come back.

The vendor keeps nothing (`store: false`): ids of kept responses would open every tenant's conversation to whoever knows one, since
all share the vendor's key. The gateway keeps them instead. Source: the API reference for responses and their streaming events
(platform.openai.com/docs/api-reference/responses), November 2026.

Above: providers/openai. Below: `core`, msgspec.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from interlock.core.chat import (
    ChatRequest,
    ChatResponse,
    Chunk,
    Finish,
    Thought,
    ThoughtDelta,
    ToolCall,
    ToolCallDelta,
)
from interlock.core.errors import BadReply, UpstreamCut, UpstreamRefused
from interlock.core.money import Usage
from interlock.core.ports import Deployment
from interlock.core.unreadable import UNREADABLE

DIALECT = "openai_responses"


class _InputDetails(Struct):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class _OutputDetails(Struct):
    reasoning_tokens: int = 0


class _Usage(Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Part(Struct):
    type: str = ""
    text: str = ""
    refusal: str = ""


class _Item(Struct):
    type: str = ""
    id: str | None = None
    content: list[_Part] | None = None
    summary: list[_Part] | None = None
    encrypted_content: str | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class _Incomplete(Struct):
    reason: str = ""


class _Response(Struct):
    id: str = ""
    model: str | None = None
    status: str = "completed"
    output: list[_Item] = []
    usage: _Usage | None = None
    error: Raw = Raw(b"null")
    incomplete_details: _Incomplete | None = None


class _Event(Struct):
    type: str = ""
    delta: str | Any = ""
    output_index: int = 0
    item: _Item | None = None
    response: _Response | None = None
    message: str = ""


_response = msgspec.json.Decoder(_Response)
_event = msgspec.json.Decoder(_Event)
_fields = msgspec.json.Decoder(dict[str, Raw])
_json = msgspec.json.Encoder()


def takes(request: ChatRequest) -> bool:
    """Whether the request holds bytes of this dialect."""
    return bool(request.raw) and request.raw_dialect == DIALECT


def patched(request: ChatRequest, model: str, *, stream: bool) -> bytes:
    """The caller's own bytes with the model, the output cap and the vendor's storage put in; all else as it was."""
    fields = _fields.decode(request.raw)
    fields["model"] = Raw(_json.encode(model))
    fields["store"] = Raw(b"false")
    if request.max_output_tokens is not None:
        fields["max_output_tokens"] = Raw(_json.encode(request.max_output_tokens))
    if stream != (fields.get("stream") == b"true"):
        fields["stream"] = Raw(b"true" if stream else b"false")
    return _json.encode(fields)


def response_of(body: bytes, deployment: Deployment) -> ChatResponse:
    """A whole answer.

    Raises:
        BadReply: the body is not of this dialect. UpstreamRefused: the vendor says that it failed.
    """
    try:
        reply = _response.decode(body)
    except UNREADABLE as error:
        raise BadReply(f"{deployment.name} sent a body that is not a response: {error}") from error
    if reply.status == "failed":
        raise _failed(reply, deployment)
    items = reply.output
    return ChatResponse(
        model=reply.model or deployment.model,
        text="".join(_texts(items, "output_text")),
        tool_calls=tuple(ToolCall(i.call_id, i.name, i.arguments or "{}") for i in items if i.type == "function_call"),
        finish=_finish(reply),
        usage=_usage(reply.usage),
        id=reply.id,
        refusal="".join(part.refusal for item in items for part in item.content or () if part.type == "refusal"),
        thoughts=tuple(_thought(item) for item in items if item.type == "reasoning"),
        raw=body,
        raw_dialect=DIALECT,
    )


def chunk_of(raw: bytes, data: list[bytes], deployment: Deployment, *, relayed: bool) -> Chunk:
    """One piece of a stream out of whole events that came together.

    Raises:
        BadReply: an event is not of this dialect. UpstreamRefused, UpstreamCut: an event says that the vendor failed, before or after
        anything was relayed.
    """
    text: list[str] = []
    calls: list[ToolCallDelta] = []
    thoughts: list[ThoughtDelta] = []
    refusal = ""
    last: _Response | None = None
    for each in data:
        if each == b"[DONE]":
            continue
        try:
            event = _event.decode(each)
        except UNREADABLE as error:
            raise BadReply(f"{deployment.name} sent an event that is not of a response: {error}") from error
        delta = event.delta if isinstance(event.delta, str) else ""
        match event.type:
            case "response.output_text.delta":
                text.append(delta)
            case "response.refusal.delta":
                refusal += delta
            case "response.function_call_arguments.delta":
                calls.append(ToolCallDelta(event.output_index, arguments=delta))
            case "response.reasoning_summary_text.delta":
                thoughts.append(ThoughtDelta(event.output_index, text=delta))
            case "response.output_item.added" if event.item is not None and event.item.type == "function_call":
                calls.append(ToolCallDelta(event.output_index, event.item.call_id, event.item.name))
            case "response.output_item.done" if event.item is not None and event.item.type == "reasoning":
                sealed = event.item.encrypted_content or ""
                thoughts.append(ThoughtDelta(event.output_index, data=sealed, origin=DIALECT, id=event.item.id or ""))
            case "response.completed" | "response.incomplete":
                last = event.response
            case "response.failed" | "error":
                raise _failed(event.response, deployment, event.message, relayed=relayed)
            case _:
                pass
    return Chunk(
        "".join(text),
        tuple(calls),
        None if last is None else _finish(last),
        None if last is None else _usage(last.usage),
        "" if last is None else last.model or "",
        "" if last is None else last.id,
        raw,
        DIALECT,
        refusal=refusal,
        thoughts=tuple(thoughts),
    )


def _texts(items: list[_Item], kind: str) -> list[str]:
    return [part.text for item in items for part in item.content or () if item.type == "message" and part.type == kind]


def _thought(item: _Item) -> Thought:
    text = "\n\n".join(part.text for part in item.content or item.summary or ())
    return Thought(text, data=item.encrypted_content or "", origin=DIALECT, id=item.id or "")


def _finish(reply: _Response) -> Finish:
    if reply.incomplete_details is not None:
        return "content_filter" if reply.incomplete_details.reason == "content_filter" else "length"
    return "tool_calls" if any(item.type == "function_call" for item in reply.output) else "stop"


def _usage(usage: _Usage | None) -> Usage:
    """Disjoint buckets: this dialect counts cached tokens inside the input, and reasoning inside the output."""
    if usage is None:
        return Usage()
    asked, made = usage.input_tokens_details or _InputDetails(), usage.output_tokens_details or _OutputDetails()
    return Usage(
        input=max(0, usage.input_tokens - asked.cached_tokens - asked.cache_write_tokens),
        cache_read=asked.cached_tokens,
        cache_write=asked.cache_write_tokens,
        output=max(0, usage.output_tokens - made.reasoning_tokens),
        reasoning=made.reasoning_tokens,
    )


def _failed(
    reply: _Response | None, deployment: Deployment, message: str = "", *, relayed: bool = False
) -> UpstreamCut | UpstreamRefused:
    body = bytes(reply.error).decode("utf-8", "replace") if reply is not None else message
    what = f"{deployment.name} reported that the response failed: {body[:500]}"
    error = UpstreamCut(what) if relayed else UpstreamRefused(what, upstream_status=500, body=body)
    error.usage = _usage(reply.usage) if reply is not None and reply.usage is not None else None
    return error
