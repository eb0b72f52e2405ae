"""Limits by period: reserved before, settled after, exact over several processes, and never leaking."""

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.caller import Caller
from interlock.core.errors import LimitUnknown, NotPermitted, QuotaReached
from interlock.core.keys import Grant
from interlock.core.limits import MONEY, NOTHING, REQUESTS, TOKENS, Limit, window_at
from interlock.gateway.quota import Quotas
from interlock.storage.cells import MappedCells
from interlock.testing.clock import FakeClock

ANN = Caller("acme", user="ann", key_id="key_1", workflow="support")
BOB = Caller("acme", user="bob", key_id="key_2", workflow="support")
DAY_NS = 86_400 * 10**9


def ask(quotas, caller=ANN, model="small", tokens=(100, 200), usd=300, rate=0, least=16) -> Any:
    return quotas.reserve(caller, model, *tokens, usd, rate, least)


def used(requests=1, tokens=(90, 50), usd=140):
    return (requests, *tokens, sum(tokens), usd, 0)


def test_each_key_has_its_own_count_and_the_error_names_the_limit_and_when_it_has_room():
    clock = FakeClock()
    quotas = Quotas([Limit("per minute", ("key",), period="minute", requests=2)], clock)
    for _ in range(2):
        quotas.settle(ask(quotas), used())
    ask(quotas, BOB)
    with pytest.raises(QuotaReached) as refused:
        ask(quotas)
    error = refused.value
    left_s = (window_at(Limit("x", period="minute"), clock.wall_ns()).ends_ns - clock.wall_ns()) / 1e9
    assert (error.limit, error.status, error.used, error.maximum) == ("per minute", 429, 2, 2)
    assert error.retry_after_s == pytest.approx(left_s)
    assert error.headers == (("requests", 2, 0, error.retry_after_s),)
    clock.advance(left_s)
    assert ask(quotas) is not None


@pytest.mark.requirement("GW-16")
def test_the_estimate_is_held_until_the_truth_takes_its_place():
    quotas = Quotas([Limit("budget", ("tenant",), period="day", nano_usd=1_000)], FakeClock())
    held = [ask(quotas, usd=300) for _ in range(3)]
    with pytest.raises(QuotaReached) as refused:
        ask(quotas, usd=300)
    assert refused.value.code == "insufficient_quota"
    for each in held:
        quotas.settle(each, used(usd=10))
    assert quotas.standings() == [("budget", "tenant=acme", "nano_usd", 30, 1_000)]


def test_an_answer_is_capped_at_what_the_limit_has_left_rather_than_refused():
    quotas = Quotas([Limit("tpm", ("key",), period="minute", tokens=1_000)], FakeClock())
    held = ask(quotas, tokens=(100, 16_000), usd=0)
    assert held.output_cap == 900
    quotas.settle(held, used(tokens=(100, 100)))
    assert ask(quotas, tokens=(100, 400)).output_cap is None
    assert ask(quotas, tokens=(100, 400)).output_cap == 200
    with pytest.raises(QuotaReached):
        ask(quotas, tokens=(100, 400))


def test_money_left_is_turned_into_output_tokens_at_the_models_price():
    quotas = Quotas([Limit("usd", ("key",), period="month", nano_usd=1_000)], FakeClock())
    held = ask(quotas, tokens=(100, 1_000), usd=200 + 1_000 * 2, rate=2_000_000)
    assert held.output_cap == 400
    assert quotas.standings()[0][3] == 1_000


def test_concurrency_is_counted_while_calls_run():
    quotas = Quotas([Limit("at once", ("key",), concurrency=1)], FakeClock())
    held = ask(quotas)
    with pytest.raises(QuotaReached, match="calls at the same time"):
        ask(quotas)
    quotas.settle(held, used())
    assert ask(quotas) is not None


def test_a_rolling_period_lets_go_of_what_is_older_than_it_and_of_nothing_else():
    clock = FakeClock()
    quotas = Quotas([Limit("rolling", ("key",), period="minute", rolling=True, requests=10)], clock)
    sent: list[float] = []
    refused = 0
    for _ in range(400):
        clock.advance(1.7)
        try:
            quotas.settle(ask(quotas), used())
            sent.append(clock.monotonic_s())
        except QuotaReached:
            refused += 1
    assert refused
    for at in sent:
        assert sum(at - 60 < other <= at for other in sent) <= 10
    assert len(sent) > 400 * 1.7 / 66 * 10 - 10, "a part of the period too long at most"


