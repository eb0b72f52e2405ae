"""Answers that were given before: the exact cache, and the semantic one through a port.

Above: chat, stream, degrade. Below: call, settings. A key holds the tenant, the workflow and the versions of route, prompt and
policy, so that no change of them and no other tenant ever sees an earlier answer.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from msgspec import Struct

from interlock.core.chat import ChatResponse, Chunk
from interlock.core.time import NS_PER_S

from .call import Answer, Call
from .desk import Desk
from .settings import AnswerCache, Caching, Entry, Parts


class Kept(Struct, frozen=True, omit_defaults=True):
    """An answer as it is stored."""

    response: ChatResponse
    deployment: str
    tier: str
    cost_nano_usd: int
    chunks: tuple[Chunk, ...] = ()
    confidence: float | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Kept)


def exact_key(call: Call) -> str:
    """BLAKE2b over everything that an answer depends on, and over the form in which the caller takes it."""
    caller, request = call.caller, call.request
    versions = caller.versions
    canonical = (
        caller.tenant,
        caller.workflow,
        versions.route,
        versions.prompt,
        versions.policy,
        versions.contract,
        request.model,
        request.messages,
        request.tools,
        request.tool_choice,
        request.parallel_tool_calls,
        request.temperature,
        request.top_p,
        request.top_k,
        request.max_output_tokens,
        request.n,
        request.thinking,
        request.stop,
        request.seed,
        request.output_schema,
        request.json_mode,
        request.logprobs,
        request.facts,
        request.extra,
        request.stream,
        request.include_usage,
        request.raw_dialect,
        request.raw_headers,
    )
    return "e:" + blake2b(_encoder.encode(canonical), digest_size=20).hexdigest()


def usable(call: Call, caching: Caching) -> str:
    """Empty where the exact cache may serve this call, else why it may not."""
    if not caching.exact:
        return "off"
    if call.request.temperature:
        return "the caller asks for variety (temperature > 0)"
    return ""


def question(call: Call, caching: Caching) -> tuple[str, str] | None:
    """(namespace, text) under which an answer to a similar question may serve; `None` where that would be careless.

    Everything but the last user message has to be equal: tenant, workflow, versions, model, system prompt, earlier turns, schema.
    """
    caller, request = call.caller, call.request
    last = request.messages[-1] if request.messages else None
    if (
        not caching.semantic
        or request.tools
        or last is None
        or last.role != "user"
        or not isinstance(last.content, str)
    ):
        return None
    if request.temperature or request.stream:
        return None
    same = (
        caller.tenant,
        caller.workflow,
        caller.versions.route,
        caller.versions.prompt,
        caller.versions.policy,
        caller.versions.contract,
        request.model,
        request.messages[:-1],
        request.output_schema,
        request.json_mode,
        request.logprobs,
        request.top_p,
        request.seed,
        request.max_output_tokens,
        request.stop,
        request.facts,
        request.extra,
        request.raw_dialect,
    )
    return blake2b(_encoder.encode(same), digest_size=16).hexdigest(), last.content


async def look(desk: Desk, call: Call) -> Answer | None:
    """A fresh answer to the same request, or else to a question that means the same."""
    parts, caching = desk.parts, desk.settings.caching
    if parts.answers is None:
        return None
    now_ns = parts.clock.wall_ns()
    why_not = usable(call, caching)
    if not why_not:
        entry = await parts.answers.get(exact_key(call))
        if entry is not None and now_ns < entry.fresh_until_ns:
            return _answer(call, entry, "exact", now_ns)
    elif why_not != "off":
        call.note(f"exact cache not used: {why_not}")
    similar = question(call, caching) if parts.index is not None else None
    return None if similar is None else await _similar(parts, parts.answers, caching, call, similar, now_ns)


async def stale(desk: Desk, call: Call) -> Answer | None:
    """An answer to the same request whose time is over; for the degradation ladder."""
    parts, caching = desk.parts, desk.settings.caching
    if parts.answers is None or usable(call, caching):
        return None
    now_ns = parts.clock.wall_ns()
    entry = await parts.answers.get(exact_key(call))
    if entry is None or now_ns > entry.fresh_until_ns + int(caching.stale_s * NS_PER_S):
        return None
    return _answer(call, entry, "exact", now_ns)


async def keep(desk: Desk, call: Call, answer: Answer) -> None:
    """Stores a whole, undegraded answer for the next one who asks."""
    parts, caching, response = desk.parts, desk.settings.caching, answer.response
    if parts.answers is None or answer.cache or answer.degraded or response.finish != "stop" or response.tool_calls:
        return
    similar = question(call, caching) if parts.index is not None else None
    exact = not usable(call, caching)
    if not exact and similar is None:
        return
    now_ns = parts.clock.wall_ns()
    cost = sum(attempt.cost_nano_usd for attempt in call.attempts)
    value = _encoder.encode(Kept(response, answer.deployment, answer.tier, cost, answer.chunks, answer.confidence))
    if exact:
        fresh = now_ns + int(caching.exact_ttl_s * NS_PER_S)
        await parts.answers.put(exact_key(call), value, now_ns, fresh, fresh + int(caching.stale_s * NS_PER_S))
    if similar is not None and parts.index is not None:
        key = f"s:{similar[0]}:{blake2b(similar[1].encode(), digest_size=16).hexdigest()}"
        fresh = now_ns + int(caching.semantic_ttl_s * NS_PER_S)
        await parts.answers.put(key, value, now_ns, fresh, fresh)
        await parts.index.add(similar[0], key, similar[1])


async def _similar(
    parts: Parts, answers: AnswerCache, caching: Caching, call: Call, similar: tuple[str, str], now_ns: int
) -> Answer | None:
    assert parts.index is not None
    nearest = await parts.index.nearest(*similar)
    if nearest is None:
        return None
    key, cosine, why_not = nearest
    if cosine < caching.similarity_threshold:
        return None
    if why_not:
        call.note(f"semantic cache not used at cosine {cosine:.3f}: {why_not}")
        return None
    entry = await answers.get(key)
    if entry is None or now_ns >= entry.fresh_until_ns:
        return None
    call.note(f"semantic cache: cosine {cosine:.3f} ≥ {caching.similarity_threshold:g}")
    return _answer(call, entry, "semantic", now_ns)


def _answer(call: Call, entry: Entry, cache: str, now_ns: int) -> Answer:
    kept = _decoder.decode(entry.value)
    call.note(f"{cache} cache: answer of {kept.deployment}, {(now_ns - entry.stored_ns) / NS_PER_S:.0f} s old")
    return Answer(
        response=kept.response,
        deployment=kept.deployment,
        tier=kept.tier,
        chunks=kept.chunks,
        cache=cache,
        saved_nano_usd=kept.cost_nano_usd,
        confidence=kept.confidence,
    )
