"""Gemini's contents between bytes and `core.chat`.

Above: providers/gemini. Below: `core`, `plugins.wire`, msgspec.
Source: the API reference and the pages on function calling and thought signatures (ai.google.dev), November 2026.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

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
from interlock.core.errors import BadReply, InvalidRequest, UpstreamCut, UpstreamError, UpstreamRefused
from interlock.core.money import Usage
from interlock.core.ports import Deployment

from . import wire

DIALECT = "gemini"
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
NO_SIGNATURE = "skip_thought_signature_validator"
"""What the vendor documents for calls whose signature is not known, e.g. because another vendor's model made them."""
SIGNATURES_KEPT = 10_000


class _Call(Struct):
    name: str = ""
    args: Raw = Raw(b"{}")
    id: str = ""


class _Part(Struct, rename="camel"):
    text: str = ""
    thought: bool = False
    thought_signature: str = ""
    function_call: _Call | UnsetType = UNSET


class _Content(Struct):
    parts: list[_Part] = []


class _Candidate(Struct, rename="camel"):
    content: _Content | UnsetType = UNSET
    finish_reason: str | None = None


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


_reply = msgspec.json.Decoder(_Reply)
_json = msgspec.json.Encoder()


class Signatures:
    """Thought signatures by tool call id, those seen longest ago forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, str] = OrderedDict()

    def keep(self, call_id: str, signature: str) -> None:
        self._kept[call_id] = signature
        if len(self._kept) > SIGNATURES_KEPT:
            self._kept.popitem(last=False)

    def of(self, call_id: str) -> str:
        return self._kept.get(call_id, NO_SIGNATURE)


# --- Requests ---------------------------------------------------------------------------------------------------


def encoded(request: ChatRequest, signatures: Signatures) -> bytes:
    """A request in this dialect.

    Raises:
        InvalidRequest: something of the request has no place in it.
    """
    wire.only_known(request, DIALECT)
    fields: dict[str, Any] = {"contents": _contents(request.messages, signatures)}
    system = "\n\n".join(each.text for each in request.messages if each.role in ("system", "developer"))
    if system:
        fields["systemInstruction"] = {"parts": [{"text": system}]}
    if request.tools:
        fields["tools"] = [{"functionDeclarations": [_tool(each) for each in request.tools]}]
        if request.tool_choice:
            fields["toolConfig"] = {"functionCallingConfig": _tool_choice(request.tool_choice)}
    if config := _config(request):
        fields["generationConfig"] = config
    return _json.encode(fields)


def _config(request: ChatRequest) -> dict[str, Any]:
    values: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "maxOutputTokens": request.max_output_tokens,
        "stopSequences": list(request.stop) or None,
        "seed": request.seed,
    }
    if request.output_schema is not None:
        values |= {"responseMimeType": "application/json", "responseJsonSchema": request.output_schema.schema}
    elif request.json_mode:
        values["responseMimeType"] = "application/json"
    return {name: value for name, value in values.items() if value is not None}


def _contents(messages: tuple[Message, ...], signatures: Signatures) -> list[dict[str, Any]]:
    """User and model turns; neighbours of one role become one, as answers of parallel functions have to be."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role in ("system", "developer"):
            continue
        role = "model" if message.role == "assistant" else "user"
        parts = _parts(message, names, signatures)
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"].extend(parts)
        elif parts:
            turns.append({"role": role, "parts": parts})
    return turns


def _parts(message: Message, names: dict[str, str], signatures: Signatures) -> list[dict[str, Any]]:
    if message.role == "tool":
        name = names.get(message.tool_call_id) or message.name
        if not name:
            raise InvalidRequest(f"a tool's answer names the unknown call {message.tool_call_id!r}.", param="messages")
        return [{"functionResponse": {"name": name, "response": _object(message.text), "id": message.tool_call_id}}]
    if isinstance(message.content, str):
        parts: list[dict[str, Any]] = [{"text": message.content}] if message.content else []
    else:
        parts = [_part(each) for each in message.content]
    for place, call in enumerate(message.tool_calls):
        made: dict[str, Any] = {"functionCall": {"name": call.name, "args": _object(call.arguments), "id": call.id}}
        if place == 0:
            made["thoughtSignature"] = signatures.of(call.id)
        parts.append(made)
    return parts


def _object(text: str) -> dict[str, Any]:
    """`text` as a JSON object, which is the only form this dialect takes; anything else is wrapped in one."""
    try:
        value = msgspec.json.decode(text or "{}")
    except msgspec.DecodeError:
        value = text
    return cast(dict[str, Any], value) if isinstance(value, dict) else {"result": value}


def _part(part: Part) -> dict[str, Any]:
    if part.type == "text":
        return {"text": part.text}
    inside = wire.media(part)
    if inside is None:
        raise InvalidRequest(
            f"this dialect takes an {part.type} as base64 data, not by the address {part.url[:80]!r}.", param="messages"
        )
    usual = {"image": "image/png", "audio": "audio/wav"}.get(part.type, "application/pdf")
    return {"inlineData": {"mimeType": inside[0] or usual, "data": inside[1]}}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    made: dict[str, Any] = {"name": tool.name, "parametersJsonSchema": tool.parameters}
    if tool.description:
        made["description"] = tool.description
    return made


