"""Alarms about promises and changes, in simulated months: how often they are wrong, how soon they are right.

Seeded. A workflow promises 99 % over 28 days and fails 0.5 % of its tasks; in half of the months it fails far more from the twentieth day on. Every half-hour is looked at. For
changes: 300 tasks with heavy-tailed costs, of which the last hundred may cost half as much again.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from msgspec import Struct

from interlock.core.caller import Versions
from interlock.core.store import TaskRow
from interlock.observe.change import Ran, changes
from interlock.observe.slo import Objective, Seen, standing

COMMAND = "python -m bench alarms"
SEED = 20_261_121
PROMISE = Objective("success", 0.99)
WINDOW_S = 28 * 86_400.0
BEGINS_H = 24 * 20
LOADS = ((12, 0.5), (100, 0.25), (1_000, 0.10), (10_000, 0.05))
"""Tasks a day, and the share that fails in an incident."""


class Month(Struct, frozen=True):
    """When each task came, in hours, and how many had gone wrong before it."""

    hours: list[float]
    bad: list[int]


def run(quick: bool) -> list[dict[str, Any]]:
    months, histories = (3, 30) if quick else (20, 300)
    rows: list[dict[str, Any]] = []
    for a_day, share in LOADS[:2] if quick else LOADS:
        rows += _alarms(a_day, share, months)
    return [*rows, *_changes(histories)]


def _alarms(a_day: int, share: float, months: int) -> list[dict[str, Any]]:
    rng = random.Random(SEED + a_day)
    paged, waited = 0, list[float]()
    for _ in range(months):
        calm = _month(rng, a_day, lambda _: 0.005)
        paged += any(_fires(calm, half / 2, "page") for half in range(48, 48 * 28))
        hit = _month(rng, a_day, lambda hour: share if hour >= BEGINS_H else 0.005)
        first = next((half / 2 for half in range(1, 2 * 192) if _fires(hit, BEGINS_H + half / 2, "")), None)
        if first is not None:
            waited.append(first)
    waited.sort()
    name = f"{a_day:,} tasks a day"
    found = len(waited) / months
    return [
        _figure(
            f"{name}: months of a kept promise with a page", paged, f"of {months}", "<= 5 %", paged <= 0.05 * months
        ),
        _figure(
            f"{name}: incidents of {share:.0%} failures told",
            round(found, 3),
            f"share of {months}",
            ">= 0.95",
            found >= 0.95,
        ),
        _figure(f"{name}: hours until told, median", waited[len(waited) // 2] if waited else "-", "hours"),
        _figure(f"{name}: hours until told, longest", waited[-1] if waited else "-", "hours"),
    ]


def _changes(histories: int) -> list[dict[str, Any]]:
    rng = random.Random(SEED)
    found = named = wrong = blamed = 0
    spent = time.process_time()
    for _ in range(histories):
        cost = [each for each in changes(_tasks(rng, 1.5, 0)) if each.metric == "cost by task"]
        found, named = found + bool(cost), named + any(each.version == "prompt p2" for each in cost)
        wrong += bool(changes(_tasks(rng, 1.0, 0)))
        blamed += any(each.version for each in changes(_tasks(rng, 2.0, -150)))
    each_ms = (time.process_time() - spent) / (3 * histories) * 1000
    share = named / found if found else 0.0
    return [
        _figure(
            "a rise of half in 300 tasks: found",
            round(found / histories, 3),
            f"of {histories}",
        ),
        _figure("… and called by its version", round(share, 3), "share of those", ">= 0.9", share >= 0.9),
        _figure(
            "histories without a change in which one is told",
            wrong,
            f"of {histories}",
            "<= 2 %",
            wrong <= 0.02 * histories,
        ),
        _figure(
            "versions blamed that began 150 tasks before",
            blamed,
            f"of {histories}",
            "<= 2 %",
            blamed <= 0.02 * histories,
        ),
        _figure("looking at 300 tasks, eight figures", round(each_ms, 1), "CPU ms"),
    ]


def _tasks(rng: random.Random, factor: float, early: int) -> list[Ran]:
    made: list[Ran] = []
    for at in range(300):
        cost = rng.lognormvariate(0, 0.6) * (factor if at >= 200 else 1.0) * (100 if rng.random() < 0.01 else 1)
        row = TaskRow(
            f"t{at:04d}",
            "bench",
            "task",
            created_ns=at * 60 * 10**9,
            outcome="resolved",
            cost_nano_usd=round(cost * 1e6),
            duration_us=round(rng.lognormvariate(0, 1) * 1e6),
        )
        made.append(Ran(row, Versions(prompt="p2" if at >= 200 + early else "p1")))
    return made


def _month(rng: random.Random, a_day: int, bad: Callable[[float], float]) -> Month:
    hours = sorted(rng.uniform(0, 24 * 28) for _ in range(a_day * 28))
    return Month(hours, [0, *accumulate(int(rng.random() < bad(hour)) for hour in hours)])


def _fires(month: Month, hour: float, severity: str) -> bool:
    def look(span_s: float) -> Seen:
        first, last = (bisect_left(month.hours, at) for at in (hour - span_s / 3600, hour))
        return Seen(last - first, month.bad[last] - month.bad[first])

    found = standing(PROMISE, WINDOW_S, look)
    return any(burn.firing and severity in ("", burn.severity) for burn in found.burns)


def _figure(name: str, value: object, unit: str, goal: str | None = None, ok: bool | None = None) -> dict[str, Any]:
    return {"figure": name, "value": value, "unit": unit, "goal": goal, "ok": ok, "command": COMMAND}
