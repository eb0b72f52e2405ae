"""Replies and event streams in Anthropic's words, into `core.chat`.

Above: providers/anthropic. Below: anthropic_turns, `core`, msgspec.
Source: the API reference and the pages on streaming, thinking and prompt caching (platform.claude.com/docs), November 2026.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, structs

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
from interlock.core.errors import BadReply, UpstreamCut, UpstreamError, UpstreamRefused
from interlock.core.money import Usage
from interlock.core.ports import Deployment
from interlock.core.unreadable import UNREADABLE

from .anthropic_turns import DIALECT, Thoughts, thinking_block

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
REFUSED = "the vendor's safety system ended the answer"


class _OutputDetails(Struct):
    thinking_tokens: int | None = None


class _Creation(Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _Usage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _Creation | None = None
    output_tokens_details: _OutputDetails | None = None


class _StopDetails(Struct):
    explanation: str | None = None


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
    stop_sequence: str | None = None
    stop_details: _StopDetails | None = None


class _Reply(Struct):
    id: str = ""
    model: str = ""
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: _StopDetails | None = None
    usage: _Usage | None = None


class _Fault(Struct):
    type: str = ""
    message: str = ""


class _Count(Struct):
    input_tokens: int


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
_count = msgspec.json.Decoder(_Count)


def response_of(body: bytes, request: ChatRequest, deployment: Deployment, thoughts: Thoughts) -> ChatResponse:
    """A whole answer; thinking blocks are left out of its text and kept for the tool loop.

    Raises:
        BadReply: the body is not of this dialect.
    """
    try:
        reply = _reply.decode(body)
    except UNREADABLE as error:
        raise BadReply(f"{deployment.name} sent a body that is not a message: {error}") from error
    if reply.content is None:
        raise _unreadable(reply, body, deployment)
    first = next((each.id for each in reply.content if each.type == "tool_use"), "")
    thinking = tuple([_thought(each) for each in reply.content if each.type in THINKING])
    if first and thinking:
        thoughts.keep(request.tenant, first, [thinking_block(each) for each in thinking])
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
        refusal=_refusal(reply.stop_reason, reply.stop_details),
        thoughts=thinking,
        stop_hit=reply.stop_sequence or "",
        raw=body if same else b"",
        raw_dialect=DIALECT if same else "",
    )


class Reading:
    """One stream on its way in."""

    def __init__(self, deployment: Deployment, request: ChatRequest, thoughts: Thoughts) -> None:
        self._deployment = deployment
        self._tenant = request.tenant
        self._thoughts = thoughts
        self._thinking: dict[int, _Block] = {}
        """By the index of the content block."""
        self._same = request.raw_dialect == DIALECT
        self._usage = Usage()
        self._tools: dict[int, int] = {}
        """Index of a content block → index of its tool call."""
        self._silent: set[int] = set()
        """Tool calls whose arguments have not begun; one that ends so has none, which other dialects write as an empty object."""
        self._begun = False
        self._stop_hit = self._refusal = ""
        self.stopped = False
        """`message_stop` has come."""

    def chunk(self, raw: bytes, data: list[bytes]) -> Chunk:
        """One piece out of whole events that came together.

        Raises:
            BadReply: an event is not of this dialect. UpstreamRefused, UpstreamCut: an event says that the vendor failed.
        """
        text: list[str] = []
        deltas: list[ToolCallDelta] = []
        thoughts: list[ThoughtDelta] = []
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
                self._block(event.index, event.content_block, text, deltas, thoughts)
            elif event.type == "content_block_delta" and event.delta is not None:
                self._delta(event.index, event.delta, text, deltas, thoughts)
            elif event.type == "content_block_stop" and self._tools.get(event.index, -1) in self._silent:
                self._silent.discard(self._tools[event.index])
                deltas.append(ToolCallDelta(self._tools[event.index], arguments="{}"))
            elif event.type == "message_delta":
                usage = self._counted(event.usage)
                if event.delta is not None and event.delta.stop_reason is not None:
                    finish = FINISHES.get(event.delta.stop_reason, "stop")
                    self._stop_hit = event.delta.stop_sequence or ""
                    self._refusal = _refusal(event.delta.stop_reason, event.delta.stop_details)
            elif event.type == "message_stop":
                self.stopped = True
            elif event.type == "error":
                raise self._failed(event.error or _Fault())
        chunk = Chunk(
            "".join(text),
            tuple(deltas),
            finish,
            usage,
            model,
            identity,
            raw if self._same else b"",
            DIALECT if self._same else "",
            thoughts=tuple(thoughts),
            parts=len(text) or 1,
        )
        if finish is None:
            return chunk
        return structs.replace(chunk, stop_hit=self._stop_hit, refusal=self._refusal)

    def _decoded(self, data: bytes) -> _Event:
        try:
            return _event.decode(data)
        except UNREADABLE as error:
            raise BadReply(f"{self._deployment.name} sent an event that is not of a message: {error}") from error

    def _delta(
        self,
        index: int,
        delta: _Delta,
        text: list[str],
        deltas: list[ToolCallDelta],
        thoughts: list[ThoughtDelta],
    ) -> None:
        if delta.type == "text_delta":
            text.append(delta.text)
        elif delta.type == "input_json_delta" and delta.partial_json:
            call = self._tools.get(index, 0)
            self._silent.discard(call)
            deltas.append(ToolCallDelta(call, arguments=delta.partial_json))
        elif (block := self._thinking.get(index)) is not None:
            block.thinking += delta.thinking
            block.signature += delta.signature
            thoughts.append(ThoughtDelta(index, delta.thinking, delta.signature, origin=DIALECT))

    def _block(
        self,
        index: int,
        block: _Block,
        text: list[str],
        deltas: list[ToolCallDelta],
        thoughts: list[ThoughtDelta],
    ) -> None:
        if block.type == "text" and block.text:
            text.append(block.text)
        elif block.type in THINKING:
            self._thinking[index] = block
            if block.data or block.thinking or block.signature:
                thoughts.append(ThoughtDelta(index, block.thinking, block.signature, block.data, DIALECT))
        elif block.type == "tool_use":
            if self._thinking and not self._tools:
                seen = [thinking_block(_thought(each)) for each in self._thinking.values()]
                self._thoughts.keep(self._tenant, block.id, seen)
            self._tools[index] = len(self._tools)
            whole = bytes(block.input).decode()
            if whole in ("{}", "null"):
                whole = ""
                self._silent.add(self._tools[index])
            deltas.append(ToolCallDelta(self._tools[index], block.id, block.name, whole))

    def _counted(self, usage: _Usage | None) -> Usage:
        """Usage so far: later events repeat only what changed, so the larger figure of each bucket stands."""
        now = usage_of(usage)
        self._usage = Usage(
            input=max(now.input, self._usage.input),
            cache_read=max(now.cache_read, self._usage.cache_read),
            cache_write=max(now.cache_write, self._usage.cache_write),
            cache_write_1h=max(now.cache_write_1h, self._usage.cache_write_1h),
            output=max(now.output_total, self._usage.output_total) - max(now.reasoning, self._usage.reasoning),
            reasoning=max(now.reasoning, self._usage.reasoning),
        )
        return self._usage

    def _failed(self, fault: _Fault) -> UpstreamError:
        what = f"{self._deployment.name} reported {fault.type} in its stream: {fault.message}"
        if self._begun:
            return UpstreamCut(what)
        return UpstreamRefused(what, upstream_status=STATUSES.get(fault.type, 500), body=fault.message)


def _thought(block: _Block) -> Thought:
    return Thought(block.thinking, block.signature, block.data, DIALECT)


def _refusal(stop_reason: str | None, details: _StopDetails | None) -> str:
    if stop_reason != "refusal":
        return ""
    return (details.explanation if details is not None else "") or REFUSED


def tokens_of(body: bytes, deployment: Deployment) -> int:
    """Input tokens out of the reply of the address that only counts. Raises BadReply."""
    try:
        return _count.decode(body).input_tokens
    except UNREADABLE as error:
        raise BadReply(f"{deployment.name} sent a body that is no count of tokens: {error}") from error


def usage_of(usage: _Usage | None) -> Usage:
    """Buckets as this dialect counts them: disjoint but for thinking, which is billed inside the output."""
    if usage is None:
        return Usage()
    written = usage.cache_creation_input_tokens or 0
    longer = (usage.cache_creation.ephemeral_1h_input_tokens or 0) if usage.cache_creation else 0
    made = usage.output_tokens or 0
    details = usage.output_tokens_details
    thought = min(made, (details.thinking_tokens or 0) if details is not None else 0)
    return Usage(
        input=usage.input_tokens or 0,
        cache_read=usage.cache_read_input_tokens or 0,
        cache_write=max(0, written - longer),
        cache_write_1h=longer,
        output=made - thought,
        reasoning=thought,
    )


def _unreadable(reply: _Reply, body: bytes, deployment: Deployment) -> BadReply:
    error = BadReply(f"{deployment.name} sent a message without content: {body[:200].decode('utf-8', 'replace')}")
    error.usage = usage_of(reply.usage) if reply.usage else None
    return error
