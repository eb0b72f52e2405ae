"""One task: its waterfall, and for one step why it went as it did, with what went in and out.

Above: face, templates. Below: waterfall, the ledger's trace. The arithmetic shown is that of the recorded price, bucket by bucket.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from interlock.core.money import Price, bucket_cost
from interlock.core.sealing import why_unreadable
from interlock.core.text import millis, money, plural
from interlock.ledger.read import Trace, TracedAttempt, TracedCall, TracedStep

from .waterfall import Waterfall, waterfall


class Decision(Struct, frozen=True):
    """One line of the *Why* strip."""

    what: str
    said: str
    why: tuple[str, ...] = ()
    state: str = ""
    """A word of `draw.STATES`."""


class PriceLine(Struct, frozen=True):
    """One bucket of one try at its rate."""

    bucket: str
    amount: int
    nano_usd_per_million: int
    """Per hour for `compute_ms`."""
    cost_nano_usd: int


class Arithmetic(Struct, frozen=True):
    """How one try's money came about."""

    deployment: str
    price: str
    source: str
    since: str
    estimated: bool
    lines: tuple[PriceLine, ...]
    cost_nano_usd: int
    """As recorded."""
    exact: bool
    """Whether the lines add up to it."""
    simulated: bool


class Content(Struct, frozen=True):
    """Something that went in or came out; hostile until somebody has read it."""

    name: str
    value: Any


class Inspected(Struct, frozen=True):
    """One step, opened."""

    step: int
    title: str
    kind: str
    at: str
    decisions: tuple[Decision, ...]
    prices: tuple[Arithmetic, ...]
    content: tuple[Content, ...]


class TracePage(Struct, frozen=True):
    """The whole page."""

    trace: Trace
    picture: Waterfall
    chosen: Inspected | None


def trace_page(trace: Trace, step: int | None) -> TracePage:
    """The page with the step that was asked for, or the one worth looking at first, opened."""
    picture = waterfall(trace)
    shown = {row.step for row in picture.rows}
    chosen = step if step in shown else _first(trace, shown)
    return TracePage(trace, picture, None if chosen is None else inspected(trace, chosen))


def inspected(trace: Trace, number: int) -> Inspected:
    """The step `number`, which is one of the trace's."""
    step = next(each for each in trace.steps if each.step == number)
    announced = next((e for e in trace.steps if e.type == "intended" and e.detail["step"] == number), None)
    answer = next((e for e in trace.steps if e.type == "approval_decided" and e.detail["step"] == number), None)
    call = step.call
    given = [*_contents(announced), *_contents(step)]
    given = [
        each for at, each in enumerate(given) if each not in given[:at]
    ]  # a call's arguments stand on both its records
    given += _contents(answer, "decided on: ")
    if call is None:
        title = str(step.detail.get("tool") or step.detail.get("name") or step.type.replace("_", " "))
        decisions = (*(() if answer is None else _answered(answer)), *_plain(step))
        return Inspected(number, title, step.type, step.at, tuple(decisions), (), tuple(given))
    prices = {price.version: price for price in trace.prices}
    sums = tuple(_arithmetic(each, prices) for each in call.attempts if each.usage or each.cost_nano_usd)
    return Inspected(number, call.name, call.kind, step.at, tuple(_why(call, announced)), sums, tuple(given))


def _first(trace: Trace, shown: set[int]) -> int | None:
    """The failure, the question that waits, the dearest call, or the first step."""
    calls = [step for step in trace.steps if step.call is not None]
    bad = [step.step for step in calls if step.call and step.call.status not in ("ok", "cache_hit")]
    asked = [step.step for step in trace.steps if step.type in ("approval_asked", "in_doubt")]
    if trace.task.status != "finished" and asked:
        return asked[-1]
    if bad:
        return bad[-1]
    dear = max(calls, key=lambda each: each.call.cost_nano_usd if each.call else 0, default=None)
    return dear.step if dear else min(shown, default=None)


