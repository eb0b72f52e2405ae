"""Requests in the words of OpenAI's chat completions, out of `core.chat`.

Above: providers/openai. Below: openai_turns, `core`, `plugins.profiles`, `plugins.wire`, msgspec. Source: the API reference for chat
completions (platform.openai.com/docs/api-reference/chat/create), November 2026.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, cast

import msgspec
from msgspec import Raw, structs

from interlock.core.chat import ChatRequest, OutputSchema, Thinking, ToolSpec
from interlock.core.errors import InvalidRequest

from . import prompt_cache, wire
from .openai_turns import DIALECT, turns
from .profiles import ModelProfile

SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
"""Left out for models that refuse them; what changes an answer's form (`logprobs`, `stop`) is sent, and the vendor says what it thinks."""
LONGEST_USER = 64
NULL = Raw(b"null")
OUR_OWN = b'"interlock":'
"""Begins what we added to an earlier answer for other vendors' sake; the vendors of this dialect refuse fields they do not know."""
SHOWN_THOUGHTS = b'"reasoning_content":'
"""What several servers of this dialect show and want back, and OpenAI itself refuses."""

_fields = msgspec.json.Decoder(dict[str, Raw])
_json = msgspec.json.Encoder()


def forwardable(request: ChatRequest, profile: ModelProfile) -> bool:
    """Whether the caller's own bytes can go to a vendor of this dialect: they are of it, and hold nothing that the model's vendor would
    refuse for having come from elsewhere.
    """
    raw = request.raw
    if not raw or request.raw_dialect != DIALECT or OUR_OWN in raw:
        return False
    return profile.thinking == "" or SHOWN_THOUGHTS not in raw


def patched(request: ChatRequest, model: str, profile: ModelProfile, cap: str, *, stream: bool, usage: bool) -> bytes:
    """The caller's own bytes with the model, the output cap and the wish for usage put in.

    All else stays as it was, but for what the model's profile says it would refuse.
    """
    fields = _fields.decode(request.raw)
    fields["model"] = Raw(_json.encode(model))
    allowed = request.max_output_tokens
    if allowed is not None:
        number = b"%d" % allowed
        newer, older = fields.get("max_completion_tokens", NULL), fields.get("max_tokens", NULL)
        if (newer if newer != NULL else older) != number:
            fields["max_completion_tokens" if newer != NULL else "max_tokens" if older != NULL else cap] = Raw(number)
    if not profile.sampling:
        for name in SAMPLING:
            fields.pop(name, None)
    elif request.logprobs and "logprobs" not in fields:
        fields["logprobs"] = Raw(b"true")
    if request.tools and profile.tools != "yes":
        fields.setdefault("reasoning_effort", Raw(_json.encode(_effort_for_tools(profile.tools, model))))
    if stream != (fields.get("stream") == b"true"):
        fields["stream"] = Raw(b"true" if stream else b"false")
    if stream and usage and not request.include_usage:
        fields["stream_options"] = Raw(b'{"include_usage":true}')
    if not stream:
        fields.pop("stream_options", None)
    return _json.encode(fields)


def encoded(
    request: ChatRequest,
    model: str,
    profile: ModelProfile,
    cap: str,
    *,
    stream: bool,
    usage: bool,
    accepts: tuple[str, ...] = (),
) -> bytes:
    """A request in this dialect. `accepts`: fields beyond the dialect that the server takes.

    Raises:
        InvalidRequest: the request has something that this dialect, or the model in it, cannot take; `.param` names it.
    """
    extra = _extra(request, profile)
    fields: dict[str, Any] = {"model": model, "messages": turns(request, thoughts=profile.thinking == "")}
    if request.tools:
        ours = request.raw_dialect in ("", DIALECT)
        fields["tools"] = [_tool(each, ours=ours) for each in request.tools]
        if request.tool_choice:
            fields["tool_choice"] = _tool_choice(request.tool_choice)
        _put(fields, parallel_tool_calls=request.parallel_tool_calls)
    if effort := _effort(request, model, profile):
        fields["reasoning_effort"] = effort
    if request.top_k is not None:
        if "top_k" not in accepts:
            raise InvalidRequest(
                f"top_k cannot be carried to the {DIALECT} dialect.",
                param="top_k",
                hint="Leave it out; a server that takes it is declared by `options: {accepts: [top_k]}`.",
            )
        fields["top_k"] = request.top_k
    if profile.sampling:
        _put(fields, temperature=request.temperature, top_p=request.top_p)
    _put(fields, seed=request.seed, stop=list(request.stop) or None, logprobs=request.logprobs or None)
    _put(fields, **{cap: request.max_output_tokens}, user=_user(request), response_format=_format(request))
    _put(fields, n=request.n if request.n > 1 else None)
    if "prompt_cache_key" in accepts:
        fields["prompt_cache_key"] = prompt_cache.key_of(request)
    fields.update(extra)
    if stream:
        fields["stream"] = True
        if usage:
            fields["stream_options"] = {"include_usage": True}
    return _json.encode(fields)


