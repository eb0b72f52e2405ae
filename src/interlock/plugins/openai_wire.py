"""Replies and event streams of OpenAI's chat completions, into `core.chat`.

Above: providers/openai. Below: openai_turns, `core`, msgspec. Only what the gateway needs is decoded; the rest travels as the bytes it is.
Source: the API reference for chat completions and their streaming events (platform.openai.com/docs/api-reference/chat), November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from interlock.core.chat import (
    ChatRequest,
    ChatResponse,
    Choice,
    ChoiceDelta,
    Chunk,
    Finish,
    Thought,
    ThoughtDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
)
from interlock.core.errors import BadReply, UpstreamCut, UpstreamRefused
from interlock.core.money import Usage
from interlock.core.ports import Deployment
from interlock.core.unreadable import UNREADABLE

from .openai_turns import DIALECT

FINISHES: dict[str, Finish] = {
    "stop": "stop", "length": "length", "content_filter": "content_filter",
    "tool_calls": "tool_calls", "function_call": "tool_calls",
}  # fmt: skip
NULL = Raw(b"null")


class _PromptDetails(Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _CompletionDetails(Struct, gc=False):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class _Usage(Struct, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Function(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    """JSON text; some servers (Hugging Face TGI) write the object itself."""


class _ToolCall(Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Message(Struct, gc=False):
    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    reasoning_content: str | None = None
    """What was thought, as several servers of this dialect show it; newer ones call it `reasoning`."""
    reasoning: str | None = None


class _Choice(Struct, gc=False):
    index: int = 0
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    """The stop sequence that ended the answer; vLLM names it."""
    logprobs: Raw = NULL


class _Completion(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Raw = NULL


class _UsageOnly(Struct):
    usage: _Usage | None = None


class _Top(Struct):
    token: str
    logprob: float


class _Logprob(Struct):
    token: str
    logprob: float
    top_logprobs: list[_Top] | None = None


class _Logprobs(Struct):
    content: list[_Logprob] | None = None


_NO_PROMPT_DETAILS, _NO_COMPLETION_DETAILS = _PromptDetails(), _CompletionDetails()
_completion = msgspec.json.Decoder(_Completion)
_usage_only = msgspec.json.Decoder(_UsageOnly)
_logprobs = msgspec.json.Decoder(_Logprobs | None)


PLAIN = ChatRequest(model="", messages=(), raw_dialect=DIALECT)
"""A request of this dialect that asks for no probabilities."""


class Read:
    """A whole answer, decoded; its usage is worked out at once, the rest when it is asked for. `core.short.Said`."""

    __slots__ = ("_deployment", "_reply", "body", "usage")

    def __init__(self, body: bytes, deployment: Deployment) -> None:
        """Raises BadReply: as `response_of`."""
        try:
            reply = _completion.decode(body)
        except UNREADABLE as error:
            raise _bad(f"{deployment.name} sent a body that is not a chat completion: {error}", body) from error
        if not reply.choices or reply.choices[0].message is None:
            raise _bad(
                f"{deployment.name} sent a completion without an answer: {body[:200].decode('utf-8', 'replace')}", body
            )
        self.body = body
        self.usage = usage_of(reply.usage)
        self._deployment = deployment
        self._reply = reply

    @property
    def plain(self) -> bool:
        choices = self._reply.choices
        message, finish = choices[0].message, choices[0].finish_reason
        if message is None or message.tool_calls or message.refusal:
            return False
        return len(choices) == 1 and (finish is None or finish == "stop")

    @property
    def text(self) -> str:
        message = self._reply.choices[0].message or _Message()
        return _text(message.content) or "".join([each.arguments for each in self.response().tool_calls])

    def response(self, request: ChatRequest = PLAIN) -> ChatResponse:
        """All of it, as `request` needs it."""
        reply, same = self._reply, request.raw_dialect == DIALECT
        choices = reply.choices if len(reply.choices) == 1 else sorted(reply.choices, key=lambda each: each.index)
        first = _choice(choices[0], request, same=same)
        stop = choices[0].stop_reason
        return ChatResponse(
            model=reply.model or self._deployment.model,
            text=first.text,
            tool_calls=first.tool_calls,
            finish=first.finish,
            usage=self.usage,
            id=reply.id or "",
            refusal=first.refusal,
            thoughts=first.thoughts,
            stop_hit=stop if isinstance(stop, str) else "",
            others=tuple([_choice(each, request, same=same) for each in choices[1:]]),
            logprobs=first.logprobs,
            mean_logprob=_mean_logprob(choices[0].logprobs) if request.logprobs else None,
            raw=self.body if same else b"",
            raw_dialect=DIALECT if same else "",
        )


def response_of(body: bytes, request: ChatRequest, deployment: Deployment) -> ChatResponse:
    """A whole answer.

    Raises:
        BadReply: the body is not of this dialect; its usage, where it can still be read, is on the error.
    """
    return Read(body, deployment).response(request)


def _choice(choice: _Choice, request: ChatRequest, *, same: bool) -> Choice:
    """One answer; `same`: its log-probabilities reach the caller in the vendor's own bytes."""
    message = choice.message or _Message()
    calls = tuple([_tool_call(each, place) for place, each in enumerate(message.tool_calls or ())])
    finish = FINISHES.get(choice.finish_reason or "stop", "stop")
    thought = message.reasoning_content or message.reasoning
    return Choice(
        _text(message.content),
        calls,
        "tool_calls" if calls and finish == "stop" else finish,
        message.refusal or "",
        (Thought(thought, origin=DIALECT),) if thought else (),
        () if same or not request.logprobs else _tokens(choice.logprobs),
    )


