"""Replies and event streams in Gemini's words, into `core.chat`.

Above: providers/gemini. Below: gemini_ask, `core`, msgspec.
Source: the API reference and the pages on function calling and thought signatures (ai.google.dev), November 2026.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

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
from interlock.core.errors import BadReply, UpstreamCut, UpstreamError, UpstreamRefused, UpstreamRejected
from interlock.core.money import Usage
from interlock.core.ports import Deployment
from interlock.core.unreadable import UNREADABLE

from .gemini_ask import DIALECT, Signatures

FINISHES: dict[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "LANGUAGE": "content_filter",
    "MALFORMED_FUNCTION_CALL": "error",
    "UNEXPECTED_TOOL_CALL": "error",
}


class _Call(Struct):
    name: str = ""
    args: Raw = Raw(b"{}")
    id: str = ""


class _Part(Struct, rename="camel"):
    text: str = ""
    thought: bool = False
    thought_signature: str = ""
    function_call: _Call | UnsetType = UNSET
    inline_data: Raw | UnsetType = UNSET
    file_data: Raw | UnsetType = UNSET
    executable_code: Raw | UnsetType = UNSET
    code_execution_result: Raw | UnsetType = UNSET

    @property
    def foreign(self) -> str:
        """What it holds that no caller's dialect has a place for; empty for what is carried."""
        kinds = {
            "a picture, sound or another file": (self.inline_data, self.file_data),
            "code that the vendor ran": (self.executable_code, self.code_execution_result),
        }
        return next((kind for kind, held in kinds.items() if any(each is not UNSET for each in held)), "")


class _Content(Struct):
    parts: list[_Part] = []