def _extra(request: ChatRequest, profile: ModelProfile) -> dict[str, Any]:
    """Fields beyond the vocabulary: the caller's own where it speaks this dialect, and those with which a model goes on with an
    unfinished message, as callers of Anthropic's dialect mean it.

    Raises:
        InvalidRequest: a field of another dialect, or an unfinished message that the model would not go on with.
    """
    extra = dict(request.extra)
    going_on = {name: extra.pop(name) for name in profile.continue_with if name in extra}
    if request.raw_dialect not in ("", DIALECT):
        wire.only_known(structs.replace(request, extra=extra), DIALECT)
        extra = {}
        last = request.messages[-1] if request.messages else None
        if request.raw_dialect == "anthropic" and last is not None and last.role == "assistant":
            if not profile.continues:
                raise InvalidRequest(
                    "messages: the last one is the assistant's, and this model does not go on with an unfinished message.",
                    param="messages",
                    hint="End with the user's turn.",
                )
            going_on = {**profile.continue_with, **going_on}
    elif request.raw_dialect:
        wire.only_known(request, DIALECT)
    return {**extra, **going_on}


def _user(request: ChatRequest) -> str | None:
    """Who asks; a name longer than the vendor takes is told by its digest, which is as good for telling users apart."""
    user = request.user
    if len(user) > LONGEST_USER and request.raw_dialect not in ("", DIALECT):
        return blake2b(user.encode(), digest_size=16).hexdigest()
    return user or None


def _tool_choice(choice: str) -> Any:
    return choice if choice in ("auto", "none", "required") else {"type": "function", "function": {"name": choice}}


def _format(request: ChatRequest) -> dict[str, Any] | None:
    schema = request.output_schema
    if schema is None:
        return {"type": "json_object"} if request.json_mode else None
    ours = request.raw_dialect in ("", DIALECT)
    strict = schema.strict if ours else schema.strict and closed(schema.schema)
    return {"type": "json_schema", "json_schema": _schema(schema, strict=strict)}


def _schema(schema: OutputSchema, *, strict: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"name": schema.name, "schema": schema.schema, "strict": strict}
    _put(made, description=schema.description or None)
    return made


def closed(schema: Any) -> bool:
    """Whether every object names all its properties as required and allows no others, as the vendor's strict mode wants it."""
    if isinstance(schema, list):
        return all(closed(each) for each in cast("list[Any]", schema))
    if not isinstance(schema, dict):
        return True
    known = cast("dict[str, Any]", schema)
    if known.get("type") == "object" or "properties" in known:
        names: dict[str, Any] = known.get("properties", {})
        if known.get("additionalProperties") is not False or set(known.get("required", ())) != set(names):
            return False
    return all(closed(each) for name, each in known.items() if name not in ("enum", "const", "default", "required"))


def _effort(request: ChatRequest, model: str, profile: ModelProfile) -> str:
    """The word for how much to think; models that do not think get none, and unknown ones only what was asked for."""
    wish = request.thinking
    if request.tools and profile.tools != "yes" and (wish is None or not wish.effort):
        return _effort_for_tools(profile.tools, model)
    if wish is None or profile.thinking == "no":
        return ""
    return _word(wish)


def _word(wish: Thinking) -> str:
    if wish.effort:
        return "high" if wish.effort == "max" else wish.effort
    return wire.effort_of(wish.budget) if wish.budget else ""


def _effort_for_tools(tools: str, model: str) -> str:
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


def _tool(tool: ToolSpec, *, ours: bool) -> dict[str, Any]:
    """`ours`: the caller speaks this dialect, and knows what its strict mode wants."""
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    strict = tool.strict and (ours or closed(tool.parameters))
    _put(function, description=tool.description or None, strict=strict or None)
    return {"type": "function", "function": function}
