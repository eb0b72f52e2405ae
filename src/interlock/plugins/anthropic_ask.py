"""Requests in Anthropic's words, out of `core.chat`.

Above: providers/anthropic. Below: anthropic_turns, `core`, `plugins.wire`, `plugins.profiles`, msgspec.
Source: the API reference and the pages on tool use, thinking, effort, structured outputs and prompt caching (platform.claude.com/docs),
November 2026.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from interlock.core.chat import ChatRequest, OutputSchema, ToolSpec
from interlock.core.errors import InvalidRequest

from . import prompt_cache, wire
from .anthropic_turns import DIALECT, Thoughts, cache_control, in_a_tool_loop_without_thoughts, system_blocks, turns
from .profiles import ModelProfile

USUAL_OUTPUT = 32_000
"""Cap of an output that neither caller nor budget capped; thinking counts towards it."""
LEAST_BUDGET = 1_024
FOREIGN_SEAL = b'"interlock-seal:'
"""Begins seals of other vendors in the bytes of a caller of this dialect."""

_fields = msgspec.json.Decoder(dict[str, Raw])
_json = msgspec.json.Encoder()


def forwardable(request: ChatRequest) -> bool:
    """Whether the caller's own bytes can go to a vendor of this dialect: they are of it, and hold no other vendor's seals."""
    return bool(request.raw) and request.raw_dialect == DIALECT and FOREIGN_SEAL not in request.raw


def patched(request: ChatRequest, model: str, *, stream: bool) -> bytes:
    """The caller's own bytes with the model and the output cap put in; `cache_control` and all else stay as they are."""
    fields = _fields.decode(request.raw)
    fields["model"] = Raw(_json.encode(model))
    allowed = request.max_output_tokens
    if allowed is not None and fields.get("max_tokens") != str(allowed).encode():
        fields["max_tokens"] = Raw(_json.encode(allowed))
        _fit_thinking(fields, request, allowed)
    if stream != (fields.get("stream") == b"true"):
        fields["stream"] = Raw(b"true" if stream else b"false")
    return _json.encode(fields)


def _fit_thinking(fields: dict[str, Raw], request: ChatRequest, allowed: int) -> None:
    """A cap of ours that leaves less than the caller wanted thought about: the vendor takes no budget that reaches the cap."""
    wish = request.thinking
    if wish is None or not wish.budget or wish.budget < allowed:
        return
    if allowed <= LEAST_BUDGET:
        del fields["thinking"]
        return
    thinking = msgspec.json.decode(fields["thinking"])
    fields["thinking"] = Raw(_json.encode({**thinking, "budget_tokens": allowed - 1}))


def counted(request: ChatRequest, model: str, profile: ModelProfile, thoughts: Thoughts) -> bytes:
    """The same request for the address that only counts; it takes neither an output cap nor sampling."""
    body = encoded(request, model, profile, thoughts, stream=False) if not forwardable(request) else request.raw
    fields = _fields.decode(body)
    fields["model"] = Raw(_json.encode(model))
    for name in ("max_tokens", "stream", "stop_sequences", "metadata", "temperature", "top_p", "top_k", "service_tier"):
        fields.pop(name, None)
    return _json.encode(fields)


def encoded(
    request: ChatRequest,
    model: str,
    profile: ModelProfile,
    thoughts: Thoughts,
    *,
    cache: str = "",
    schema: str = "",
    stream: bool,
) -> bytes:
    """A request in this dialect. `cache`: lifetime of the marks on what comes again, where the caller set none; `schema`: `native`,
    `prompt`, or empty for whatever the model and the schema allow.

    Raises:
        InvalidRequest: something of the request has no place in this dialect; `.param` names it.
    """
    _carriable(request)
    native = schema == "native" or (schema == "" and profile.native_schema and _in_subset(request.output_schema))
    fields: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_output_tokens or min(profile.max_output, USUAL_OUTPUT),
    }
    fields["messages"], hoisted = turns(request, thoughts)
    _put_prefix(fields, request, hoisted, native=native, strict=profile.native_schema)
    if cache and not prompt_cache.marked_by_caller(request):
        prompt_cache.mark(fields, cache_control(cache))
    thinks = _put_thinking(fields, request, profile)
    if profile.sampling and not thinks:
        _sample(fields, request)
    if request.stop:
        fields["stop_sequences"] = list(request.stop)
    if native and request.output_schema is not None:
        form = {"type": "json_schema", "schema": request.output_schema.schema}
        fields.setdefault("output_config", {})["format"] = form
    if request.user:
        fields["metadata"] = {"user_id": request.user}
    if request.raw_dialect == DIALECT:
        fields.update(request.extra)
    if stream:
        fields["stream"] = True
    return _json.encode(fields)


