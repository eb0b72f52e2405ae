"""Records of the ledger as OpenTelemetry spans and events: values, not yet on any wire.

Above: otlp, export. Below: semconv, `core`. A span's id follows from its place in the ledger, so that a span sent twice is one span, and
a vendor or MCP server that was told a `traceparent` hangs under the very step that called it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from interlock.core.events import Attempt, Finished, OutcomeSeen, Record, Settled, Started, is_lone
from interlock.core.ids import span_id, trace_id
from interlock.core.money import Usage

from .semconv import Words

Kind = Literal["internal", "server", "client"]
_PLAIN = (str, bool, int, float)


class SpanEvent(Struct, frozen=True):
    """Something that happened at one moment of a span."""

    name: str
    at_ns: int
    attributes: dict[str, Any] = {}


class Span(Struct, frozen=True):
    """One span. Attributes hold text, numbers, booleans and lists of text."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""
    parent_id: str
    """Empty at the root."""
    name: str
    kind: Kind
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: tuple[SpanEvent, ...] = ()
    error: str = ""
    """What went wrong; empty when nothing did."""


class Evaluation(Struct, frozen=True):
    """What somebody said of a task's outcome: the conventions' event `gen_ai.evaluation.result`."""

    trace_id: str
    span_id: str
    at_ns: int
    attributes: dict[str, Any]


def of_call(record: Record, call: Settled, words: Words, *, content: bool = False) -> list[Span]:
    """The spans of one settled call: its step, and each of its attempts.

    `content`: with its messages, arguments and results, as far as the ledger has kept them.
    """
    parent = call.caller.trace
    lone = is_lone(record.task, call.call)
    trace = trace_id(record.task, parent)
    own = span_id(record.task, record.seq)
    step = Span(
        trace_id=trace,
        span_id=own,
        parent_id=(parent[36:52] if parent else "") if lone else span_id(record.task),
        name=f"execute_tool {call.name}" if call.kind == "tool" else f"call {call.name}",
        kind="server" if lone else "internal",
        start_ns=call.started_ns,
        end_ns=call.started_ns + call.duration_us * 1000,
        attributes=_step_facts(record, call, words, content=content),
        error=call.error,
    )
    if call.kind == "tool":
        return [step]
    answered = _answering(call)
    return [
        step,
        *(
            _attempt(record, call, index, words, trace, own, content=content and index == answered)
            for index in range(len(call.attempts))
        ),
    ]


def of_task(records: Sequence[Record], words: Words) -> Span | None:
    """The span of a finished task, from its whole log; `None` while it is not over."""
    started = next(((each, each.event) for each in records if isinstance(each.event, Started)), None)
    finished = next(((each, each.event) for each in reversed(records) if isinstance(each.event, Finished)), None)
    if started is None or finished is None:
        return None
    (first, begin), (last, end) = started, finished
    parent = begin.caller.trace
    facts = words.named(
        {
            "operation": "invoke_agent",
            "agent": begin.workflow,
            "agent_version": begin.versions.contract,
            "conversation": first.task,
            "prompt_version": begin.versions.prompt,
        }
    )
    facts |= _filled(
        {
            "user.id": begin.caller.user,
            "error.type": end.error,
            "interlock.tenant": first.tenant,
            "interlock.task": first.task,
            "interlock.workflow": begin.workflow,
            "interlock.task.outcome": end.outcome,
            "interlock.tier": end.tier,
            "interlock.confidence": end.confidence,
            "interlock.escalations": end.escalations,
            "interlock.degraded": end.degraded,
            "interlock.simulated": end.simulated,
            "interlock.policy.version": begin.versions.policy,
            "interlock.route.version": begin.versions.route,
            "interlock.cost.nano_usd": sum(_cost(each) for each in records),
        }
    )
    return Span(
        trace_id=trace_id(first.task, parent),
        span_id=span_id(first.task),
        parent_id=parent[36:52] if parent else "",
        name=f"invoke_agent {begin.workflow}",
        kind="server" if parent else "internal",
        start_ns=first.at_ns,
        end_ns=last.at_ns,
        attributes=facts,
        events=tuple(
            map(_moment, (each for each in records if not isinstance(each.event, Settled | Started | Finished)))
        ),
        error=end.error if end.outcome == "failed" else "",
    )


def of_outcome(record: Record, seen: OutcomeSeen, words: Words, parent: str = "") -> Evaluation:
    """What somebody said of a task, as the conventions' event about its span."""
    label = "success" if seen.success else "failure"
    facts = words.named(
        {
            "evaluation": f"outcome.{seen.source}",
            "evaluation_label": label,
            "evaluation_score": float(seen.success),
            "evaluation_explanation": seen.note,
        }
    )
    facts["interlock.task"] = record.task
    return Evaluation(trace_id(record.task, parent), span_id(record.task), record.at_ns, facts)


# --- Steps ----------------------------------------------------------------------------------------------------------------


