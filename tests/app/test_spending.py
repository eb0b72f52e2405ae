"""A month that costs more than agreed, and premium models beyond their cap: told in time, with what is behind it, and over when it is over."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from interlock.app import Interlock
from interlock.app.alerting import Alerting
from interlock.app.looking import book_of
from interlock.config.load import load
from interlock.config.webhooks import Webhook
from interlock.core.events import Record
from interlock.core.store import RollFilter
from interlock.observe.incidents import Book
from interlock.storage import SqliteStore
from interlock.testing.clock import FakeClock
from interlock.testing.upstream import Answer, Upstream
from tests.ledger.kit import call, record
from tests.observe.kit import ran

from .test_alerting import SECRET, Taken, hooks_to, workspace

FIRST = int(dt.datetime(2026, 11, 1, tzinfo=dt.UTC).timestamp())
DAY_NS = 86_400 * 10**9
DOLLAR = 10**9
Told = list[tuple[int, str, str, str]]
"""Day of the month, type of the message, severity, title."""


async def month(root: Path, budget_usd: float, cost_of: Callable[[int], int]) -> tuple[Told, Taken]:
    """Thirty days and the first of the next month, ten tasks a day; what receivers were told of spending, and when."""
    files = load(workspace(root, f"alerts: {{month_usd: {budget_usd}}}\n"))
    store, receiver = SqliteStore.open(files.store), Taken()
    clock = FakeClock(wall_ns=FIRST * 10**9 - 10 * DAY_NS)
    url = {"url": "http://127.0.0.1:9/hook", "secret": SECRET, "events": ["alert", "alert_closed"]}
    hooks = hooks_to(Webhook.model_validate(url), http=receiver, clock=clock)
    alerting = Alerting(files, store, clock, hooks, spare=lambda _: None)
    book, told = book_of(store, "acme"), Told()
    try:
        for day in range(-9, 32):
            clock.advance(86_400)
            now = clock.wall_ns()
            store.write([ran(f"d{day}t{n}", (n + 1) * 10**9, now_ns=now, cost=cost_of(day) // 10) for n in range(10)])
            seen = len(receiver.got)
            book = await alerting.turn(book)
            await hooks.deliver()
            for each in receiver.got[seen:]:
                found = each["data"]["found"]
                if found["kind"] == "spend":
                    told.append((day, each["type"], found["severity"], found["title"]))
    finally:
        store.close()
    return told, receiver


@pytest.mark.requirement("EC-06", "OB-09")
async def test_a_simulated_month_that_grows_is_told_before_it_has_cost_too_much_and_again_when_it_has(tmp_path: Path):
    rng = random.Random(5)

    def cost(day: int) -> int:
        usual = DOLLAR if day < 8 else 3 * DOLLAR if day < 24 else DOLLAR // 2  # then somebody has mended it
        return round(usual * rng.uniform(0.9, 1.1))

    told, receiver = await month(tmp_path, 50, cost)

    assert [each[1] for each in told] == ["alert", "alert", "alert_closed"], told
    (likely, spent, over) = told
    assert likely[1:3] == ("alert", "ticket")
    assert "is likely to cost" in likely[3]
    assert "$50.00 was agreed" in likely[3]
    assert spent[1:3] == ("alert", "page")
    assert "this month has cost $5" in spent[3]
    assert 8 <= likely[0] <= spent[0] - 5, "days before, so that somebody can still do something"
    assert over[0] >= 30, "a month that has cost too much has done so to its end"
    found = next(each["data"]["found"] for each in receiver.got if each["data"]["found"]["kind"] == "spend")
    assert {fact["name"] for fact in found["facts"]} == {"agreed", "spent so far", "likely at its end"}
    assert found["runbook"]
    assert len(found["tasks"]) == 10
    assert all(task.startswith(f"d{likely[0]}t") for task in found["tasks"]), "the dearest of the last day"


@pytest.mark.requirement("EC-06")
async def test_a_simulated_month_that_keeps_to_its_budget_is_never_told(tmp_path: Path):
    rng = random.Random(6)
    told, _ = await month(tmp_path, 50, lambda _: round(DOLLAR * rng.uniform(0.5, 1.5)))

    assert told == []


@pytest.mark.requirement("EC-06", "GW-15")
async def test_through_a_simulated_month_premium_answers_stay_under_their_cap_and_beyond_it_somebody_is_told(
    tmp_path: Path,
):
    files = (
        "tenant: acme\nproviders: {{one: {{dialect: openai, base_url: '{}', api_key: k}}}}\n"
        "models:\n  support:\n    small: one/small\n    premium: one/large\n"
        "routing:\n  premium_share_cap: 15%\n  escalate_if: [{{condition: 'check_hedging < 0.5', model: premium}}]\n"
        "  verifiers: {{hedging: {{at_least: 0}}}}\n"
    )
    clock = FakeClock(wall_ns=FIRST * 10**9)
    async with Upstream(Answer(text="I cannot help with that.")) as vendor:
        (tmp_path / "interlock.yaml").write_text(files.format(vendor.base_url))
        async with Interlock(load(tmp_path, {}), clock=clock) as il:
            for _day in range(30):
                for number in range(12):
                    await il.chat("support", f"Question {number}?")
                clock.advance(86_400)
            await il.ground.recorder.run(lambda _: None)
            rolls = await asyncio.to_thread(il.reader.rolls, RollFilter(role="call"))
            quiet = await il.alerting().turn(Book())
            await asyncio.to_thread(il.ground.store.write, [[premium_answer(n, clock.wall_ns())] for n in range(80)])
            clock.advance(3600)
            told = await il.alerting().turn(quiet)
    asked = sum(row.n for row in rolls)
    dear = sum(row.n for row in rolls if row.tier == "premium")

    assert asked == 360
    assert 0.15 * asked - 5 <= dear <= 0.15 * asked + 5
    assert [each.found.kind for each in quiet.of("acme")] == []
    (found,) = (each.found for each in told.of("acme") if each.found.kind == "premium")
    assert found.title == "premium models gave 100 % of the answers of a day, the cap is 15 %"
    assert found.runbook
    assert len(found.tasks) == 20


def premium_answer(number: int, now_ns: int) -> Record:
    """A call that named a premium model itself."""
    made = call(f"p{number}", started_ns=now_ns - 10**9, workflow="")
    return record(structs.replace(made, tier="premium", deployment="one/large"))
