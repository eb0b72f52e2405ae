"""Whose money it was: by tenant, user, request, agent, workflow and model, each adding up to the ledger, to the nano-dollar."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import httpx2
import pytest

from interlock.core.time import NS_PER_S, SystemClock
from interlock.economics.users import READ, by_user
from interlock.storage import SqliteStore
from tests.ledger.kit import PRICE, call, record

from .dashboard_kit import KEY, RIVAL, TENANT, WORKFLOW, Past, dashboard, long_task, workspace, write

NOW = SystemClock().wall_ns()


def stories() -> list[Past]:
    """Two tenants, two workflows, seven users; failed tries, escalations, lone calls beside them."""
    rng = random.Random(11)
    found = [long_task("tsk_long", NOW - 9_000 * NS_PER_S)]
    for number in range(90):
        tenant, workflow = (TENANT, "rival")[number % 5 == 0], (WORKFLOW, "billing")[number % 3 == 0]
        at_ns = NOW - rng.randrange(100, 900_000) * NS_PER_S
        made = Past(f"tsk_{number:03d}", at_ns, tenant=tenant, workflow=workflow, user=f"u-{rng.randrange(7)}")
        made.begin()
        for _ in range(rng.randrange(1, 4)):
            made.model(failed=int(rng.random() < 0.2), escalated=rng.random() < 0.3)
        made.end(rng.choice(("resolved", "failed")))
        found.append(made)
    return found


def lone(root: Path) -> None:
    """Calls of nobody's task."""
    store = SqliteStore.open(root / ".interlock" / "interlock.db")
    calls = [call(f"lone{n}", workflow="", started_ns=NOW - n * 3_600 * NS_PER_S) for n in range(20)]
    store.write([[record(each)] for each in calls], [PRICE])
    store.close()


async def read(browser: httpx2.AsyncClient, path: str, key: str) -> Any:
    return (await browser.get(path, headers={"authorization": f"Bearer {key}"})).json()


@pytest.mark.requirement("OB-03")
async def test_every_way_to_ask_whose_money_it_was_ends_in_the_ledgers_total(tmp_path: Path):
    write(workspace(tmp_path), *stories())
    lone(tmp_path)
    by: dict[str, int] = dict.fromkeys(("tenant", "workflow", "model", "user", "request"), 0)
    users: set[str] = set()
    async with dashboard(tmp_path) as (il, _, browser):
        total = il.ground.store.totals().events_nano_usd
        for key in (KEY, RIVAL):
            pnl = await read(browser, "/ui/pnl.json?span=all", key)
            statements = [part["statement"] for part in pnl["parts"]]
            models = await read(browser, "/ui/models.json?span=all", key)
            by["tenant"] += statements[0]["cost_nano_usd"]
            by["workflow"] += sum(each["cost_nano_usd"] for each in statements if each is not statements[0])
            by["model"] += sum(row["cost_nano_usd"] for row in models["models"])
            by["user"] += sum(each["cost_nano_usd"] for each in pnl["users"]["users"])
            users |= {each["user"] for each in pnl["users"]["users"]}
            tasks, query = list[str](), "/ui/tasks.json"
            while True:
                page = await read(browser, query, key)
                tasks += [each["task"] for each in page["tasks"]]
                if not page["next"]:
                    break
                query = str(httpx2.URL("/ui/tasks.json", params=page["next"]))
            for task in tasks:
                trace = il.reader.trace(task)
                assert trace is not None
                by["request"] += sum(step.call.cost_nano_usd for step in trace.steps if step.call)
        html = (await browser.get("/ui/pnl?span=all", headers={"authorization": f"Bearer {KEY}"})).text

    assert by == dict.fromkeys(by, total)
    assert {f"u-{n}" for n in range(7)} <= users
    assert '<a href="/ui/tasks?user=u-3">u-3</a>' in html


@pytest.mark.requirement("OB-03")
def test_users_beyond_the_dearest_are_summed_and_a_period_that_was_not_read_whole_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = SqliteStore.open(tmp_path / "il.db")
    calls = [call(f"t{n}", workflow="", started_ns=NOW - n * NS_PER_S) for n in range(120)]
    made = [record(each) for each in calls]
    store.write([[each] for each in made], [PRICE])
    whole = by_user(store, "acme")
    monkeypatch.setattr("interlock.economics.users.READ", 100)
    monkeypatch.setattr("interlock.economics.users.AT_A_TIME", 7)
    part = by_user(store, "acme")
    monkeypatch.setattr("interlock.economics.users.SHOWN", 0)
    none = by_user(store, "acme")
    store.close()

    assert len(calls) < READ
    assert (whole.whole, whole.read, part.whole, part.read) == (True, 120, False, 100)
    assert [each.user for each in whole.users] == ["ada"]
    assert whole.users[0].cost_nano_usd == sum(each.cost_nano_usd for each in calls)
    assert (none.users, none.others, none.others_nano_usd) == ((), 1, part.users[0].cost_nano_usd)