def _step_facts(record: Record, call: Settled, words: Words, *, content: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if call.kind == "tool":
        facts |= words.named({"operation": "execute_tool", "tool": call.name, "conversation": record.task})
        if content and record.content:
            facts |= words.named({"tool_result": _text(record.content.get("result"))})
    caller = call.caller
    facts |= _filled(
        {
            "user.id": caller.user,
            "error.type": call.error,
            "interlock.tenant": record.tenant,
            "interlock.task": record.task,
            "interlock.step": record.seq,
            "interlock.call": call.call,
            "interlock.key": caller.key_id,
            "interlock.workflow": caller.workflow,
            "interlock.status": call.status,
            "interlock.tier": call.tier,
            "interlock.deployment": call.deployment,
            "interlock.attempts": len(call.attempts),
            "interlock.cost.nano_usd": call.cost_nano_usd,
            "interlock.cost.saved_nano_usd": call.saved_nano_usd,
            "interlock.price.version": call.price,
            "interlock.route.reasons": list(call.reasons),
            "interlock.route.escalations": [each.reason for each in call.escalations],
            "interlock.route.version": caller.versions.route,
            "interlock.policy.version": caller.versions.policy,
            "interlock.prompt.version": caller.versions.prompt,
            "interlock.cache": call.cache,
            "interlock.degraded": call.degraded,
            "interlock.limit": call.limit,
            "interlock.simulated": call.simulated,
            "interlock.confidence": call.confidence,
            "interlock.message": call.message,
        }
    )
    return facts


def _attempt(record: Record, call: Settled, index: int, words: Words, trace: str, step: str, *, content: bool) -> Span:
    made: Attempt = call.attempts[index]
    provider, _, model = made.deployment.partition("/")
    first_us = call.first_token_us if made.status == "ok" else 0
    facts = words.named(
        {
            "operation": "chat",
            "provider": words.provider(provider),
            "request_model": model,
            "response_model": model if made.status == "ok" else "",
            "agent": call.caller.workflow,
            "conversation": record.task,
            "first_chunk_s": first_us / 1e6 if first_us else None,
            **_tokens(made.usage),
        }
    )
    if content and record.content:
        facts |= words.named(_messages(record.content))
    facts |= _filled(
        {
            "error.type": made.error,
            "interlock.tenant": record.tenant,
            "interlock.tier": made.tier,
            "interlock.status": made.status,
            "interlock.purpose": made.purpose,
            "interlock.cost.nano_usd": made.cost_nano_usd,
            "interlock.price.version": made.price,
            "interlock.simulated": made.simulated,
            "interlock.message": made.message,
        }
    )
    return Span(
        trace_id=trace,
        span_id=span_id(record.task, record.seq, index),
        parent_id=step,
        name=f"chat {model or made.deployment}",
        kind="client",
        start_ns=made.started_ns,
        end_ns=made.started_ns + made.duration_us * 1000,
        attributes=facts,
        error=made.error,
    )


def _tokens(usage: Usage) -> dict[str, int]:
    """The conventions count what was read from a cache into the input, and reasoning into the output; our buckets are disjoint."""
    return {
        "input_tokens": usage.input_total,
        "output_tokens": usage.output_total,
        **{fact: amount for fact in _BUCKETS if (amount := getattr(usage, fact))},
        **({"cache_write": written} if (written := usage.cache_write + usage.cache_write_1h) else {}),
    }


_BUCKETS = ("cache_read", "reasoning", "input_image", "input_audio", "output_image", "output_audio")


def _messages(content: dict[str, Any]) -> dict[str, str]:
    """In the conventions' own form of messages: a role and parts."""
    asked = [
        {"role": each["role"], "parts": [{"type": "text", "content": each["text"]}]}
        for each in content.get("request", ())
    ]
    facts = {"input_messages": _text(asked)} if asked else {}
    answer = content.get("response")
    if answer:
        parts: list[dict[str, Any]] = [{"type": "text", "content": answer["text"]}] if answer["text"] else []
        parts += [{"type": "tool_call", **each} for each in answer["tool_calls"]]
        facts["output_messages"] = _text([{"role": "assistant", "parts": parts, "finish_reason": answer["finish"]}])
    return facts


def _moment(record: Record) -> SpanEvent:
    """An approval, a note, an intention: whatever a task does beside calling."""
    detail: dict[str, Any] = msgspec.to_builtins(record.event)
    name = detail.pop("type")
    flat = {f"interlock.{key}": value if isinstance(value, _PLAIN) else _text(value) for key, value in detail.items()}
    return SpanEvent(f"interlock.{name}", record.at_ns, {"interlock.step": record.seq, **_filled(flat)})


def _answering(call: Settled) -> int:
    good = [index for index, made in enumerate(call.attempts) if made.status == "ok" and not made.purpose]
    return good[-1] if good else -1


def _cost(record: Record) -> int:
    return record.event.cost_nano_usd if isinstance(record.event, Settled) else 0


def _filled(facts: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: `None`, empty text, empty lists, false."""
    return {
        name: value
        for name, value in facts.items()
        if value is not None and value is not False and value not in ("", [])
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
