"""Replies and event streams in Anthropic's words, into `core.chat`.

Above: providers/anthropic. Below: anthropic_ask, `core`, msgspec.
Source: the API reference and the pages on streaming, thinking and prompt caching (platform.claude.com/docs), November 2026.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from interlock.core.chat import (
    ChatRequest,
    ChatResponse,
    Chunk,
    Finish,
    ToolCall,
    ToolCallDelta,
)
from interlock.core.errors import BadReply, UpstreamCut, UpstreamError, UpstreamRefused
from interlock.core.money import Usage
from interlock.core.ports import Deployment

from .anthropic_ask import DIALECT, Thoughts

FINISHES: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Statuses of the error types, for errors that come inside a stream."""
THINKING = ("thinking", "redacted_thinking")


class _Creation(Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _Usage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _Creation | None = None


class _Block(Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")


class _Delta(Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Reply(Struct):
    id: str = ""
    model: str = ""
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None


class _Fault(Struct):
    type: str = ""
    message: str = ""


class _Event(Struct):
    type: str
    index: int = 0
    message: _Reply | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: _Fault | None = None


_reply = msgspec.json.Decoder(_Reply)
_event = msgspec.json.Decoder(_Event)


def response_of(body: bytes, request: ChatRequest, deployment: Deployment, thoughts: Thoughts) -> ChatResponse:
    """A whole answer; thinking blocks are left out of its text and kept for the tool loop.

    Raises:
        BadReply: the body is not of this dialect.
    """
    try:
        reply = _reply.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadReply(f"{deployment.name} sent a body that is not a message: {error}") from error
    if reply.content is None:
        raise _unreadable(reply, body, deployment)
    first = next((each.id for each in reply.content if each.type == "tool_use"), "")
    blocks = [_thought(each) for each in reply.content if each.type in THINKING]
    if first and blocks:
        thoughts.keep(first, blocks)
    same = request.raw_dialect == DIALECT
    return ChatResponse(
        model=reply.model or deployment.model,
        text="".join(each.text for each in reply.content if each.type == "text"),
        tool_calls=tuple(
            ToolCall(id=each.id, name=each.name, arguments=bytes(each.input).decode())
            for each in reply.content
            if each.type == "tool_use"
        ),
        finish=FINISHES.get(reply.stop_reason or "end_turn", "stop"),
        usage=usage_of(reply.usage),
        id=reply.id,
        refusal="the vendor's safety system ended the answer" if reply.stop_reason == "refusal" else "",
        raw=body if same else b"",
        raw_dialect=DIALECT if same else "",
    )


class Reading:
    """One stream on its way in."""

    def __init__(self, deployment: Deployment, request: ChatRequest, thoughts: Thoughts) -> None:
        self._deployment = deployment
        self._thoughts = thoughts
        self._thinking: dict[int, _Block] = {}
        """By the index of the content block."""
        self._same = request.raw_dialect == DIALECT
        self._usage = Usage()
        self._tools: dict[int, int] = {}
        """Index of a content block → index of its tool call."""
        self._begun = False
        self.stopped = False
        """`message_stop` has come."""

    def chunk(self, raw: bytes, data: list[bytes]) -> Chunk:
        """One piece out of whole events that came together.

        Raises:
            BadReply: an event is not of this dialect. UpstreamRefused, UpstreamCut: an event says that the vendor failed.
        """
        text: list[str] = []
        deltas: list[ToolCallDelta] = []
        finish: Finish | None = None
        usage: Usage | None = None
        model = identity = ""
        for each in data:
            event = self._decoded(each)
            if event.type == "message_start" and event.message is not None:
                self._begun = True
                model, identity = event.message.model, event.message.id
                usage = self._counted(event.message.usage)
            elif event.type == "content_block_start" and event.content_block is not None:
                self._block(event.index, event.content_block, text, deltas)
            elif event.type == "content_block_delta" and event.delta is not None:
                self._delta(event.index, event.delta, text, deltas)
            elif event.type == "message_delta":
                usage = self._counted(event.usage)
                if event.delta is not None and event.delta.stop_reason is not None:
                    finish = FINISHES.get(event.delta.stop_reason, "stop")
            elif event.type == "message_stop":
                self.stopped = True
            elif event.type == "error":
                raise self._failed(event.error or _Fault())
        same = self._same
        return Chunk(
            "".join(text), tuple(deltas), finish, usage, model, identity, raw if same else b"", DIALECT if same else ""
        )

    def _decoded(self, data: bytes) -> _Event:
        try:
            return _event.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadReply(f"{self._deployment.name} sent an event that is not of a message: {error}") from error

    def _delta(self, index: int, delta: _Delta, text: list[str], deltas: list[ToolCallDelta]) -> None:
        if delta.type == "text_delta":
            text.append(delta.text)
        elif delta.type == "input_json_delta" and delta.partial_json:
            deltas.append(ToolCallDelta(self._tools.get(index, 0), arguments=delta.partial_json))
        elif (block := self._thinking.get(index)) is not None:
            block.thinking += delta.thinking
            block.signature += delta.signature

    def _block(self, index: int, block: _Block, text: list[str], deltas: list[ToolCallDelta]) -> None:
        if block.type == "text" and block.text:
            text.append(block.text)
        elif block.type in THINKING:
            self._thinking[index] = block
        elif block.type == "tool_use":
            if self._thinking and not self._tools:
                self._thoughts.keep(block.id, [_thought(each) for each in self._thinking.values()])
            self._tools[index] = len(self._tools)
            whole = bytes(block.input).decode()
            deltas.append(
                ToolCallDelta(self._tools[index], block.id, block.name, whole if whole not in ("{}", "null") else "")
            )

    def _counted(self, usage: _Usage | None) -> Usage:
        """Usage so far: later events repeat only what changed, so the larger figure of each bucket stands."""
        now = usage_of(usage)
        self._usage = Usage(
            input=max(now.input, self._usage.input),
            cache_read=max(now.cache_read, self._usage.cache_read),
            cache_write=max(now.cache_write, self._usage.cache_write),
            cache_write_1h=max(now.cache_write_1h, self._usage.cache_write_1h),
            output=max(now.output, self._usage.output),
        )
        return self._usage

    def _failed(self, fault: _Fault) -> UpstreamError:
        what = f"{self._deployment.name} reported {fault.type} in its stream: {fault.message}"
        if self._begun:
            return UpstreamCut(what)
        return UpstreamRefused(what, upstream_status=STATUSES.get(fault.type, 500), body=fault.message)


def _thought(block: _Block) -> dict[str, str]:
    if block.type == "redacted_thinking":
        return {"type": block.type, "data": block.data}
    return {"type": block.type, "thinking": block.thinking, "signature": block.signature}


def usage_of(usage: _Usage | None) -> Usage:
    """Buckets as this dialect counts them: disjoint already. Thinking is billed inside the output and not told apart."""
    if usage is None:
        return Usage()
    written = usage.cache_creation_input_tokens or 0
    longer = (usage.cache_creation.ephemeral_1h_input_tokens or 0) if usage.cache_creation else 0
    return Usage(
        input=usage.input_tokens or 0,
        cache_read=usage.cache_read_input_tokens or 0,
        cache_write=max(0, written - longer),
        cache_write_1h=longer,
        output=usage.output_tokens or 0,
    )


def _unreadable(reply: _Reply, body: bytes, deployment: Deployment) -> BadReply:
    error = BadReply(f"{deployment.name} sent a message without content: {body[:200].decode('utf-8', 'replace')}")
    error.usage = usage_of(reply.usage) if reply.usage else None
    return error
