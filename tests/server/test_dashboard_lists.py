"""Kept views, filters of tasks and of the audit, escalations as a flow, what a success costs, who may do what."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import pairwise
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from interlock.app import Interlock
from interlock.core.audit import Deed
from interlock.core.caller import Versions
from interlock.core.events import Settled
from interlock.core.keys import KeyBook, KeyRecord, made
from interlock.core.roles import Role
from interlock.core.time import NS_PER_S, SystemClock
from interlock.server.dashboard.river import WIDTH, river

from .dashboard_kit import KEY, Past, dashboard, waiting_task, workspace, write
from .test_dashboard_door import csrf_of
from .test_oidc import opened, signed_in

__all__ = ["opened"]
NOW = SystemClock().wall_ns()
OLD, NEW = Versions("0ldc0ffee000"), Versions("c0ffee")
HOSTILE = "<img src=x onerror=alert(1)>"
Inside = tuple[Interlock, httpx2.AsyncClient]


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncGenerator[Inside]:
    """Six tasks of the version before, six of this one, the last of them long."""
    stories: list[Past] = []
    for number in range(12):
        each = Past(f"tsk_{number:03d}", NOW - (200 - number if number > 5 else 9 * 86_400) * NS_PER_S)
        each.versions = NEW if number > 5 else OLD
        each.begin()
        for _ in range(9 if number == 11 else 1):
            each.model(escalated=number > 5)
        each.end()
        stories.append(each)
    write(workspace(tmp_path), *stories)
    async with dashboard(tmp_path) as (il, entered, browser):
        await browser.get(entered.address())
        yield il, browser


async def ids(browser: httpx2.AsyncClient, query: str) -> list[str]:
    return sorted(task["task"] for task in (await browser.get(f"/ui/tasks.json?{query}")).json()["tasks"])


@pytest.mark.requirement("OB-08")
async def test_tasks_are_narrowed_by_the_version_they_began_under_and_by_their_steps(inside: Inside):
    _, browser = inside
    trace = await browser.get("/ui/tasks/tsk_000")

    assert await ids(browser, "contract=0ldc0ffee000") == [f"tsk_{n:03d}" for n in range(6)]
    assert await ids(browser, "contract=c0ffee&steps=2") == ["tsk_011"]
    assert await ids(browser, "contract=none") == []
    assert (await browser.get("/ui/tasks?steps=many")).status_code == 400
    assert 'href="/ui/tasks?contract=0ldc0ffee000"' in trace.text


@pytest.mark.requirement("OB-08")
async def test_a_view_is_kept_under_a_name_for_whoever_kept_it_until_they_forget_it(inside: Inside):
    _, browser = inside
    token = csrf_of((await browser.get("/ui/tasks?steps=2")).text)
    form = {"csrf": token, "steps": "2", "name": HOSTILE, "do": "keep"}
    kept = await browser.post("/ui/tasks/views", data=form)
    page = await browser.get(kept.headers["location"])
    other = (await browser.get("/ui/tasks.json", headers={"authorization": f"Bearer {KEY}"})).json()
    forged = await browser.post("/ui/tasks/views", data={**form, "csrf": "x"})
    nameless = await browser.post("/ui/tasks/views", data={**form, "name": " "})
    odd = await browser.post("/ui/tasks/views", data={**form, "steps": "many"})
    for number in range(25):
        await browser.post("/ui/tasks/views", data={**form, "name": f"view {number}"})
    many = (await browser.get("/ui/tasks.json")).json()["views"]
    await browser.post("/ui/tasks/views", data={"csrf": token, "name": "view 24", "do": "drop"})
    left = (await browser.get("/ui/tasks.json")).json()["views"]

    assert (kept.status_code, kept.headers["location"]) == (303, "/ui/tasks?steps=2")
    assert HOSTILE not in page.text
    assert "&lt;img src=x" in page.text
    assert other["views"] == []
    assert [each.status_code for each in (forged, nameless, odd)] == [403, 400, 400]
    assert [each["name"] for each in many] == [f"view {number}" for number in range(5, 25)]
    assert [each["name"] for each in left] == [f"view {number}" for number in range(5, 24)]


@pytest.mark.requirement("SG-09", "OB-08")
async def test_the_audit_is_narrowed_by_who_what_and_when_and_a_rare_entry_is_found_far_back(inside: Inside):
    il, browser = inside
    day = 86_400 * NS_PER_S
    rare = Deed(NOW - 3 * day, "acme", "mia", "approver", "approval.decided", "tsk_000/5", "approve by mia")
    il.auditing.store.append([rare])
    il.auditing.store.append(
        [Deed(NOW, "acme", f"robot-{n}", "machine", "content.read", f"tsk_{n}") for n in range(700)]
    )
    il.auditing.store.append([Deed(NOW, "rival", "mia", "approver", "approval.decided", "tsk_9/1", "approve")])

    async def found(query: str) -> list[tuple[str, str]]:
        page = (await browser.get(f"/ui/audit.json?{query}")).json()
        return [(each["deed"]["who"], each["deed"]["target"]) for each in page["entries"]]

    first = (await browser.get("/ui/audit.json?action=content.read")).json()
    second = (await browser.get("/ui/audit.json", params=first["next"])).json()
    shown = await browser.get("/ui/audit?action=approval.decided")
    odd = [await browser.get(f"/ui/audit?{query}") for query in ("action=none", "since=soon")]

    assert await found("action=approval.decided") == [("mia", "tsk_000/5")]
    assert await found("who=MIA&target=tsk_000") == [("mia", "tsk_000/5")]
    assert ("mia", "tsk_000/5") not in await found("since=2999-01-01")
    assert len(first["entries"]) == len(second["entries"]) == 100
    assert not {each["seq"] for each in first["entries"]} & {each["seq"] for each in second["entries"]}
    assert "/ui/tasks/tsk_000?step=5" in shown.text
    assert [each.status_code for each in odd] == [400, 400]


async def test_a_search_that_nothing_fits_stops_after_so_many_entries_and_says_where_to_look_on(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
):
    il, browser = inside
    monkeypatch.setattr("interlock.app.sight.SEARCHED", 200)
    monkeypatch.setattr("interlock.app.sight.AT_A_TIME", 100)
    il.auditing.store.append([Deed(NOW, "acme", "robot", "machine", "content.read", f"tsk_{n}") for n in range(300)])
    page = (await browser.get("/ui/audit.json?action=key.rotated")).json()
    html = await browser.get("/ui/audit?action=key.rotated")
    last = (await browser.get("/ui/audit.json", params=page["next"])).json()

    assert (page["entries"], last["entries"], last["next"]) == ([], [], {})
    assert page["before"] > 1
    assert "Look further back" in html.text


@pytest.mark.requirement("EC-01", "OB-08")
async def test_the_page_says_in_a_sentence_what_a_success_costs_and_why_it_rose_and_what_no_routing_would_have_cost(
    inside: Inside,
):
    _, browser = inside
    (part,) = (await browser.get("/ui/pnl.json?span=7d")).json()["parts"]
    html = (await browser.get("/ui/pnl?span=7d")).text

    assert part["change_nano_usd"] > 0
    assert part["because"].startswith("A success costs $")
    assert "more than in the 7d before, mostly for " in part["because"]
    assert html.index("Cost per success") < html.index(part["because"]) < html.index("Statement")
    assert "Without routing: everything by" in html


@pytest.mark.requirement("OB-08")
async def test_escalations_are_drawn_from_model_to_model(inside: Inside):
    _, browser = inside
    page = (await browser.get("/ui/models.json?span=7d")).json()
    html = (await browser.get("/ui/models?span=7d")).text
    (band,) = page["river"]["bands"]

    assert (band["label"], band["n"]) == ("small → large", 14)
    assert {box["label"]: (box["came"], box["went"]) for box in page["river"]["boxes"]} == {
        "small": (0, 14),
        "large": (14, 0),
    }
    assert html.count('<path d="M') == 1


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef"), st.integers(0, 10**6)), max_size=12))
def test_whatever_flows_the_picture_holds_it(flows: list[tuple[str, str, int]]):
    drawn = river(flows)
    real = [each for each in flows if each[2] and each[0] != each[1]]
    if drawn is None:
        assert not real
        return
    assert sum(band.n for band in drawn.bands) == drawn.n == sum(n for *_, n in real)
    assert all(0 <= box.x <= WIDTH and box.y > 0 and box.y + box.height <= drawn.height for box in drawn.boxes)
    places = sorted((box.x, box.y, box.height) for box in drawn.boxes)
    assert all(a[0] < b[0] or a[1] + a[2] <= b[1] for a, b in pairwise(places))


@pytest.mark.requirement("SG-09")
@pytest.mark.parametrize(
    ("role", "reads", "decides"), [("viewer", False, False), ("auditor", True, False), ("approver", True, True)]
)
async def test_a_page_offers_what_the_role_of_its_visitor_may_do(
    tmp_path: Path, role: Role, *, reads: bool, decides: bool
):
    record, secret = made(KeyRecord("key_x", "x", "acme", "", "", 1, role=role), lambda n: "x" * n)
    write(workspace(tmp_path), waiting_task("tsk_w", NOW))
    async with dashboard(tmp_path, book=KeyBook([record])) as (_, _, browser):
        await browser.post("/ui/login", data={"key": secret.reveal()})
        home, live, asked = [(await browser.get(path)).text for path in ("/ui", "/ui/live", "/ui/approvals")]

    assert f'<span class="tag">{role}</span>' in home
    assert ('href="/ui/approvals" title=' in home) is reads
    assert ('href="/ui/audit"' in home) is (role == "auditor")
    assert "/cancel" not in live
    assert ('value="approve"' in asked) is decides
    assert ("Roles that decide: approver, admin" in asked) is (reads and not decides)


@pytest.mark.requirement("SG-09", "AG-06")
async def test_the_name_beside_a_decision_is_the_person_for_whom_a_provider_vouches(opened, tmp_path: Path):
    provider, _, browser = opened
    provider.claims["groups"] = ["support"]
    write(tmp_path, waiting_task("tsk_w", NOW - NS_PER_S))
    await signed_in(provider, browser)
    page = await browser.get("/ui/approvals")
    (asked,) = (await browser.get("/ui/approvals.json")).json()["waiting"]
    form = {"csrf": csrf_of(page.text), "decision": "deny", "who": "somebody else"}
    denied = await browser.post(f"/ui/approvals/tsk_w/{asked['question']['step']}", data=form)
    decided = (await browser.get("/ui/approvals.json")).json()["decided"]
    after = await browser.get("/ui/approvals")

    assert 'name="who"' not in page.text
    assert "ada@shop.example" in page.text
    assert denied.status_code == 303
    assert [(each["who"], each["how"], each["task"]) for each in decided] == [
        ("ada@shop.example", "deny by ada@shop.example", "tsk_w")
    ]
    assert "Who decided lately?" in after.text
    assert "somebody else" not in after.text


@pytest.mark.requirement("EC-01")
async def test_what_judges_cost_is_a_line_of_its_own_and_the_lines_still_end_in_the_ledgers_total(tmp_path: Path):
    judged = Past("tsk_j", NOW - NS_PER_S)
    judged.begin()
    judged.model()
    judged.model("judge it")
    asked = judged.records[-1]
    assert isinstance(asked.event, Settled)
    of_judge = structs.replace(asked.event, caller=structs.replace(asked.event.caller, purpose="judge"))
    judged.records[-1] = structs.replace(asked, event=of_judge)
    judged.end()
    write(workspace(tmp_path), judged)
    async with dashboard(tmp_path) as (il, entered, browser):
        await browser.get(entered.address())
        (part,) = (await browser.get("/ui/pnl.json?span=all")).json()["parts"]
        html = (await browser.get("/ui/pnl?span=all")).text
        totals = il.reader.totals()
    lines = {cost["line"]["line"]: cost["line"] for cost in part["costs"]}

    assert lines["judges"]["calls"] == 1
    assert 0 < lines["judges"]["cost_nano_usd"] * 2 == totals.events_nano_usd
    assert sum(line["cost_nano_usd"] for line in lines.values()) == totals.events_nano_usd
    assert "Judges of finished tasks" in html
