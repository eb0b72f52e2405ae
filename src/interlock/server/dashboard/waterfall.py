"""A task's steps on one axis of time: bars in thousandths of the whole, long waits for people cut short.

Above: pages_trace. Below: the ledger's trace.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Literal, cast

from msgspec import Struct

from interlock.core.text import millis, money, one_line
from interlock.ledger.read import Trace, TracedCall, TracedStep

Kind = Literal["model", "tool", "policy", "waiting", "task"]
WHOLE = 1000.0
LEAST = 3.0
"""A bar is never narrower, so that it can be seen."""
WAIT_SHARE = 0.2
"""No wait takes more of the axis than this share of the time that was worked."""
TICKS = 3


class Bar(Struct, frozen=True):
    """One stretch of time."""

    start: float
    """In thousandths of the axis, like `width`."""
    width: float
    look: str
    """`model`, `tool`, `policy`, `waiting`, `task`; `pale` for an answer that was not taken, `retry` for a failed try."""


class Row(Struct, frozen=True):
    """One step as a line."""

    step: int
    depth: int
    kind: Kind
    name: str
    status: str
    note: str
    bars: tuple[Bar, ...]
    tokens: int
    cost: str
    """Empty where a step can cost nothing."""
    duration_ms: float


class Tick(Struct, frozen=True):
    """A mark on the axis."""

    at: float
    label: str


class Waterfall(Struct, frozen=True):
    """The picture."""

    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    total_ms: float
    """From the first record to the last, waits included."""
    cut: bool
    """Whether waits are drawn shorter than they were."""


class Axis:
    """Microseconds to thousandths of the width; each wait is as long as `WAIT_SHARE` allows."""

    def __init__(self, start: int, end: int, waits: Sequence[tuple[int, int]]) -> None:
        self.start, self.end = start, max(end, start + 1)
        self._waits = _apart(waits)
        worked = self.end - start - sum(b - a for a, b in self._waits)
        self._most = max(1, round(WAIT_SHARE * worked))
        self._whole = max(1, self._shown(self.end))
        self.cut = any(b - a > self._most for a, b in self._waits)

    def at(self, moment: int) -> float:
        """Where a moment lies."""
        return round(WHOLE * self._shown(min(max(moment, self.start), self.end)) / self._whole, 1)

    def bar(self, start: int, end: int, look: str) -> Bar:
        """A stretch, wide enough to be seen and inside the picture."""
        left = min(self.at(start), WHOLE - LEAST)
        return Bar(left, max(LEAST, round(self.at(end) - left, 1)), look)

    def ticks(self) -> tuple[Tick, ...]:
        """Marks at equal distances; without labels between the ends where waits are cut, because there time does not run evenly."""
        whole = self.end - self.start
        if self.cut:
            return Tick(0, "0"), Tick(WHOLE, millis(whole))
        return tuple(Tick(WHOLE * n / TICKS, millis(whole * n // TICKS) if n else "0") for n in range(TICKS + 1))

    def _shown(self, moment: int) -> int:
        lost = 0
        for a, b in self._waits:
            inside = min(max(moment, a), b) - a
            if b - a > self._most:
                lost += inside - round(inside * self._most / (b - a))
        return moment - self.start - lost


def waterfall(trace: Trace) -> Waterfall:
    """Every step that is more than an announcement of another one."""
    moments = [moment_us(step.at) for step in trace.steps]
    if not moments:
        return Waterfall((), (), 0.0, cut=False)
    starts = [_start(step, step.call) for step in trace.steps if step.call]
    decided = {each.detail["step"]: each for each in trace.steps if each.type == "approval_decided"}
    worked_until = moments[-1] if trace.task.status == "finished" else max(moments)
    waits = [
        (moment_us(step.at), moment_us(decided[step.step].at) if step.step in decided else worked_until)
        for step in trace.steps
        if step.type == "approval_asked"
    ]
    last = next((at for at, step in zip(moments, trace.steps, strict=True) if step.type == "finished"), max(moments))
    axis = Axis(min([*moments, *starts]), max([last, *(b for _, b in waits)]), waits)
    return Waterfall(tuple(_rows(trace, axis, decided)), axis.ticks(), (axis.end - axis.start) / 1000, axis.cut)


def _rows(trace: Trace, axis: Axis, decided: dict[int, TracedStep]) -> Iterator[Row]:
    settled = {step.step for step in trace.steps if step.call is not None or step.type == "arrived"}
    announced = {step.detail["step"]: step for step in trace.steps if step.type == "intended"}
    flow = False
    """Whether a model has been called: what follows is nested below its call."""
    for step in trace.steps:
        if step.call is not None:
            flow = flow or step.call.kind == "model"
            yield _call(step, step.call, axis, depth=int(flow and step.call.kind == "tool"))
        elif step.type == "intended":
            if step.detail["step"] not in settled:
                yield _open(step, axis)
        elif step.type == "arrived":
            yield _arrived(step, announced.get(step.step, step), axis)
        elif step.type == "approval_asked":
            yield _wait(step, decided.get(step.step), axis)
        elif step.type != "approval_decided":
            yield _decision(step, axis)


def _call(step: TracedStep, call: TracedCall, axis: Axis, *, depth: int) -> Row:
    start = _start(step, call)
    bars: list[Bar] = []
    for number, attempt in enumerate(call.attempts):
        begun = moment_us(attempt.started)
        taken = attempt.status == "ok" and number == len(call.attempts) - 1
        look = call.kind if taken else "pale" if attempt.status == "ok" else "retry"
        bars.append(axis.bar(begun, begun + round(attempt.duration_ms * 1000), look))
    if not bars:
        look = "retry" if call.status not in ("ok", "cache_hit") else call.kind
        bars = [axis.bar(start, start + round(call.duration_ms * 1000), look)]
    notes = [f"{len(call.attempts)} tries"] if len(call.attempts) > 1 else []
    notes += [f"from the {call.cache} cache"] if call.cache else []
    notes += [call.tier] if call.tier and not call.escalations else []
    if call.escalations:
        notes.append(" → ".join((call.escalations[0].from_model, *(each.to_model for each in call.escalations))))
    return Row(
        step.step,
        depth,
        cast("Kind", call.kind),
        one_line(call.name, 60),
        call.status,
        one_line(" · ".join(notes), 80),
        tuple(bars),
        sum(amount for bucket, amount in call.usage.items() if bucket != "compute_ms"),
        _cost(call),
        call.duration_ms,
    )


def _cost(call: TracedCall) -> str:
    if call.simulated_nano_usd and not call.cost_nano_usd:
        return "simulated"
    return money(call.cost_nano_usd) if call.kind == "model" or call.cost_nano_usd else ""


def _open(step: TracedStep, axis: Axis) -> Row:
    begun = moment_us(step.at)
    bar = axis.bar(begun, axis.end, "pale")
    name, kind = one_line(step.detail["name"], 60), cast("Kind", step.detail["kind"])
    ms = (axis.end - begun) / 1000
    awaits = step.detail.get("awaits", "")
    status = f"waits for a {awaits}" if awaits else "not settled"
    return Row(step.step, 0, "waiting" if awaits else kind, name, status, "", (bar,), 0, "", ms)


def _arrived(step: TracedStep, announced: TracedStep, axis: Axis) -> Row:
    """What a call waited for, from when it was announced until it was there."""
    begun, ended, detail = moment_us(announced.at), moment_us(step.at), step.detail
    status = "ok" if detail.get("ok", True) else "error"
    note = one_line(f"{detail.get('by', '')} {detail.get('what', '')}".strip(), 60)
    bar = axis.bar(begun, ended, "waiting")
    name = one_line(detail["name"], 60)
    return Row(step.step, 1, "waiting", name, status, note, (bar,), 0, "", (ended - begun) / 1000)


def _wait(step: TracedStep, decided: TracedStep | None, axis: Axis) -> Row:
    begun = moment_us(step.at)
    ended = moment_us(decided.at) if decided else axis.end
    said = f"{decided.detail['decision']} by {decided.detail['who']}" if decided else "waits for a person"
    name = f"approval · {one_line(step.detail['tool'], 40)}"
    status = decided.detail["decision"] if decided else "waiting_approval"
    bar = axis.bar(begun, ended, "waiting")
    return Row(step.step, 1, "waiting", name, status, one_line(said, 60), (bar,), 0, "", (ended - begun) / 1000)


def _decision(step: TracedStep, axis: Axis) -> Row:
    at, detail = moment_us(step.at), step.detail
    kind: Kind = "task" if step.type in ("started", "finished", "outcome_seen") else "policy"
    names = {
        "started": "began",
        "finished": f"ended: {detail.get('outcome', '')}",
        "outcome_seen": f"{'a success' if detail.get('success') else 'no success'} according to {detail.get('source', '')}",
        "in_doubt": f"in doubt: {detail.get('tool', '')}",
        "doubt_settled": f"{detail.get('decision', '')} by {detail.get('who', '')}",
    }
    name = one_line(names.get(step.type, detail.get("name", step.type)), 60)
    note = one_line(detail.get("reason") or detail.get("note") or "", 80)
    return Row(step.step, 0, kind, name, "", note, (axis.bar(at, at, kind),), 0, "", 0.0)


def moment_us(at: str) -> int:
    """An ISO 8601 moment in microseconds of the epoch."""
    return round(dt.datetime.fromisoformat(at).timestamp() * 1_000_000)


def _start(step: TracedStep, call: TracedCall) -> int:
    first = [moment_us(attempt.started) for attempt in call.attempts if attempt.started]
    return min(first, default=moment_us(step.at) - round(call.duration_ms * 1000))


def _apart(waits: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The waits without those that lie in one another."""
    found: list[tuple[int, int]] = []
    for a, b in sorted(waits):
        if found and a < found[-1][1]:
            found[-1] = (found[-1][0], max(b, found[-1][1]))
        else:
            found.append((a, b))
    return found
