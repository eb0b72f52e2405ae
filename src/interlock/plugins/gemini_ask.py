"""Requests in Gemini's words, out of `core.chat`.

Above: providers/gemini. Below: `core`, `plugins.wire`, `plugins.profiles`, `plugins.seals`, msgspec.
Source: the API reference and the pages on function calling, thinking, thought signatures and file input methods (ai.google.dev),
November 2026.
"""

from __future__ import annotations

import base64
import mimetypes
from typing import Any, cast

import msgspec

from interlock.core.chat import ChatRequest, Message, Part, Thinking, ToolCall, ToolSpec
from interlock.core.errors import InvalidRequest
from interlock.core.unreadable import UNREADABLE

from . import wire
from .profiles import ModelProfile
from .seals import Seals

DIALECT = "gemini"
NO_SIGNATURE = "skip_thought_signature_validator"
"""What the vendor documents for calls whose signature is not known, e.g. because another vendor's model made them."""
Signatures = Seals[str]
"""Thought signatures by tool call: the vendor wants them back with the calls, and not every caller has a place for them."""
_CARRIED = {"presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty"}
"""OpenAI's fields that go by another name here."""
_USUAL = {"image": "image/png", "audio": "audio/wav"}
_LEVELS = {"none": "low", "xhigh": "high", "max": "high"}
"""Words of effort that the vendor does not have → its nearest."""

_json = msgspec.json.Encoder()


def encoded(request: ChatRequest, profile: ModelProfile, signatures: Signatures) -> bytes:
    """A request in this dialect.

    Raises:
        InvalidRequest: something of the request has no place in it; `.param` names it.
    """
    return _json.encode(_fields(request, profile, signatures))


def counted(request: ChatRequest, model: str, profile: ModelProfile, signatures: Signatures) -> bytes:
    """The same request for the address that only counts."""
    return _json.encode(
        {"generateContentRequest": {"model": f"models/{model}", **_fields(request, profile, signatures)}}
    )


def _fields(request: ChatRequest, profile: ModelProfile, signatures: Signatures) -> dict[str, Any]:
    carried = msgspec.structs.replace(
        request, extra={name: value for name, value in request.extra.items() if name not in _CARRIED}
    )
    wire.only_known(carried, DIALECT)
    contents = _contents(request, signatures)
    instructions = [each.text for each in request.messages if each.role in ("system", "developer")]
    system = "\n\n".join(text for text in instructions if text.strip())
    if not contents:
        if not system:
            raise InvalidRequest("every message is empty", param="messages", hint="Say something.")
        contents, system = [{"role": "user", "parts": [{"text": system}]}], ""
    fields: dict[str, Any] = {"contents": contents}
    if system:
        fields["systemInstruction"] = {"parts": [{"text": system}]}
    if request.raw_dialect == "anthropic" and contents[-1]["role"] == "model":
        raise InvalidRequest(
            "messages: the last one is the assistant's, and this model does not go on with an unfinished message.",
            param="messages",
            hint="End with the user's turn.",
        )
    if request.tools:
        fields["tools"] = [{"functionDeclarations": [_tool(each) for each in request.tools]}]
        if request.tool_choice:
            fields["toolConfig"] = {"functionCallingConfig": _tool_choice(request.tool_choice)}
    if config := _config(request, profile):
        fields["generationConfig"] = config
    return fields


def _config(request: ChatRequest, profile: ModelProfile) -> dict[str, Any]:
    values: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "maxOutputTokens": request.max_output_tokens,
        "stopSequences": list(request.stop) or None,
        "seed": request.seed,
        "candidateCount": request.n if request.n > 1 else None,
        "thinkingConfig": _thinking(request.thinking, profile) if request.thinking is not None else None,
        **{name: request.extra.get(known) for known, name in _CARRIED.items()},
    }
    if request.logprobs:
        values |= {"responseLogprobs": True, "logprobs": request.extra.get("top_logprobs")}
    if request.output_schema is not None:
        values |= {"responseMimeType": "application/json", "responseJsonSchema": request.output_schema.schema}
    elif request.json_mode:
        values["responseMimeType"] = "application/json"
    return {name: value for name, value in values.items() if value is not None}


