"""Escalation decisions: whether an answer is good enough, and if not, whether it is repaired or the next tier asked. Pure functions.

Above: chat. Below: settings, `core`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec import UNSET, Struct

from interlock.core.chat import ChatRequest, ChatResponse, Fact, Message
from interlock.core.unreadable import UNREADABLE

from .checks import Seen
from .settings import Rule


class Good(Struct, frozen=True):
    """The answer stands."""


class Repair(Struct, frozen=True):
    """The same model is asked once more, with what was wrong."""

    faults: tuple[str, ...]


class Up(Struct, frozen=True):
    """Another tier is asked."""

    target: str
    """A rule's target; empty for the next tier of the plan."""
    reason: str
    must: bool
    """The answer cannot stand as it is (it breaks the schema), so this is no matter of choice."""


Verdict = Good | Repair | Up


def content_of(request: ChatRequest, response: ChatResponse) -> tuple[Any, list[str]]:
    """(the answer's JSON value, what is wrong with it as JSON). `UNSET` where the answer need not be JSON, or is not."""
    if not (request.output_schema or request.json_mode) or response.tool_calls or response.refusal:
        return UNSET, []
    try:
        return msgspec.json.decode(response.text), []
    except UNREADABLE as error:
        return UNSET, [f"not JSON: {error}"]


def confidence_of(request: ChatRequest, response: ChatResponse, value: Any) -> float | None:
    """Probability that the answer is right: the provider's, else the answer's own `confidence` where its schema has the field,
    else the mean token probability, else unknown.
    """
    if response.confidence is not None:
        return response.confidence
    schema = request.output_schema
    if schema is not None and isinstance(value, Mapping) and "confidence" in schema.schema.get("properties", {}):
        said: Any = cast(Mapping[str, Any], value).get("confidence")
        if isinstance(said, (int, float)) and not isinstance(said, bool):
            return float(said)
    return None if response.mean_logprob is None else math.exp(min(0.0, response.mean_logprob))


def judge(
    rules: Sequence[Rule],
    facts: Mapping[str, Fact],
    faults: Sequence[str],
    repaired: bool,
    asked: frozenset[str],
    passed: Sequence[int] = (),
) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict on one answer and the reasons for it.

    `faults` are those of the schema check; `repaired` says that this model had its second chance; `asked` are the rule targets this
    call has been to, so that no rule sends it in circles; `passed` are the places of rules that held before it was asked.
    """
    if faults:
        what = "; ".join(faults[:3])
        if not repaired:
            return Repair(tuple(faults)), (f"schema_violation: {what}",)
        return Up("", f"schema_violation: {what}", must=True), (f"schema_violation after repair: {what}",)
    notes: list[str] = []
    for place, rule in enumerate(rules):
        if place in passed:
            continue
        holds = rule.condition.evaluate(facts)
        if holds is True and rule.target not in asked:
            return Up(rule.target, rule.condition.explain(facts), must=False), tuple(notes)
        if holds is True:
            notes.append(f"accepted although {rule.condition.explain(facts)}: {rule.target} has been asked")
        elif holds is None and "confidence" not in facts and "confidence" in rule.condition.text:
            notes.append(f"rule not applied, the answer's confidence is unknown: {rule.condition.text}")
    return Good(), tuple(notes)


def checked(verdict: Verdict, seen: Seen, weighed: Up | None) -> Verdict:
    """The verdict with what the checks said: a rule goes first, then a check that the answer failed, then the learned route."""
    if not isinstance(verdict, Good):
        return verdict
    if seen.failed:
        return Up("", f"check {seen.failed}", must=False)
    return weighed or verdict


def within_slo(
    elapsed_ms: float, expected_ms: float | None, slo_ms: int | None, slow_share: float, allowed_share: float
) -> str:
    """Empty when an optional escalation may go ahead, else why it may not.

    A p95 promise leaves 5 % of the calls room to be slow; once that room is used up, no call is made slower by choice.
    """
    if slo_ms is None or slow_share <= allowed_share:
        return ""
    would_ms = elapsed_ms + (expected_ms or 0.0)
    if would_ms <= slo_ms:
        return ""
    return f"p95_latency_slo_ms {slo_ms} at risk: {slow_share:.0%} of recent calls were slower and this one would take {would_ms:.0f} ms"


def repair_request(request: ChatRequest, response: ChatResponse, faults: Sequence[str]) -> ChatRequest:
    """The request for the second chance: the answer as it was, and what was wrong with it."""
    listed = "\n".join(f"- {fault}" for fault in faults[:20])
    again = Message(
        role="user",
        content=(
            "Your answer does not satisfy the required JSON schema:\n"
            f"{listed}\nReply with the corrected JSON document only, nothing before or after it."
        ),
    )
    return request.but(messages=(*request.messages, Message(role="assistant", content=response.text), again))