def _why(call: TracedCall, announced: TracedStep | None) -> Iterator[Decision]:
    if call.kind == "model":
        yield Decision(
            "route", " · ".join(filter(None, (call.deployment or "nobody answered", call.tier))), call.reasons
        )
    else:
        yield Decision("tool", call.status, call.reasons, call.status)
    if announced is not None and announced.detail.get("compensates"):
        yield Decision("undoes", f"step {announced.detail['compensates']}", state="in_doubt")
    for each in call.escalations:
        yield Decision("escalated", f"{each.from_model} → {each.to_model}", (each.reason,), "waiting_approval")
    if call.cache:
        yield Decision("cache", f"{call.cache} hit", (f"saved {money(call.saved_nano_usd)}",), "ok")
    elif call.kind == "model":
        yield Decision("cache", "no hit")
    if call.attempts:
        first = (
            () if call.first_token_ms is None else (f"first token after {millis(round(call.first_token_ms * 1000))}",)
        )
        said = tuple(_try(number, attempt) for number, attempt in enumerate(call.attempts, 1))
        yield Decision("tries", plural(len(call.attempts), "try", "tries"), (*said, *first))
    if call.confidence is not None:
        yield Decision("confidence", f"{call.confidence:.3f}")
    if call.degraded:
        yield Decision("degraded", call.degraded.replace("_", " "), state="waiting_approval")
    if call.reserved_nano_usd:
        said = (
            f"{money(call.reserved_nano_usd)} reserved, {money(call.cost_nano_usd + call.simulated_nano_usd)} settled"
        )
        yield Decision("limit", said)
    if call.error or call.message:
        yield Decision("error", call.error or "failed", (call.message,), "error")
    versions = [f"{name} {getattr(call.versions, name)}" for name in call.versions.__struct_fields__]
    yield Decision("versions", " · ".join(each for each in versions if not each.endswith(" ")))


def _try(number: int, attempt: TracedAttempt) -> str:
    parts = [f"{number}. {attempt.deployment}", attempt.status, millis(round(attempt.duration_ms * 1000))]
    parts += [attempt.purpose] if attempt.purpose else []
    parts += [f"{attempt.error} {attempt.message}".strip()] if attempt.error or attempt.message else []
    return " · ".join(parts)


def _arithmetic(attempt: TracedAttempt, prices: Mapping[str, Price]) -> Arithmetic:
    price = prices.get(attempt.price)
    rates = {bucket: getattr(price.rates, bucket) if price else 0 for bucket in attempt.usage}
    lines = tuple(
        PriceLine(bucket, amount, rates[bucket], bucket_cost(bucket, rates[bucket], amount))
        for bucket, amount in attempt.usage.items()
    )
    return Arithmetic(
        attempt.deployment,
        attempt.price,
        price.source if price else "",
        price.since if price else "",
        price.estimated if price else False,
        lines,
        attempt.cost_nano_usd,
        sum(line.cost_nano_usd for line in lines) == attempt.cost_nano_usd,
        attempt.simulated,
    )


def _answered(step: TracedStep) -> Iterator[Decision]:
    """Who decided, and what."""
    said = step.detail
    word = str(said.get("decision", ""))
    why = tuple(str(each) for each in (said.get("note", ""), _moment(step.at)) if each)
    yield Decision("decided", f"{word} by {said.get('who', '')}", why, word)


def _plain(step: TracedStep) -> Iterator[Decision]:
    """An event that is no call: its fields as they are."""
    for name, value in step.detail.items():
        if value not in ("", None, {}, []) and name not in ("caller", "step", "arguments_hash"):
            yield Decision(name.removesuffix("_ns").replace("_", " "), _said(name, value))


def _moment(at: str) -> str:
    return f"{at[:19].replace('T', ' ')} UTC"


def _said(name: str, value: Any) -> str:
    if name.endswith("_ns") and isinstance(value, int):
        return _moment(dt.datetime.fromtimestamp(value / 1e9, dt.UTC).isoformat())
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())  # pyright: ignore[reportUnknownVariableType]
    return str(value)


def _contents(step: TracedStep | None, prefix: str = "") -> Sequence[Content]:
    """What a record kept beside itself, piece by piece; a conversation turn by turn."""
    found: list[Content] = []
    kept = (step.content if step else None) or {}
    if why := why_unreadable(kept):
        return [Content(f"{prefix}cannot be read", why)]
    for name, value in sorted(kept.items(), key=lambda each: each[0] != "request"):  # what went in, then what came out
        if name == "request" and isinstance(value, list):
            turns: list[dict[str, Any]] = value  # pyright: ignore[reportUnknownVariableType]
            found += [Content(f"{prefix}{turn.get('role', 'turn')}", _turn(turn)) for turn in turns]
        elif isinstance(value, dict) and name == "response":
            said: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
            found.append(Content(f"{prefix}answer", _turn(said)))
        else:
            found.append(Content(f"{prefix}{name}", value))
    return found


def _turn(turn: dict[str, Any]) -> Any:
    """The text of a turn where that is all, otherwise the turn without its empty fields."""
    rest = {
        name: value for name, value in turn.items() if value and name not in ("role", "text", "finish", "confidence")
    }
    return (
        turn.get("text", "") if not rest else {name: value for name, value in turn.items() if value and name != "role"}
    )