def _thinking(wish: Thinking, profile: ModelProfile) -> dict[str, Any] | None:
    """The wish in the form the model takes: a level or a number of tokens, never both."""
    made: dict[str, Any] = {"includeThoughts": True} if wish.shown else {}
    off = wish.budget == 0 or wish.effort == "none"
    if profile.thinking == "no":
        return None
    if profile.thinking == "effort":
        if effort := "none" if off else wish.effort or (wire.effort_of(wish.budget) if wish.budget else ""):
            made["thinkingLevel"] = _LEVELS.get(effort, effort)
    elif off:
        made["thinkingBudget"] = 0
    elif wish.budget or wish.effort:
        made["thinkingBudget"] = wish.budget or min(wire.budget_of(wish.effort), 24_576)
    return made or None


def _contents(request: ChatRequest, signatures: Signatures) -> list[dict[str, Any]]:
    """User and model turns; neighbours of one role become one, as answers of parallel functions have to be."""
    names = {call.id: call.name for message in request.messages for call in message.tool_calls}
    turns: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role in ("system", "developer"):
            continue
        role = "model" if message.role == "assistant" else "user"
        parts = _result(message, names) if message.role == "tool" else _parts(message, request, signatures)
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"].extend(parts)
        elif parts:
            turns.append({"role": role, "parts": parts})
    if turns and turns[0]["role"] == "model":
        turns.insert(0, {"role": "user", "parts": [{"text": wire.SILENCE}]})
    return turns


def _result(message: Message, names: dict[str, str]) -> list[dict[str, Any]]:
    """A function's answer; media in it stand beside it."""
    name = names.get(message.tool_call_id) or message.name
    if not name:
        raise InvalidRequest(f"a tool's answer names the unknown call {message.tool_call_id!r}.", param="messages")
    response = {"error": message.text} if message.failed else object_of(message.text)
    parts: list[dict[str, Any]] = [
        {"functionResponse": {"name": name, "response": response, "id": message.tool_call_id}}
    ]
    if not isinstance(message.content, str):
        parts.extend(_part(each) for each in message.content if each.type != "text")
    return parts


def _parts(message: Message, request: ChatRequest, signatures: Signatures) -> list[dict[str, Any]]:
    content = message.content or message.refusal
    if isinstance(content, str):
        parts: list[dict[str, Any]] = [{"text": content}] if content else []
    else:
        parts = [_part(each) for each in content if each.type != "text" or each.text]
    seal = next((each.signature for each in message.thoughts if each.origin == DIALECT and each.signature), "")
    if parts and seal:
        parts[-1]["thoughtSignature"] = seal
    for place, call in enumerate(message.tool_calls):
        made: dict[str, Any] = {"functionCall": {"name": call.name, "args": object_of(call.arguments), "id": call.id}}
        if signature := _signature(call, place, request.tenant, signatures):
            made["thoughtSignature"] = signature
        parts.append(made)
    return parts


def _signature(call: ToolCall, place: int, tenant: str, signatures: Signatures) -> str:
    """The vendor seals the first of parallel calls; where it is not known, it has to be told so."""
    return call.signature or signatures.of(tenant, call.id) or ("" if place else NO_SIGNATURE)


def object_of(text: str) -> dict[str, Any]:
    """`text` as a JSON object, which is the only form this dialect takes; anything else is wrapped in one."""
    try:
        value = msgspec.json.decode(text or "{}")
    except UNREADABLE:
        value = text
    return cast(dict[str, Any], value) if isinstance(value, dict) else {"result": value}


def _part(part: Part) -> dict[str, Any]:
    if part.type == "text":
        return {"text": part.text}
    if part.text:
        return {"inlineData": {"mimeType": "text/plain", "data": base64.b64encode(part.text.encode()).decode()}}
    if part.file_id:
        if "://" not in part.file_id:
            raise InvalidRequest(
                f"the file {part.file_id!r} lies with another vendor.", param="messages", hint="Send its content."
            )
        return {"fileData": {"mimeType": part.media_type or _guessed(part, part.file_id), "fileUri": part.file_id}}
    inside = wire.media(part)
    if inside is None:
        return {"fileData": {"mimeType": part.media_type or _guessed(part, part.url), "fileUri": part.url}}
    return {"inlineData": {"mimeType": inside[0] or _USUAL.get(part.type, "application/pdf"), "data": inside[1]}}


def _guessed(part: Part, url: str) -> str:
    return mimetypes.guess_type(url.partition("?")[0])[0] or _USUAL.get(part.type, "application/pdf")


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