def _carriable(request: ChatRequest) -> None:
    wire.only_known(request, DIALECT)
    wire.one_answer(request, DIALECT)
    if request.seed is not None:
        raise InvalidRequest(f"seed cannot be carried to the {DIALECT} dialect.", param="seed", hint="Leave it out.")


def _put_prefix(
    fields: dict[str, Any], request: ChatRequest, hoisted: list[str], *, native: bool, strict: bool
) -> None:
    """System prompt and tools, the stable prefix."""
    system = system_blocks(request)
    texts = [*hoisted, *_asked_form(request, native=native)]
    system.extend({"type": "text", "text": text} for text in texts)
    if request.tools:
        fields["tools"] = [_tool(each, strict=strict) for each in request.tools]
        if choice := _tool_choice(request):
            fields["tool_choice"] = choice
    if system:
        plain = all(len(each) == 2 for each in system)
        fields["system"] = "\n\n".join(each["text"] for each in system) if plain else system


def _asked_form(request: ChatRequest, *, native: bool) -> list[str]:
    if request.output_schema is not None and not native:
        schema = _json.encode(request.output_schema.schema).decode()
        return [f"Reply with one JSON document and nothing else. It must satisfy this JSON Schema:\n{schema}"]
    return ["Reply with one JSON document and nothing else."] if request.json_mode else []


def _put_thinking(fields: dict[str, Any], request: ChatRequest, profile: ModelProfile) -> bool:
    """The wish for thinking in the form the model takes; whether it thinks. Forced tools and thinking exclude each other here."""
    wish = request.thinking
    if wish is None or profile.thinking == "no":
        return False
    if wish.budget == 0 or wish.effort == "none":
        return False  # what the vendor does unasked; some of its models refuse the word for it
    if request.tool_choice not in ("", "auto", "none") or in_a_tool_loop_without_thoughts(fields["messages"]):
        return False
    shown: dict[str, Any] = {} if wish.shown else {"display": "omitted"}
    if profile.thinking == "adaptive":
        fields["thinking"] = {"type": "adaptive", **shown}
        if effort := wish.effort or (wire.effort_of(wish.budget) if wish.budget else ""):
            fields["output_config"] = {"effort": "low" if effort == "minimal" else effort}
        return True
    budget = min(wish.budget or wire.budget_of(wish.effort), fields["max_tokens"] - 1)
    if budget < LEAST_BUDGET:
        return False  # the answer may not be long enough to think at all
    fields["thinking"] = {"type": "enabled", "budget_tokens": budget, **shown}
    return True


def _sample(fields: dict[str, Any], request: ChatRequest) -> None:
    if request.temperature is not None:
        if request.temperature > 1:
            raise InvalidRequest(f"temperature {request.temperature:g}: {DIALECT} takes 0 to 1.", param="temperature")
        fields["temperature"] = request.temperature
    elif request.top_p is not None:  # the newer models take one of the two only
        fields["top_p"] = request.top_p
    if request.top_k is not None:
        fields["top_k"] = request.top_k


def _tool(tool: ToolSpec, *, strict: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"name": tool.name, "input_schema": tool.parameters or {"type": "object"}}
    if tool.description:
        made["description"] = tool.description
    if tool.strict and strict and _fits(tool.parameters):
        made["strict"] = True
    if tool.cache:
        made["cache_control"] = cache_control(tool.cache)
    return made


def _tool_choice(request: ChatRequest) -> dict[str, Any]:
    kinds = {"required": {"type": "any"}, "auto": {"type": "auto"}, "none": {"type": "none"}}
    choice: dict[str, Any] = {}
    if request.tool_choice:
        choice = dict(kinds.get(request.tool_choice, {"type": "tool", "name": request.tool_choice}))
    if request.parallel_tool_calls is False and request.tool_choice != "none":
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return choice


# --- the part of JSON Schema that the vendor itself enforces ---

_FREE = frozenset(
    (
        *("type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "allOf"),
        *("$ref", "$defs", "definitions", "description", "title", "default"),
    )
)


def _in_subset(schema: OutputSchema | None) -> bool:
    return schema is not None and _fits(schema.schema)


def _fits(schema: Any) -> bool:
    """Whether every keyword is one that the vendor takes, and every object is closed; else it would refuse the whole request."""
    if isinstance(schema, bool):
        return True
    if not isinstance(schema, dict) or not _FREE.issuperset(schema):  # pyright: ignore[reportUnknownArgumentType]
        return False
    known: dict[str, Any] = schema  # pyright: ignore[reportUnknownVariableType]
    if (known.get("type") == "object" or "properties" in known) and known.get("additionalProperties") is not False:
        return False
    inner: list[Any] = [*known.get("anyOf", ()), *known.get("allOf", ())]
    for name in ("properties", "$defs", "definitions"):
        inner.extend(known.get(name, {}).values())
    if "items" in known:
        inner.append(known["items"])
    return all(_fits(each) for each in inner)