def chunk_of(raw: bytes, data: list[bytes], request: ChatRequest, deployment: Deployment, *, relayed: bool) -> Chunk:
    """One piece of a stream out of whole events that came together.

    A usage event that only we had asked for is not in its `raw`: some clients take every event to have a choice.

    Raises:
        BadReply: an event is not of this dialect. UpstreamRefused, UpstreamCut: an event says that the vendor failed, before or after
        anything was relayed.
    """
    piece = _Piece()
    usage: Usage | None = None
    model = identity = ""
    for each in data:
        if each == b"[DONE]":
            continue
        try:
            event = _completion.decode(each)
        except UNREADABLE as error:
            raise BadReply(f"{deployment.name} sent an event that is not of a chat completion: {error}") from error
        if event.error != NULL:
            raise _failed(bytes(event.error), deployment, relayed=relayed)
        model, identity = event.model or model, event.id or identity
        if event.usage is not None:
            usage = usage_of(event.usage)
            if not event.choices and not request.include_usage:
                raw = b"".join(b"data: " + other + b"\n\n" for other in data if other is not each)
        for choice in event.choices:
            piece.add(choice, request)
    same = request.raw_dialect == DIALECT
    return Chunk(
        "".join(piece.text),
        tuple(piece.calls),
        piece.finish,
        usage,
        model,
        identity,
        raw if same else b"",
        DIALECT if same else "",
        refusal=piece.refusal,
        thoughts=(ThoughtDelta(0, piece.thought, origin=DIALECT),) if piece.thought else (),
        stop_hit=piece.stop_hit,
        logprobs=piece.logprobs,
        others=() if piece.others is None else tuple([piece.others[at].delta(at) for at in sorted(piece.others)]),
        parts=len(piece.text) or 1,
    )


class _Piece:
    """What the events of one chunk say of one answer."""

    __slots__ = ("calls", "finish", "logprobs", "others", "refusal", "stop_hit", "text", "thought")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.calls: list[ToolCallDelta] = []
        self.finish: Finish | None = None
        self.refusal = self.thought = self.stop_hit = ""
        self.logprobs: tuple[TokenLogprob, ...] = ()
        self.others: dict[int, _Piece] | None = None
        """The second answer and those after it, by their index."""

    def add(self, choice: _Choice, request: ChatRequest) -> None:
        if choice.index:
            others = self.others = self.others or {}
            others.setdefault(choice.index, _Piece()).take(choice, request)
        else:
            self.take(choice, request)

    def take(self, choice: _Choice, request: ChatRequest) -> None:
        if choice.finish_reason:
            self.finish = FINISHES.get(choice.finish_reason, "stop")
            if isinstance(choice.stop_reason, str):
                self.stop_hit = choice.stop_reason
        if request.logprobs and request.raw_dialect != DIALECT and choice.logprobs != NULL:
            self.logprobs += _tokens(choice.logprobs)
        delta = choice.delta
        if delta is None:
            return
        if delta.content:
            self.text.append(_text(delta.content))
        if delta.tool_calls:
            self.calls.extend([_delta(call) for call in delta.tool_calls])
        if delta.refusal:
            self.refusal += delta.refusal
        if thought := delta.reasoning_content or delta.reasoning:
            self.thought += thought

    def delta(self, index: int) -> ChoiceDelta:
        thoughts = (ThoughtDelta(0, self.thought, origin=DIALECT),) if self.thought else ()
        return ChoiceDelta(index, "".join(self.text), tuple(self.calls), self.finish, self.refusal, thoughts)


def usage_of(usage: _Usage | None) -> Usage:
    """Disjoint buckets: this dialect counts cached tokens inside the prompt, and reasoning inside the completion."""
    if usage is None:
        return Usage()
    asked = usage.prompt_tokens_details or _NO_PROMPT_DETAILS
    made = usage.completion_tokens_details or _NO_COMPLETION_DETAILS
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
    except UNREADABLE:
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


def apart(data: list[bytes], request: ChatRequest, deployment: Deployment, *, relayed: bool) -> Iterator[Chunk]:
    """The pieces one by one of events that came together. Raises as `chunk_of`, after those that came before."""
    for place, each in enumerate(data):
        yield chunk_of(b"data: %b\n\n" % each, [each], request, deployment, relayed=relayed or place > 1)


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
    return ToolCall(call.id or f"call_{place}", function.name or "", _arguments(function) or "{}")


def _delta(call: _ToolCall) -> ToolCallDelta:
    function = call.function or _Function()
    return ToolCallDelta(call.index, call.id or "", function.name or "", _arguments(function))


def _arguments(function: _Function) -> str:
    said = function.arguments
    return said if isinstance(said, str) else msgspec.json.encode(said).decode() if said is not None else ""


def _mean_logprob(raw: Raw) -> float | None:
    found = _logprobs.decode(raw)
    if found is None or not found.content:
        return None
    return sum(each.logprob for each in found.content) / len(found.content)


def _tokens(raw: Raw) -> tuple[TokenLogprob, ...]:
    found = _logprobs.decode(raw)
    return (
        ()
        if found is None
        else tuple(
            TokenLogprob(each.token, each.logprob, tuple((top.token, top.logprob) for top in each.top_logprobs or ()))
            for each in found.content or ()
        )
    )
