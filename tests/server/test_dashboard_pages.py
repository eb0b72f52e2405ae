"""What the pages say is what the ledger says, and what a person decides there happens."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from interlock.app import Interlock
from interlock.core.store import RollFilter, TaskFilter
from interlock.core.time import NS_PER_S, SystemClock
from interlock.server.dashboard.waterfall import WAIT_SHARE
from interlock.testing.upstream import Answer, Upstream, in_turn
from tests.app.conftest import Folder, contract_folder

from .dashboard_kit import KEY, Past, dashboard, long_task, waiting_task, workspace, write
from .test_dashboard_door import csrf_of

__all__ = ["contract_folder"]
LONG, WAITS = "tsk_long01", "tsk_wait01"
NOW = SystemClock().wall_ns()
PATHS = (
    "/ui/home",
    "/ui/live",
    "/ui/tasks",
    f"/ui/tasks/{LONG}",
    "/ui/approvals",
    "/ui/pnl",
    "/ui/models",
    "/ui/incidents",
    "/ui/quality",
    "/ui/audit",
    "/ui/config",
    f"/ui/tasks/{LONG}/why",
    f"/ui/tasks/{LONG}/compare",
)
Inside = tuple[Interlock, httpx2.AsyncClient]


def past() -> list[Past]:
    """A long task, one that waits, and 120 short ones of two users that end in three ways, two at every moment."""
    stories = [long_task(LONG, NOW - 3_000 * NS_PER_S), waiting_task(WAITS, NOW - 60 * NS_PER_S)]
    for number in range(120):
        each = Past(f"tsk_{number:03d}", NOW - (4_000 + number // 2) * NS_PER_S, user=f"u-{number % 2}")
        each.begin()
        each.model(failed=int(number % 10 == 0), escalated=number % 12 == 0)
        each.end(("resolved", "failed", "handed_to_human")[number % 3])
        stories.append(each)
    return stories


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncGenerator[Inside]:
    write(workspace(tmp_path), *past())
    async with dashboard(tmp_path) as (il, made, browser):
        await browser.get(made.address())
        yield il, browser


@pytest.mark.requirement("OB-08")
async def test_every_page_has_a_twin_for_programs_at_the_same_address(inside: Inside):
    _, browser = inside
    for path in PATHS:
        page = await browser.get(path)
        twin = await browser.get(f"{path}.json")
        asked = await browser.get(path, headers={"accept": "application/json"})
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert twin.headers["content-type"] == "application/json"
        assert set(twin.json()) == set(asked.json())
    browser.cookies.clear()
    by_key = await browser.get("/ui/tasks", headers={"authorization": f"Bearer {KEY}", "accept": "application/json"})
    assert len(by_key.json()["tasks"]) == 50


@pytest.mark.requirement("OB-08")
async def test_pages_of_tasks_lose_none_and_show_none_twice(inside: Inside):
    il, browser = inside
    seen: list[str] = []
    query: dict[str, str] = {}
    while True:
        page = (await browser.get("/ui/tasks.json", params=query)).json()
        seen += [task["task"] for task in page["tasks"]]
        query = page["next"]
        if not query:
            break
    assert seen == [task.task for task in il.reader.tasks(TaskFilter(limit=1_000))]
    assert len(seen) == len(set(seen)) == 122


async def test_filters_of_tasks_narrow_and_are_kept_on_the_way_to_older_ones(inside: Inside):
    _, browser = inside
    mine = (await browser.get("/ui/tasks.json?user=u-1&outcome=failed")).json()["tasks"]
    dear = (await browser.get("/ui/tasks.json?cost=0.01")).json()["tasks"]
    waits = (await browser.get("/ui/tasks.json?status=waiting")).json()["tasks"]
    page = await browser.get("/ui/tasks?user=u-1")
    odd = [await browser.get(f"/ui/tasks?{query}") for query in ("cost=much", "status=odd", "at=yesterday", "cost=-1")]

    assert len(mine) == 20
    assert {(task["user"], task["outcome"]) for task in mine} == {("u-1", "failed")}
    assert [task["task"] for task in dear] == [LONG]
    assert [task["task"] for task in waits] == [WAITS]
    assert re.search(r'href="/ui/tasks\?user=u-1&amp;at=\d+\.tsk_\d+"', page.text)
    assert [reply.status_code for reply in odd] == [400] * 4


@pytest.mark.requirement("OB-02")
async def test_a_trace_shows_every_call_once_on_one_axis_with_waits_cut_short(inside: Inside):
    il, browser = inside
    page = (await browser.get(f"/ui/tasks/{LONG}.json")).json()
    html = (await browser.get(f"/ui/tasks/{LONG}")).text
    rows, trace = page["picture"]["rows"], il.reader.trace(LONG)
    assert trace is not None
    calls = [step.step for step in trace.steps if step.call]
    bars = [bar for row in rows for bar in row["bars"]]
    wait = next(row for row in rows if row["kind"] == "waiting")

    assert [row["step"] for row in rows if row["kind"] in ("model", "tool")] == calls
    assert sum(row["kind"] == "model" for row in rows) >= 50
    assert sum(row["kind"] == "tool" for row in rows) >= 20
    assert all(bar["start"] >= 0 and bar["start"] + bar["width"] <= 1000.2 for bar in bars)
    starts = [row["bars"][0]["start"] for row in rows if row["kind"] in ("model", "tool")]
    assert starts == sorted(starts)
    assert wait["duration_ms"] == pytest.approx(14 * 60_000, abs=1)
    assert page["picture"]["cut"]
    assert wait["bars"][0]["width"] <= 1000 * WAIT_SHARE
    assert {"retry", "pale", "waiting", "model", "tool"} <= {bar["look"] for bar in bars}
    assert html.count('class="row"') == len(rows)


@pytest.mark.requirement("OB-02", "EC-02")
async def test_the_why_of_a_call_shows_its_decisions_and_arithmetic_that_comes_out_right(inside: Inside):
    il, browser = inside
    trace = il.reader.trace(LONG)
    assert trace is not None
    escalated = next(step for step in trace.steps if step.call and step.call.escalations)
    call = escalated.call
    assert call is not None
    why = (await browser.get(f"/ui/tasks/{LONG}.json?step={escalated.step}")).json()["chosen"]
    html = (await browser.get(f"/ui/tasks/{LONG}?step={escalated.step}")).text
    what = {each["what"]: each for each in why["decisions"]}

    assert (why["step"], why["kind"]) == (escalated.step, "model")
    assert what["escalated"]["why"] == ["confidence < 0.72 (confidence=0.64)"]
    assert what["route"]["why"] == list(call.reasons)
    assert len(what["tries"]["why"]) == len(call.attempts) + 1
    assert all(each["exact"] for each in why["prices"])
    assert sum(line["cost_nano_usd"] for each in why["prices"] for line in each["lines"]) == call.cost_nano_usd
    assert "980 input × $2.50/M = $0.002450" in html
    assert [piece["name"] for piece in why["content"]] == ["user", "answer"]


@pytest.mark.requirement("OB-03", "EC-01")
async def test_the_statements_of_the_page_end_in_the_ledgers_total(inside: Inside):
    il, browser = inside
    page = (await browser.get("/ui/pnl.json?span=all")).json()
    sheet = list(csv.DictReader(io.StringIO((await browser.get("/ui/pnl.csv?span=all")).text)))
    totals = il.reader.totals()
    models = (await browser.get("/ui/models.json?span=all")).json()["models"]
    home = (await browser.get("/ui/home.json")).json()
    (part,) = page["parts"]
    real = [row for row in sheet if row["simulated"] == "false" and row["line"] != "margin"]

    assert part["statement"]["cost_nano_usd"] == totals.events_nano_usd == totals.rolls_nano_usd
    assert sum(cost["line"]["cost_nano_usd"] for cost in part["costs"]) == totals.events_nano_usd
    assert sum(row["cost_nano_usd"] for row in models) == totals.events_nano_usd
    assert home["week_nano_usd"] == sum(home["spend"]) == totals.events_nano_usd
    margin = next(int(row["nano_usd"]) for row in sheet if row["line"] == "margin")
    assert sum(int(row["nano_usd"]) for row in real) == margin == part["statement"]["margin_nano_usd"]
    assert (await browser.get("/ui/pnl?span=year")).status_code == 400


@pytest.mark.requirement("EC-01")
async def test_a_statement_says_which_line_made_a_success_dearer_than_in_the_period_before(tmp_path: Path):
    stories = [Past(f"tsk_{number:03d}", NOW - (10 if number < 10 else 30) * 3_600 * NS_PER_S) for number in range(20)]
    for number, each in enumerate(stories):
        each.begin()
        each.model(escalated=number < 5)
        each.end()
    write(workspace(tmp_path), *stories)
    async with dashboard(tmp_path) as (_, made, browser):
        await browser.get(made.address())
        (day,) = (await browser.get("/ui/pnl.json?span=24h")).json()["parts"]
        (week,) = (await browser.get("/ui/pnl.json?span=7d")).json()["parts"]
        (whole,) = (await browser.get("/ui/pnl.json?span=all")).json()["parts"]
        html = (await browser.get("/ui/pnl?span=24h")).text
    moved = {cost["line"]["line"]: cost["change_nano_usd"] for cost in day["costs"]}
    now, then = day["statement"], day["before"]

    assert (now["tasks"], then["tasks"], week["before"], whole["before"]) == (10, 10, None, None)
    assert day["change_nano_usd"] == now["cost_per_success_nano_usd"] - then["cost_per_success_nano_usd"] > 0
    assert sum(moved.values()) == pytest.approx(day["change_nano_usd"], abs=len(moved))
    assert max(moved, key=lambda line: moved[line]) == "input"
    assert moved["cache_read"] < 0
    assert "▲" in html


async def test_models_count_failed_tries_and_answers_that_were_not_taken(inside: Inside):
    il, browser = inside
    rows = {row["deployment"]: row for row in (await browser.get("/ui/models.json?span=all")).json()["models"]}
    rolls = il.reader.rolls(RollFilter(tenant="acme"))
    tried = [row for row in rolls if row.role == "attempt" and row.kind == "model"]

    assert rows["openai/small"]["errors"] == sum(row.n for row in tried if row.status == "error")
    assert rows["openai/small"]["superseded"] == sum(row.n for row in tried if row.status == "ok")
    assert rows["openai/small"]["p95_ms"] >= rows["openai/small"]["p50_ms"] > 0
    assert rows["openai/large"]["answers"] > 0


async def test_home_counts_what_waits_and_how_tasks_ended(inside: Inside):
    _, browser = inside
    home = (await browser.get("/ui/home.json")).json()
    html = (await browser.get("/ui")).text

    assert (home["waiting"], home["running"], home["in_doubt"]) == (1, 0, 0)
    assert {each["outcome"]: each["n"] for each in home["ended"]} == {
        "resolved": 41,
        "failed": 40,
        "handed_to_human": 40,
    }
    assert home["resolved_share"] == pytest.approx(41 / 121)
    assert home["ledger"]["state"] == "ok"
    assert "Nothing that the instance knows of" in html


@pytest.mark.requirement("OB-08")
async def test_home_shows_calls_under_way_and_the_depth_of_the_queue(contract_folder: Folder):
    held = asyncio.Event()
    contract_folder.write("policies/room.yaml", "resilience: {admission: {max_concurrent: 1, adaptive: false}}\n")
    async with Upstream(Answer(until=held)) as upstream:
        contract_folder.provider("openai", upstream.base_url)
        async with dashboard(contract_folder.root) as (il, made, browser):
            await browser.get(made.address())
            calls = [asyncio.create_task(il.chat("openai/gpt-4o-mini", f"question {n}")) for n in range(3)]
            async with asyncio.timeout(60):
                while il.gateway.load() != (1, 2):
                    await asyncio.sleep(0.01)
            home = (await browser.get("/ui/home.json")).json()
            html = (await browser.get("/ui")).text
            held.set()
            await asyncio.gather(*calls)

    assert (home["under_way"], home["queued"]) == (1, 2)
    assert "1 call under way, 2 in the queue" in html


async def test_an_empty_workspace_teaches_the_next_command(tmp_path: Path):
    async with dashboard(workspace(tmp_path)) as (_, made, browser):
        await browser.get(made.address())
        pages = {
            path: (await browser.get(path)).text for path in ("/ui", "/ui/tasks", "/ui/live", "/ui/pnl", "/ui/models")
        }
        asked = (await browser.get("/ui/approvals")).text
    assert all("interlock run" in text for text in pages.values())
    assert "Nobody has to decide anything" in asked


@pytest.mark.requirement("OB-08")
async def test_the_live_stream_tells_of_a_task_and_of_its_end(inside: Inside, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("interlock.server.dashboard.face.EVERY_S", 0.01)
    monkeypatch.setattr("interlock.server.dashboard.face.STREAM_S", 0.05)
    _, browser = inside
    text = (await browser.get("/ui/live/events")).text
    assert text.count("event: running") == 1  # told once, as nothing changed
    assert f"/ui/tasks/{WAITS}" in text
    assert all(line.startswith(("retry:", "event:", "data:")) for line in text.splitlines() if line)


@pytest.mark.requirement("AG-06", "OB-08")
async def test_a_person_edits_approves_and_denies_on_the_page(contract_folder: Folder):
    pay = Answer(tool_calls=(("payments.create_intent", '{"amount_usd": 80}'),))
    good = Answer(text=json.dumps({"sku": "A1", "quantity": 2}))
    async with Upstream(in_turn(pay, pay, good, good)) as upstream:
        contract_folder.provider("openai", upstream.base_url)
        async with dashboard(contract_folder.root) as (il, made, browser):
            await browser.get(made.address())
            first = (await il.run("agent_contract", {"text": "two of A1"})).task
            second = (await il.run("agent_contract", {"text": "two of A1"})).task
            page = await browser.get("/ui/approvals")
            asked = {
                each["question"]["task"]: each for each in (await browser.get("/ui/approvals.json")).json()["waiting"]
            }
            shown = asked[first]["arguments"]
            sent = {"csrf": csrf_of(page.text), "decision": "approve", "who": "mia", "shown": shown}
            url = f"/ui/approvals/{first}/{asked[first]['question']['step']}"
            broken = await browser.post(url, data={**sent, "arguments": "{"})
            wrong = await browser.post(url, data={**sent, "arguments": '{"amount_usd": "much"}'})
            edited = await browser.post(url, data={**sent, "arguments": '{"amount_usd": 20}', "note": "less"})
            denied = await browser.post(
                f"/ui/approvals/{second}/{asked[second]['question']['step']}",
                data={**sent, "decision": "deny", "arguments": shown},
            )
            await il.agents.work_off()
            late = await browser.post(url, data={**sent, "arguments": shown})
            decided = [decision(il, task) for task in (first, second)]

    assert "two of A1" in page.text
    assert (broken.status_code, wrong.status_code) == (400, 422)
    assert all(
        'role="alert"' in reply.text and "What waits for a person?" in reply.text for reply in (broken, wrong, late)
    )
    assert (edited.status_code, denied.status_code, late.status_code) == (303, 303, 400)
    assert contract_folder.calls() == ["pay 20.0"]
    assert decided[0] == ("edit", "mia (by dashboard)", "less")
    assert decided[1][0] == "deny"


@pytest.mark.requirement("AG-09")
async def test_a_task_is_cancelled_on_the_page(inside: Inside):
    il, browser = inside
    token = csrf_of((await browser.get("/ui/live")).text)
    done = await browser.post(f"/ui/tasks/{WAITS}/cancel", data={"csrf": token})
    async with asyncio.timeout(60):
        await il.agents.work_off()
    found = il.reader.task(WAITS)

    assert done.status_code == 303
    assert found is not None
    assert found.outcome == "cancelled"


def decision(il: Interlock, task: str) -> tuple[Any, Any, Any]:
    trace = il.reader.trace(task)
    assert trace is not None
    said = next(step.detail for step in trace.steps if step.type == "approval_decided")
    return said["decision"], said["who"], said.get("note", "")