class _Token(Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _Tokens(Struct):
    candidates: list[_Token] = []


class _Logprobs(Struct, rename="camel"):
    chosen_candidates: list[_Token] = []
    top_candidates: list[_Tokens] = []


class _Candidate(Struct, rename="camel"):
    index: int = 0
    content: _Content | UnsetType = UNSET
    finish_reason: str | None = None
    finish_message: str = ""
    avg_logprobs: float | None = None
    logprobs_result: _Logprobs | UnsetType = UNSET


class _Modality(Struct, rename="camel"):
    modality: str = ""
    token_count: int = 0


class _Usage(Struct, rename="camel"):
    prompt_token_count: int = 0
    cached_content_token_count: int = 0
    candidates_token_count: int = 0
    thoughts_token_count: int = 0
    tool_use_prompt_token_count: int = 0
    prompt_tokens_details: list[_Modality] = []
    candidates_tokens_details: list[_Modality] = []
    cache_tokens_details: list[_Modality] = []


class _Feedback(Struct, rename="camel"):
    block_reason: str = ""


class _Fault(Struct):
    code: int = 500
    message: str = ""


class _Reply(Struct, rename="camel"):
    candidates: list[_Candidate] = []
    prompt_feedback: _Feedback | UnsetType = UNSET
    usage_metadata: _Usage | UnsetType = UNSET
    model_version: str = ""
    response_id: str = ""
    error: _Fault | UnsetType = UNSET


class _Count(Struct, rename="camel"):
    total_tokens: int


class Said(Struct):
    """What one candidate said in one reply or event."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    thoughts: tuple[Thought, ...] = ()
    finish: Finish | None = None
    foreign: str = ""
    """What there is beside it that cannot be carried."""


_reply = msgspec.json.Decoder(_Reply)
_count = msgspec.json.Decoder(_Count)


def response_of(body: bytes, request: ChatRequest, deployment: Deployment, signatures: Signatures) -> ChatResponse:
    """A whole answer; thoughts are left out of its text.

    Raises:
        BadReply: the body is not of this dialect, or the model's call of a function came out malformed.
    """
    reply = _decoded(body, deployment)
    usage = usage_of(reply.usage_metadata)
    blocked = reply.prompt_feedback.block_reason if reply.prompt_feedback is not UNSET else ""
    if not reply.candidates and not blocked:
        raise _bad(f"{deployment.name} sent no candidate: {body[:200].decode('utf-8', 'replace')}", usage)
    said = [_read(reply, each, request, signatures, 0) for each in reply.candidates]
    first = said[0] if said else Said()
    if first.finish == "error":
        raise _bad(f"{deployment.name} ended with {_why(reply.candidates[0])}.", usage)
    if foreign := next((each.foreign for each in said if each.foreign), ""):
        raise _uncarried(deployment, foreign, usage)
    logprobs = _logprobs(reply.candidates[0]) if reply.candidates else ()
    return ChatResponse(
        model=reply.model_version or deployment.model,
        text=first.text,
        tool_calls=first.calls,
        finish="content_filter" if blocked else _finish(first),
        usage=usage,
        id=reply.response_id,
        refusal=f"the prompt was blocked: {blocked}" if blocked else "",
        thoughts=first.thoughts,
        others=tuple(Choice(each.text, each.calls, _finish(each), thoughts=each.thoughts) for each in said[1:]),
        logprobs=logprobs,
        mean_logprob=_mean(reply.candidates[0]) if reply.candidates and request.logprobs else None,
    )


class Reading:
    """One stream on its way in."""

    def __init__(self, deployment: Deployment, request: ChatRequest, signatures: Signatures) -> None:
        self._deployment = deployment
        self._request = request
        self._signatures = signatures
        self._calls: dict[int, int] = {}
        """Calls so far, by candidate."""
        self._open: set[int] = set(range(request.n))
        self._begun = False
        self.finished = False
        """A finish reason of every candidate, or a block, has come."""

    def chunk(self, data: list[bytes]) -> Chunk:
        """One piece out of whole events that came together. Raises BadReply, UpstreamRefused, UpstreamCut."""
        pieces: dict[int, ChoiceDelta] = {}
        usage: Usage | None = None
        model = identity = ""
        blocked: Finish | None = None
        for each in data:
            reply = _decoded(each, self._deployment)
            if reply.error is not UNSET:
                raise self._failed(reply.error)
            for candidate in reply.candidates:
                self._candidate(reply, candidate, pieces)
            self._begun = True
            if reply.prompt_feedback is not UNSET and reply.prompt_feedback.block_reason:
                blocked, self.finished = "content_filter", True
            if reply.usage_metadata is not UNSET:
                usage = usage_of(reply.usage_metadata)
            model, identity = reply.model_version or model, reply.response_id or identity
        first = pieces.pop(0, ChoiceDelta(0))
        return Chunk(
            first.text,
            first.tool_calls,
            blocked or first.finish,
            usage,
            model,
            identity,
            thoughts=first.thoughts,
            others=tuple(pieces[index] for index in sorted(pieces)),
        )

    def _candidate(self, reply: _Reply, candidate: _Candidate, pieces: dict[int, ChoiceDelta]) -> None:
        at = candidate.index
        before = self._calls.get(at, 0)
        said = _read(reply, candidate, self._request, self._signatures, before)
        self._calls[at] = before + len(said.calls)
        if said.foreign:
            error = _uncarried(self._deployment, said.foreign, usage_of(reply.usage_metadata))
            if not self._begun:
                raise error
            cut = UpstreamCut(error.message)
            cut.usage = error.usage
            raise cut
        if said.finish == "error":
            what = f"{self._deployment.name} ended its stream with {_why(candidate)}."
            raise UpstreamCut(what) if self._begun else BadReply(what)
        finish: Finish | None = None
        if said.finish is not None:
            self._open.discard(at)
            self.finished = self.finished or not self._open
            finish = "tool_calls" if said.finish == "stop" and self._calls[at] else said.finish
        known = pieces.get(at, ChoiceDelta(at))
        pieces[at] = ChoiceDelta(
            at,
            known.text + said.text,
            (*known.tool_calls, *_deltas(said.calls, before)),
            finish or known.finish,
            thoughts=(
                *known.thoughts,
                *(ThoughtDelta(0, each.text, each.signature, each.data, each.origin) for each in said.thoughts),
            ),
        )

    def _failed(self, fault: _Fault) -> UpstreamError:
        what = f"{self._deployment.name} reported an error in its stream: {fault.message}"
        if self._begun:
            return UpstreamCut(what)
        return UpstreamRefused(what, upstream_status=fault.code, body=fault.message)


def tokens_of(body: bytes, deployment: Deployment) -> int:
    """Input tokens out of the reply of the address that only counts. Raises BadReply."""
    try:
        return _count.decode(body).total_tokens
    except UNREADABLE as error:
        raise BadReply(f"{deployment.name} sent a body that is no count of tokens: {error}") from error


def usage_of(usage: _Usage | UnsetType) -> Usage:
    """Disjoint buckets: cached tokens are inside the prompt here and inside its modalities, thoughts are not inside the candidates."""
    if usage is UNSET:
        return Usage()
    kinds, kept = _by_kind(usage.prompt_tokens_details), _by_kind(usage.cache_tokens_details)
    made = _by_kind(usage.candidates_tokens_details)
    image = max(0, kinds.get("IMAGE", 0) - kept.get("IMAGE", 0))
    audio = max(0, kinds.get("AUDIO", 0) - kept.get("AUDIO", 0))
    drawn, spoken = made.get("IMAGE", 0), made.get("AUDIO", 0)
    cached = usage.cached_content_token_count
    prompt = usage.prompt_token_count + usage.tool_use_prompt_token_count
    return Usage(
        input=max(0, prompt - cached - image - audio),
        cache_read=cached,
        output=max(0, usage.candidates_token_count - drawn - spoken),
        reasoning=usage.thoughts_token_count,
        input_image=image,
        input_audio=audio,
        output_image=drawn,
        output_audio=spoken,
    )


def _by_kind(details: list[_Modality]) -> dict[str, int]:
    return {each.modality: each.token_count for each in details}


def _decoded(body: bytes, deployment: Deployment) -> _Reply:
    try:
        return _reply.decode(body)
    except UNREADABLE as error:
        raise BadReply(f"{deployment.name} sent something that is no content: {error}") from error


def _bad(message: str, usage: Usage) -> BadReply:
    error = BadReply(message)
    error.usage = usage if usage != Usage() else None
    return error


def _uncarried(deployment: Deployment, foreign: str, usage: Usage) -> UpstreamRejected:
    """Never handed out without what else the answer held; asking once more would bring, and cost, the same."""
    error = UpstreamRejected(
        f"{deployment.name} answered with {foreign}, which cannot be carried to a caller of another dialect.",
        upstream_status=400,  # what the caller is told
    )
    error.usage = usage if usage != Usage() else None
    return error


def _why(candidate: _Candidate) -> str:
    return (
        f"{candidate.finish_reason}: {candidate.finish_message}"
        if candidate.finish_message
        else str(candidate.finish_reason)
    )


def _finish(said: Said) -> Finish:
    return "tool_calls" if said.calls and said.finish == "stop" else said.finish or "stop"


def _read(reply: _Reply, candidate: _Candidate, request: ChatRequest, signatures: Signatures, before: int) -> Said:
    """What one candidate says; `before` calls of it have come in earlier pieces.

    This dialect has no word for one call at a time: a caller that wants that gets the first, and asks again with its answer.
    """
    texts: list[str] = []
    calls: list[ToolCall] = []
    thoughts: list[Thought] = []
    alone = request.parallel_tool_calls is False
    parts = candidate.content.parts if candidate.content is not UNSET else []
    foreign = ""
    for part in parts:
        foreign = foreign or part.foreign
        if part.function_call is not UNSET:
            if not (alone and before + len(calls)):
                number = before + len(calls)
                calls.append(_call(part, reply, candidate.index, number, request.tenant, signatures))
        elif part.thought:
            thoughts.append(Thought(part.text, part.thought_signature, origin=DIALECT))
        else:
            texts.append(part.text)
            if part.thought_signature:
                thoughts.append(Thought(signature=part.thought_signature, origin=DIALECT))
    finish = None if candidate.finish_reason is None else FINISHES.get(candidate.finish_reason, "stop")
    return Said("".join(texts), tuple(calls), tuple(thoughts), finish, foreign)


def _call(part: _Part, reply: _Reply, at: int, number: int, tenant: str, signatures: Signatures) -> ToolCall:
    assert part.function_call is not UNSET
    asked = part.function_call
    # The vendor leaves the id out at times; ours must not come twice in one conversation.
    apart = f"{at}_" if at else ""
    call_id = asked.id or f"call_{reply.response_id or 'gemini'}_{apart}{number}"
    if part.thought_signature:
        signatures.keep(tenant, call_id, part.thought_signature)
    return ToolCall(call_id, asked.name, bytes(asked.args).decode(), part.thought_signature)


def _deltas(calls: tuple[ToolCall, ...], before: int) -> tuple[ToolCallDelta, ...]:
    return tuple(
        ToolCallDelta(before + place, call.id, call.name, call.arguments, call.signature)
        for place, call in enumerate(calls)
    )


def _logprobs(candidate: _Candidate) -> tuple[TokenLogprob, ...]:
    if candidate.logprobs_result is UNSET:
        return ()
    found = candidate.logprobs_result
    tops = [tuple((each.token, each.log_probability) for each in row.candidates) for row in found.top_candidates]
    return tuple(
        TokenLogprob(each.token, each.log_probability, tops[place] if place < len(tops) else ())
        for place, each in enumerate(found.chosen_candidates)
    )


def _mean(candidate: _Candidate) -> float | None:
    if candidate.avg_logprobs is not None:
        return candidate.avg_logprobs
    found = _logprobs(candidate)
    return sum(each.logprob for each in found) / len(found) if found else None