def _tool_choice(choice: str) -> dict[str, Any]:
    modes = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
    if choice in modes:
        return {"mode": modes[choice]}
    return {"mode": "ANY", "allowedFunctionNames": [choice]}


# --- Replies ----------------------------------------------------------------------------------------------------


def response_of(body: bytes, deployment: Deployment, signatures: Signatures) -> ChatResponse:
    """A whole answer; thoughts are left out of its text.

    Raises:
        BadReply: the body is not of this dialect.
    """
    reply = _decoded(body, deployment)
    usage = usage_of(reply.usage_metadata)
    blocked = reply.prompt_feedback.block_reason if reply.prompt_feedback is not UNSET else ""
    if not reply.candidates and not blocked:
        error = BadReply(f"{deployment.name} sent no candidate: {body[:200].decode('utf-8', 'replace')}")
        error.usage = usage if usage != Usage() else None
        raise error
    text, calls, finish = _read(reply, signatures, 0)
    return ChatResponse(
        model=reply.model_version or deployment.model,
        text=text,
        tool_calls=calls,
        finish="content_filter" if blocked else "tool_calls" if calls and finish == "stop" else finish or "stop",
        usage=usage,
        id=reply.response_id,
        refusal=f"the prompt was blocked: {blocked}" if blocked else "",
    )


class Reading:
    """One stream on its way in."""

    def __init__(self, deployment: Deployment, signatures: Signatures) -> None:
        self._deployment = deployment
        self._signatures = signatures
        self._calls = 0
        self._begun = False
        self.finished = False
        """A finish reason, or a block, has come."""

    def chunk(self, data: list[bytes]) -> Chunk:
        """One piece out of whole events that came together. Raises BadReply, UpstreamRefused, UpstreamCut."""
        texts: list[str] = []
        deltas: list[ToolCallDelta] = []
        finish: Finish | None = None
        usage: Usage | None = None
        model = identity = ""
        for each in data:
            reply = _decoded(each, self._deployment)
            if reply.error is not UNSET:
                raise self._failed(reply.error)
            self._begun = True
            text, calls, ended = _read(reply, self._signatures, self._calls)
            texts.append(text)
            deltas.extend(
                ToolCallDelta(self._calls + place, call.id, call.name, call.arguments)
                for place, call in enumerate(calls)
            )
            self._calls += len(calls)
            if reply.prompt_feedback is not UNSET and reply.prompt_feedback.block_reason:
                ended = "content_filter"
            if ended is not None:
                self.finished = True
                finish = "tool_calls" if ended == "stop" and self._calls else ended
            if reply.usage_metadata is not UNSET:
                usage = usage_of(reply.usage_metadata)
            model, identity = reply.model_version or model, reply.response_id or identity
        return Chunk("".join(texts), tuple(deltas), finish, usage, model, identity)

    def _failed(self, fault: _Fault) -> UpstreamError:
        what = f"{self._deployment.name} reported an error in its stream: {fault.message}"
        if self._begun:
            return UpstreamCut(what)
        return UpstreamRefused(what, upstream_status=fault.code, body=fault.message)


def usage_of(usage: _Usage | UnsetType) -> Usage:
    """Disjoint buckets: cached tokens are inside the prompt here, thoughts are not inside the candidates."""
    if usage is UNSET:
        return Usage()
    kinds = {each.modality: each.token_count for each in usage.prompt_tokens_details}
    made = {each.modality: each.token_count for each in usage.candidates_tokens_details}
    image, audio = kinds.get("IMAGE", 0), kinds.get("AUDIO", 0)
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


def _decoded(body: bytes, deployment: Deployment) -> _Reply:
    try:
        return _reply.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadReply(f"{deployment.name} sent something that is no content: {error}") from error


def _read(reply: _Reply, signatures: Signatures, before: int) -> tuple[str, tuple[ToolCall, ...], Finish | None]:
    """(text, calls, finish) of the first candidate; `before` calls have come in earlier pieces."""
    if not reply.candidates:
        return "", (), None
    candidate = reply.candidates[0]
    texts: list[str] = []
    calls: list[ToolCall] = []
    parts = candidate.content.parts if candidate.content is not UNSET else []
    for part in parts:
        if part.function_call is not UNSET:
            asked = part.function_call
            # The vendor leaves the id out at times; ours must not come twice in one conversation.
            call_id = asked.id or f"call_{reply.response_id or 'gemini'}_{before + len(calls)}"
            if part.thought_signature:
                signatures.keep(call_id, part.thought_signature)
            calls.append(ToolCall(id=call_id, name=asked.name, arguments=bytes(asked.args).decode()))
        elif not part.thought:
            texts.append(part.text)
    finish = None if candidate.finish_reason is None else FINISHES.get(candidate.finish_reason, "stop")
    return "".join(texts), tuple(calls), finish