def test_a_month_is_the_calendars():
    limit = Limit("m", period="month", requests=1)
    window = window_at(limit, 1_798_761_599 * 10**9)  # 2026-12-31T23:59:59Z
    assert window.ends_ns == 1_798_761_600 * 10**9
    assert window_at(limit, window.ends_ns).number == window.number + 1


def test_what_a_call_begins_in_is_where_it_is_counted():
    clock = FakeClock()
    quotas = Quotas([Limit("d", ("key",), period="day", tokens=1_000)], clock)
    held = ask(quotas, tokens=(100, 500))
    clock.advance(86_400)
    quotas.settle(ask(quotas, tokens=(100, 100)), used(tokens=(10, 10)))
    quotas.settle(held, used(tokens=(100, 400)))
    assert quotas.standings()[0][3] == 20


def test_further_tries_are_covered_or_not_sent():
    quotas = Quotas([Limit("t", ("key",), period="day", tokens=1_000)], FakeClock())
    held = ask(quotas, tokens=(100, 400))
    quotas.cover(held, 200, 700, 0)
    assert quotas.standings()[0][3] == 900
    with pytest.raises(QuotaReached):
        quotas.cover(held, 300, 800, 0)
    quotas.settle(held, NOTHING)
    assert quotas.standings()[0][3] == 0


@pytest.mark.requirement("GW-34")
def test_a_key_may_use_its_models_and_workflows_only_and_has_limits_of_its_own():
    grants = {"key_1": Grant(("small", "mid-*"), ("support",), (Limit("mine", ("key",), period="day", requests=1),))}
    quotas = Quotas([], FakeClock(), grant_of=grants.get)
    assert ask(quotas, BOB) is None
    ask(quotas)
    with pytest.raises(QuotaReached, match="mine"):
        ask(quotas, model="mid-2")
    with pytest.raises(NotPermitted, match="may not use the model 'large'"):
        ask(quotas, model="large")
    with pytest.raises(NotPermitted, match="without a workflow"):
        ask(quotas, Caller("acme", key_id="key_1"))


def test_limits_whose_counts_cannot_be_opened_do_what_they_declare():
    closed = Limit("strict", ("key",), period="day", requests=5)
    opened = Limit("lenient", ("key",), period="day", requests=1, on_store_loss="open")
    with pytest.raises(LimitUnknown, match=r"strict.*disk full"):
        ask(Quotas([opened, closed], FakeClock(), lost="disk full"))
    assert ask(Quotas([opened], FakeClock(), lost="disk full")) is not None


def test_a_restart_goes_on_with_what_was_counted_and_forgets_what_was_running(tmp_path):
    clock = FakeClock()
    limits = [Limit("b", ("tenant",), period="month", nano_usd=1_000), Limit("c", ("tenant",), concurrency=1)]
    cells = MappedCells.open(tmp_path / "x.db", seen_wait_s=0)
    quotas = Quotas(limits, clock, cells=cells)
    quotas.settle(ask(quotas, usd=300), used(usd=100))
    ask(quotas, usd=400)  # it dies here
    cells.close()
    cells = MappedCells.open(tmp_path / "x.db", seen_wait_s=0)
    quotas = Quotas(limits, clock, cells=cells)
    ask(quotas, usd=500)
    assert [each[3] for each in quotas.standings()] == [1_000, 1]
    assert len(list(tmp_path.glob("x.db.limits.*"))) == 1
    cells.close()


def test_what_runs_in_a_dead_process_is_not_held_against_the_living(tmp_path):
    first, second = (MappedCells.open(tmp_path / "x.db", seen_wait_s=0) for _ in range(2))
    first.refresh()
    limits = [Limit("c", ("tenant",), concurrency=1)]
    dying, living = Quotas(limits, FakeClock(), cells=first), Quotas(limits, FakeClock(), cells=second)
    ask(dying)
    with pytest.raises(QuotaReached):
        ask(living)
    first.close()
    second.refresh()
    assert ask(living) is not None
    second.close()


PERIODS = st.sampled_from([("day", False), ("minute", True)])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 2), st.integers(1, 60)),
        st.tuples(st.just("settle"), st.integers(0, 50), st.integers(0, 60)),
        st.tuples(st.just("crash"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 40), st.just(0)),
    ),
    max_size=60,
)


