"""What the newest tasks say beside the roll-ups: intervals, circles, repeated requests, retrieved context; and what would have been paid otherwise."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.estimate import per_success, wilson
from interlock.core.money import Price, Rates, Usage, cost_of
from interlock.economics import report, statements
from interlock.economics.statement import LABELS
from interlock.storage import SqliteStore
from tests.ledger.kit import PRICE, T0, attempt, call, finished, record, started

PREMIUM = Price(
    "p/big", Rates(input=2_500_000_000, cache_read=1_250_000_000, output=10_000_000_000), "list", "2026-10", "big"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "store.db", synchronous="normal")
    yield opened
    opened.close()


def checked(status: str = "ok") -> object:
    return structs.replace(attempt(status), purpose="check:agreement")  # type: ignore[arg-type]


tried = st.lists(
    st.builds(
        lambda status, tokens, check, fake: structs.replace(
            attempt(status, tokens=tokens, simulated=fake), purpose="check:agreement" if check else ""
        ),
        st.sampled_from(["ok", "error", "timeout"]),
        st.integers(0, 90_001),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.requirement("EC-01", "OB-03")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(tried, st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=6), st.booleans())
def test_whatever_is_split_off_the_lines_add_up_to_the_ledger(
    tmp_path_factory: pytest.TempPathFactory, tasks: list[tuple[list[object], int, int]], good: bool
):
    opened = SqliteStore.open(tmp_path_factory.mktemp("sums") / "store.db", synchronous="normal")
    for at, (attempts, brought, asked) in enumerate(tasks):
        name = f"t{at}"
        turns = [{"role": "tool", "text": "x" * brought}, {"role": "user", "text": "y" * asked}]
        step = record(call(name, attempts=attempts), content={"request": turns})  # type: ignore[arg-type]
        opened.write([[started(name), step, finished(name, 9, outcome="resolved" if good else "failed")]], [PRICE])
    whole = report(statements(opened, premium={"support_reply": PREMIUM}))
    totals = opened.totals()
    opened.close()
    assert (
        sum(line.cost_nano_usd for line in whole.lines if not line.simulated)
        == whole.cost_nano_usd
        == totals.events_nano_usd
    )
    assert sum(line.cost_nano_usd for line in whole.lines if line.simulated) == totals.events_simulated_nano_usd
    assert whole.otherwise.actual_nano_usd == totals.events_nano_usd + totals.events_simulated_nano_usd
    assert {line.line for line in whole.lines} <= set(LABELS)


@pytest.mark.requirement("EC-01")
def test_checks_escalations_and_late_answers_have_lines_of_their_own(store: SqliteStore):
    tries = [
        attempt("timeout"),
        attempt("error"),
        attempt(deployment="p/small"),
        checked(),
        attempt(deployment="p/big"),
    ]
    turns = [{"role": "tool", "text": "x" * 300}, {"role": "user", "text": "y" * 100}]
    step = record(call("t1", attempts=tries), content={"request": turns})  # type: ignore[arg-type]
    store.write([[started("t1"), step, finished("t1", 9)]], [PRICE])
    (said,) = statements(store)
    lines = {line.line: line for line in said.lines}
    each = attempt().cost_nano_usd
    for name in ("timeouts", "failed_attempts", "superseded", "checks"):
        assert (lines[name].cost_nano_usd, lines[name].calls) == (each, 1), name
    assert lines["retrieved"].tokens == 750
    assert lines["retrieved"].cost_nano_usd == round(
        0.75 * (lines["input"].cost_nano_usd + lines["retrieved"].cost_nano_usd)
    )
    assert said.waste.failed_attempts_nano_usd == 2 * each


@pytest.mark.requirement("EC-01")
def test_what_judges_of_a_task_cost_stands_in_a_line_of_its_own_and_with_the_task(store: SqliteStore):
    work, judged = record(call("t1")), record(call("t1", 10, purpose="judge"))
    tried = record(call("t1", 11, purpose="judge", attempts=[attempt("error"), attempt()]))
    store.write([[started("t1"), work, finished("t1", 9)], [judged], [tried]], [PRICE])
    (said,) = statements(store)
    lines = {line.line: line for line in said.lines}
    each = attempt().cost_nano_usd
    assert (lines["judges"].cost_nano_usd, lines["judges"].calls) == (2 * each, 2)
    assert lines["failed_attempts"].cost_nano_usd == each
    assert sum(line.cost_nano_usd for line in said.lines) == said.cost_nano_usd == 4 * each
    task = store.tasks.get("t1")
    assert task is not None
    assert task.cost_nano_usd == 4 * each
    assert said.otherwise.actual_nano_usd == 4 * each


@pytest.mark.requirement("EC-01")
def test_what_was_spent_in_circles_and_on_what_had_been_answered_before(store: SqliteStore):
    same = {"request": [{"role": "user", "text": "where is it?"}]}
    for at in range(3):
        name = f"t{at}"
        store.write([[started(name), record(call(name), content=same), finished(name, 9)]], [PRICE])
    store.write([[started("l"), record(call("l")), finished("l", 9, outcome="failed", error="anomaly_loop")]], [PRICE])
    (said,) = statements(store)
    each = attempt().cost_nano_usd
    assert (said.waste.repeated_nano_usd, said.waste.circles_nano_usd, said.waste.read) == (2 * each, each, 3)


@pytest.mark.requirement("EC-01")
def test_what_premium_models_and_no_cache_would_have_cost(store: SqliteStore):
    usage = Usage(input=1_000, cache_read=4_000, output=100)
    cheap = structs.replace(attempt(), usage=usage, cost_nano_usd=cost_of(PRICE.rates, usage))
    store.write([[started("t1"), record(call("t1", attempts=[attempt("error"), cheap])), finished("t1", 9)]], [PRICE])
    hit = call("t2", attempts=[], status="cache_hit", cache="exact", saved_nano_usd=5_000, deployment="p/m")
    store.write([[started("t2"), record(hit), finished("t2", 9)]], [PRICE])
    (said,) = statements(store, premium={"support_reply": PREMIUM})
    other = said.otherwise
    assert other.premium == "p/big"
    assert other.all_premium_nano_usd == cost_of(PREMIUM.rates, usage)
    assert other.actual_nano_usd == said.cost_nano_usd
    cached = 4_000 * (150_001 - 75_000) // 10**6
    assert other.no_cache_nano_usd == pytest.approx(said.cost_nano_usd + 5_000 + cached, abs=8)


@pytest.mark.requirement("EC-01")
def test_the_interval_of_a_success_holds_the_real_cost_as_often_as_it_says():
    rng = random.Random(11)
    inside = 0
    for _ in range(400):
        good = [rng.random() < 0.7 for _ in range(60)]
        costs = [round(rng.lognormvariate(0, 0.8) * (1.5e6 if not each else 1e6)) for each in good]
        mean = 1e6 * (0.7 + 0.3 * 1.5) * 2.718281828 ** (0.32)
        factors = per_success(costs, good)
        assert factors is not None
        seen = sum(costs) / sum(good)
        inside += seen * factors.low <= mean / 0.7 <= seen * factors.high
    assert 0.90 <= inside / 400 <= 0.98
    assert per_success([1] * 4, [True] * 4) is None


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (0, 5), (5, 5), (3, 10), (999, 1_000)])
def test_a_share_lies_in_its_interval(hits: int, n: int):
    inside = wilson(hits, n)
    assert 0 <= inside.low <= (hits / n if n else 0.5) <= inside.high <= 1


def test_the_period_bounds_the_sample(store: SqliteStore):
    store.write(
        [[started("l", at_ns=T0), record(call("l")), finished("l", 9, outcome="failed", error="anomaly_loop")]], [PRICE]
    )
    assert statements(store, since_ns=T0 + 2 * 3_600 * 10**9) == []
