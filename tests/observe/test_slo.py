"""Promises against what the ledger says: budgets, burn rates, and what a few tasks can and cannot tell."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pytest

from interlock.core.events import OutcomeSeen, Record
from interlock.observe.slo import Objective, Seen, Standing, Terms, standing
from interlock.observe.standing import Standings
from interlock.storage import SqliteStore

from .kit import HOUR, MINUTE, NOW, ran

SUCCESS = Objective("success", 0.99, label="success 99 %")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "store.db", synchronous="normal")
    yield opened
    opened.close()


def judged(store: SqliteStore, *objectives: Objective, window_s: float = 28 * 86_400) -> list[Standing]:
    return Standings(store).of("acme", "support", Terms(objectives, window_s), NOW)


@pytest.mark.requirement("OB-07")
def test_each_promise_is_held_against_the_tasks_it_is_about(store: SqliteStore):
    tasks = [ran(f"t{n}", n * 10 * MINUTE, seconds=8 if n % 20 == 0 else 2) for n in range(400)]
    tasks += [ran("bad", HOUR, "failed"), ran("off", HOUR, "cancelled"), ran("bare", HOUR, cited=())]
    tasks += [ran("cheeky", HOUR, refused=True), [*ran("open", MINUTE)[:2]]]
    store.write(tasks)
    store.write([[Record("t3", 3, "acme", NOW, OutcomeSeen(False, "user"))]])
    promises = (
        SUCCESS,
        Objective("latency", 0.9, 6.0),
        Objective("cited", 0.9, 1),
        Objective("policy", 1.0, 0),
        Objective("cost", 1.0, 1_500_000),
    )

    success, latency, cited, policy, cost = judged(store, *promises)

    assert (success.seen.n, success.seen.bad, success.seen.pending) == (403, 2, 1)
    assert success.left == pytest.approx(1 - 2 / 4.03)
    assert (latency.seen.n, latency.seen.bad, latency.verdict) == (403, 20, "kept")
    assert (cited.seen.n, cited.seen.bad) == (500 - 98, 1)
    assert (policy.seen.bad, policy.verdict, policy.spent) == (1, "broken", True)
    assert cost.achieved == pytest.approx(405_000_000 / 401, rel=0.01)
    assert cost.verdict == "kept"


@pytest.mark.requirement("OB-07")
def test_an_outage_pages_and_goes_on_to_spend_the_budget_and_its_end_ends_the_alarm(store: SqliteStore):
    store.write([ran(f"t{n}", n * 10 * MINUTE) for n in range(4_000)])  # 144 a day, for four weeks
    (calm,) = judged(store, SUCCESS)
    assert (calm.verdict, calm.firing, calm.days_left) == ("kept", None, None)

    store.write([ran(f"bad{n}", n * MINUTE, "failed") for n in range(45)])
    (outage,) = judged(store, SUCCESS)
    assert outage.firing is not None
    assert (outage.firing.severity, outage.firing.long_s) == ("page", 3600)
    assert outage.left is not None
    assert outage.left < 0
    assert outage.spent == (outage.verdict == "broken")

    store.write([ran(f"later{n}", -n * 10 * MINUTE) for n in range(1, 13)])
    looked = Standings(store).of("acme", "support", Terms((SUCCESS,)), NOW + 2 * HOUR)
    assert all(burn.severity == "ticket" for burn in looked[0].burns if burn.firing)
    assert {row.id for row in Standings(store).culprits("acme", "support", SUCCESS, NOW - HOUR, 50)} == {
        f"bad{n}" for n in range(45)
    }


@pytest.mark.requirement("OB-07")
def test_a_few_tasks_neither_break_a_promise_nor_keep_it(store: SqliteStore):
    store.write([ran(f"t{n}", n * MINUTE) for n in range(4)])
    store.write([ran("bad", 2 * MINUTE, "failed")])
    (few,) = judged(store, SUCCESS)

    assert (few.verdict, few.spent, few.firing) == ("open", False, None)
    assert few.left is not None
    assert few.left < 0
    assert few.low is not None
    assert few.low < 0.7

    (nothing,) = judged(store, Objective("latency", 0.95, 6.0), window_s=86_400)
    assert nothing.verdict == "open"


@pytest.mark.requirement("OB-07")
@pytest.mark.parametrize(("a_day", "share", "wrong_at_most", "found_within_h"), [(12, 0.5, 1, 36), (1_000, 0.4, 1, 2)])
def test_alarms_find_an_incident_in_time_and_leave_a_workflow_alone_that_just_keeps_its_promise(
    a_day: int, share: float, wrong_at_most: int, found_within_h: int
):
    rng = random.Random(7)
    wrong, late = 0, 0
    for _ in range(20):
        calm = stream(rng, a_day, lambda _: 0.005)
        wrong += any(fires(calm, float(hour), "page") for hour in range(24, 24 * 28))
        hit = stream(rng, a_day, lambda hour: share if hour >= 24 * 20 else 0.005)
        late += not any(fires(hit, 24 * 20 + half / 2, "") for half in range(1, 2 * found_within_h + 1))
    assert wrong <= wrong_at_most
    assert late <= 2


class Stream(NamedTuple):
    """Four weeks of tasks: when each came, in hours, and how many had gone wrong before it."""

    hours: list[float]
    bad: list[int]


def stream(rng: random.Random, a_day: int, bad: Callable[[float], float]) -> Stream:
    hours = sorted(rng.uniform(0, 24 * 28) for _ in range(a_day * 28))
    return Stream(hours, [0, *accumulate(int(rng.random() < bad(hour)) for hour in hours)])


def fires(tasks: Stream, hour: float, severity: str) -> bool:
    def look(span_s: float) -> Seen:
        first, last = (bisect_left(tasks.hours, at) for at in (hour - span_s / 3600, hour))
        return Seen(last - first, tasks.bad[last] - tasks.bad[first])

    found = standing(SUCCESS, 28 * 86_400, look)
    return any(burn.firing and severity in ("", burn.severity) for burn in found.burns)