class World:
    """Three processes that count together, and what they should come to."""

    def __init__(self, folder, limits):
        self.store = Path(folder) / "x.db"
        self.clock = FakeClock(wall_ns=1_790_000_000_000_000_000 // DAY_NS * DAY_NS)
        self.limits = limits
        self.cells = [MappedCells.open(self.store, rows=256, seen_wait_s=0) for _ in range(3)]
        self.quotas = [Quotas(limits, self.clock, cells=each) for each in self.cells]
        self.seen()
        self.open: list[tuple[int, Any, int, int]] = []
        self.truth: list[tuple[int, int]] = []

    def seen(self):
        for each in self.cells:
            each.refresh()

    def crash(self, at):
        """What was under way stays counted at its estimate."""
        self.truth += [(when, estimate) for member, _, estimate, when in self.open if member == at]
        self.open = [each for each in self.open if each[0] != at]
        self.cells[at].close()
        self.cells[at] = MappedCells.open(self.store, rows=256, seen_wait_s=0)
        self.quotas[at] = Quotas(self.limits, self.clock, cells=self.cells[at])
        self.seen()

    def settle(self, which, amount):
        member, held, estimate, when = self.open.pop(which % len(self.open))
        spent = min(amount, estimate)
        self.quotas[member].settle(held, (1, spent, 0, spent, spent, 0))
        self.truth.append((when, spent))

    def committed(self, since_ns):
        """By our own book: settled and reserved of calls begun since."""
        settled = sum(amount for when, amount in self.truth if when >= since_ns)
        return settled + sum(estimate for _, _, estimate, when in self.open if when >= since_ns)

    def close(self):
        for each in self.cells:
            each.close()


@pytest.mark.requirement("GW-34", "GW-16")
@settings(max_examples=60, deadline=None)
@given(steps=STEPS, period=PERIODS)
def test_no_interleaving_of_processes_exceeds_a_limit_or_leaks_a_reservation(steps, period):
    most = 200
    limit = Limit("b", ("tenant",), period=period[0], rolling=period[1], tokens=most, requests=1_000)
    with TemporaryDirectory() as folder:
        world = World(folder, [limit])
        for what, first, second in steps:
            if what == "ask":
                with contextlib.suppress(QuotaReached):
                    held = world.quotas[first].reserve(ANN, "m", second, 0, second, 0, 16)
                    world.open.append((first, held, second, world.clock.wall_ns()))
            elif what == "settle" and world.open:
                world.settle(first, second)
            elif what == "crash":
                world.crash(first)
            elif what == "wait":
                world.clock.advance(first)
            now_ns = world.clock.wall_ns()
            since_ns = now_ns - 60 * 10**9 + 1 if period[1] else now_ns // DAY_NS * DAY_NS
            assert world.committed(since_ns) <= most
        while world.open:
            world.settle(0, 7)
        if not period[1]:
            probe = ask(world.quotas[0], tokens=(0, 0), usd=0)
            meter = world.quotas[0]._meters[next(iter(world.quotas[0]._meters))]
            assert meter.used(TOKENS) == world.committed(0), "what was really used, and the estimates of the dead"
            assert probe is not None
        world.close()


def test_nothing_is_counted_where_nothing_was_asked():
    quotas = Quotas([Limit("x", ("key",), only={"model": "gpt-*"}, period="day", requests=1)], FakeClock())
    assert ask(quotas, model="small") is None
    assert ask(quotas, model="gpt-5") is not None
    assert [REQUESTS, MONEY] == [0, 4]


def test_users_that_callers_make_up_do_not_fill_the_memory_and_lose_no_count(tmp_path, monkeypatch):
    monkeypatch.setattr("interlock.gateway.quota.METERS_KEPT", 64)
    cells = MappedCells.open(tmp_path / "x.db", seen_wait_s=0)
    quotas = Quotas([Limit("each", ("user",), period="day", requests=2)], FakeClock(), cells=cells)
    for _ in range(2):
        for number in range(200):
            quotas.settle(ask(quotas, Caller("acme", user=f"u{number}")), used())
    assert len(quotas._meters) <= 64
    for number in (0, 77, 199):
        with pytest.raises(QuotaReached):
            ask(quotas, Caller("acme", user=f"u{number}"))
    alone = Quotas([Limit("each", ("user",), period="day", requests=2)], FakeClock())
    for number in range(64):
        ask(alone, Caller("acme", user=f"u{number}"))
    with pytest.raises(LimitUnknown, match="counts are kept"):
        ask(alone, Caller("acme", user="one more"))
    cells.close()


@pytest.mark.requirement("GW-34")
def test_two_limits_of_one_name_hold_although_callers_are_looked_up_anew():
    two = (Limit("d", ("key",), period="day", requests=2), Limit("d", ("key",), period="day", nano_usd=10**9))
    quotas = Quotas((), FakeClock(), grant_of=lambda _: Grant(limits=two))
    for _ in range(2):
        quotas.settle(ask(quotas), used())
        quotas.forget()  # some key has changed
    with pytest.raises(QuotaReached, match="2 requests per day"):
        ask(quotas)
