"""Who comes into the dashboard, and what a page may and may not do."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest

from interlock.core.keys import KeyBook, KeyRecord, made
from interlock.core.roles import Role
from interlock.core.time import NS_PER_S, SystemClock
from interlock.server.dashboard import Dashboard
from interlock.server.dashboard.refusals import MOST, WINDOW_S
from interlock.server.dashboard.sessions import SESSION_S, TOKEN_S
from tests.ledger.kit import Clock

from .dashboard_kit import HOST, KEY, RIVAL, dashboard, waiting_task, workspace, write

WAITS = "tsk_wait01"
PAGES = ("/ui", "/ui/live", "/ui/tasks", f"/ui/tasks/{WAITS}", "/ui/approvals", "/ui/pnl", "/ui/models")
Opened = tuple[Clock, Dashboard, httpx2.AsyncClient]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncGenerator[Opened]:
    root, clock = workspace(tmp_path), Clock()
    write(root, waiting_task(WAITS, SystemClock().wall_ns()))
    async with dashboard(root, clock) as (_, made, browser):
        yield clock, made, browser


async def enter(made: Dashboard, browser: httpx2.AsyncClient) -> httpx2.Response:
    return await browser.get(made.address())


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


@pytest.mark.requirement("OB-08")
async def test_without_a_session_every_page_leads_to_the_door_and_its_twin_refuses(opened: Opened):
    _, _, browser = opened
    for path in PAGES:
        page, twin = await browser.get(path), await browser.get(f"{path}.json")
        asked = await browser.get(path, headers={"accept": "application/json"})
        assert (page.status_code, page.headers["location"]) == (303, "/ui/login")
        assert (twin.status_code, asked.status_code) == (401, 401)
    for path in ("/ui/live/events", "/ui/pnl.csv"):
        assert (await browser.get(path)).status_code == 401
    for path in (f"/ui/tasks/{WAITS}/cancel", f"/ui/approvals/{WAITS}/4", "/ui/logout"):
        assert (await browser.post(path)).status_code == 401


async def test_the_one_time_address_lets_one_browser_in_once(opened: Opened):
    _, made, browser = opened
    address = made.address()
    first = await browser.get(address)
    cookie = first.headers["set-cookie"].lower()
    inside = await browser.get("/ui")
    browser.cookies.clear()
    second = await browser.get(address)

    assert (first.status_code, first.headers["location"]) == (303, "/ui")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/ui" in cookie
    assert inside.status_code == 200
    assert second.status_code == 401
    assert "set-cookie" not in second.headers


async def test_tokens_and_sessions_end_in_time(opened: Opened):
    clock, made, browser = opened
    late = made.address()
    clock.forward(TOKEN_S + 1)
    refused = await browser.get(late)
    await enter(made, browser)
    before = await browser.get("/ui")
    clock.now_ns += SESSION_S * NS_PER_S
    after = await browser.get("/ui")

    assert (refused.status_code, before.status_code, after.status_code) == (401, 200, 303)


async def test_nobody_comes_in_with_what_the_files_say(opened: Opened, tmp_path: Path):
    _, made, browser = opened
    await enter(made, browser)
    names = [path.name for path in (tmp_path / ".interlock" / "dashboard").iterdir()]
    browser.cookies.clear()
    tries = [await browser.get("/ui", headers={"cookie": f"interlock_ui={name.partition('-')[2]}"}) for name in names]

    assert names
    assert {reply.status_code for reply in tries} == {303}


async def test_the_servers_key_opens_the_door_and_leaving_closes_it(opened: Opened):
    _, _, browser = opened
    wrong = await browser.post("/ui/login", data={"key": "il-guess"})
    right = await browser.post("/ui/login", data={"key": KEY})
    kept = dict(browser.cookies)
    page = await browser.get("/ui")
    left = await browser.post("/ui/logout", data={"csrf": csrf_of(page.text)})
    again = await browser.get("/ui", headers={"cookie": f"interlock_ui={kept['interlock_ui']}"})

    assert (wrong.status_code, right.status_code, left.status_code, again.status_code) == (401, 303, 303, 303)
    assert again.headers["location"] == "/ui/login"


@pytest.mark.requirement("OB-08")
async def test_a_post_needs_the_sessions_token_and_our_own_origin(opened: Opened):
    _, made, browser = opened
    await enter(made, browser)
    token = csrf_of((await browser.get("/ui")).text)
    url, deny = f"/ui/approvals/{WAITS}/5", {"decision": "deny"}
    without = await browser.post(url, data=deny)
    guessed = await browser.post(url, data={**deny, "csrf": "x" * len(token)})
    foreign = await browser.post(url, data={**deny, "csrf": token}, headers={"origin": "https://evil.example"})
    crossed = await browser.post(url, data={**deny, "csrf": token}, headers={"sec-fetch-site": "cross-site"})
    still = (await browser.get("/ui/approvals.json")).json()["waiting"]
    cancel = await browser.post(f"/ui/tasks/{WAITS}/cancel", data={})
    ours = await browser.post(url, data={**deny, "csrf": token}, headers={"origin": HOST})

    assert [reply.status_code for reply in (without, guessed, foreign, crossed, cancel)] == [403] * 5
    assert len(still) == 1
    assert ours.status_code == 303


@pytest.mark.requirement("SG-05", "OB-08")
async def test_another_tenants_key_sees_nothing_of_ours(opened: Opened):
    _, _, browser = opened
    browser.headers["authorization"] = f"Bearer {RIVAL}"
    tasks = (await browser.get("/ui/tasks.json")).json()["tasks"]
    trace = await browser.get(f"/ui/tasks/{WAITS}.json")
    live = (await browser.get("/ui/live.json")).json()["running"]
    asked = (await browser.get("/ui/approvals.json")).json()["waiting"]
    decided = await browser.post(f"/ui/approvals/{WAITS}/5", data={"decision": "approve"})
    money = (await browser.get("/ui/pnl.json?span=all")).json()["parts"]
    home = (await browser.get("/ui.json")).json()

    assert (tasks, live, asked, money) == ([], [], [], [])
    assert (trace.status_code, decided.status_code) == (404, 404)
    assert (home["week_nano_usd"], home["calls"], home["waiting"]) == (0, 0, 0)


@pytest.mark.requirement("OB-08")
async def test_pages_hold_no_inline_code_or_style_and_nothing_from_elsewhere(opened: Opened):
    _, made, browser = opened
    await enter(made, browser)
    for path in (*PAGES, "/ui/login", "/ui/tasks/none"):
        page = await browser.get(path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?! src=)", page.text)
        sources = re.findall(r'(?:src|href|action|hx-get|sse-connect)="([^"]*)"', page.text)
        assert sources
        assert all(source.startswith(("/ui", "?", "#")) for source in sources)
    for name in ("ui.css", "ui.js", "theme.js", "htmx.min.js", "htmx-sse.js", "icon.svg"):
        assert (await browser.get(f"/ui/static/{name}")).status_code == 200
    for name in ("..%2fface.py", "face.py", "none.js"):
        assert (await browser.get(f"/ui/static/{name}")).status_code == 404


async def test_without_jinja2_the_address_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("interlock.server.dashboard.find_spec", lambda name: None)
    async with dashboard(workspace(tmp_path)) as (_, made, browser):
        replies = [await browser.get(path) for path in ("/ui", "/ui/tasks")]
        assert made.address() == ""
    assert {reply.status_code for reply in replies} == {501}
    assert "pip install 'interlock[dashboard]'" in replies[0].text


@pytest.mark.requirement("SG-09")
@pytest.mark.parametrize(
    ("role", "reads", "decides", "cancels"),
    [
        ("viewer", False, False, False),
        ("auditor", True, False, False),
        ("approver", True, True, False),
        ("developer", True, False, True),
        ("admin", True, True, True),
    ],
)
async def test_a_session_may_do_what_its_key_may(
    tmp_path: Path, role: Role, *, reads: bool, decides: bool, cancels: bool
):
    record, secret = made(KeyRecord("key_x", "x", "acme", "", "", 1, role=role), lambda n: "x" * n)
    root = workspace(tmp_path)
    write(root, waiting_task(WAITS, SystemClock().wall_ns()))
    async with dashboard(root, book=KeyBook([record])) as (_, _, browser):
        await browser.post("/ui/login", data={"key": secret.reveal()})
        for path in ("/ui", "/ui/live", "/ui/tasks", "/ui/pnl", "/ui/models"):
            assert (await browser.get(path)).status_code == 200
        for path in (f"/ui/tasks/{WAITS}", "/ui/approvals", f"/ui/tasks/{WAITS}.json", "/ui/approvals.json"):
            assert (await browser.get(path)).status_code == (200 if reads else 403)
        form = {"csrf": csrf_of((await browser.get("/ui")).text), "decision": "deny"}
        cancelled = await browser.post(f"/ui/tasks/{WAITS}/cancel", data=form)
        decided = await browser.post(f"/ui/approvals/{WAITS}/5", data=form)
    assert cancelled.status_code == (303 if cancels else 403)
    assert decided.status_code == (303 if decides else 403)


@pytest.mark.requirement("SG-09")
async def test_a_machines_key_opens_no_page(tmp_path: Path):
    record, secret = made(KeyRecord("key_x", "x", "acme", "", "", 1), lambda n: "x" * n)
    async with dashboard(workspace(tmp_path), book=KeyBook([record])) as (_, _, browser):
        refused = await browser.post("/ui/login", data={"key": secret.reveal()})
        twin = await browser.get("/ui/tasks.json", headers={"authorization": f"Bearer {secret.reveal()}"})
    assert (refused.status_code, twin.status_code) == (403, 403)
    assert "set-cookie" not in refused.headers


@pytest.mark.requirement("SG-09")
async def test_an_address_that_guesses_is_not_listened_to_for_a_minute(opened: Opened):
    clock, _, browser = opened
    guesses = [(await browser.post("/ui/login", data={"key": f"il-{n}"})).status_code for n in range(MOST + 3)]
    right = await browser.post("/ui/login", data={"key": KEY})
    spent = await browser.get("/ui/enter?once=x")
    clock.forward(WINDOW_S + 1)
    later = await browser.post("/ui/login", data={"key": KEY})

    assert guesses == [401] * MOST + [429] * 3
    assert (right.status_code, spent.status_code, later.status_code) == (429, 429, 303)
    assert "set-cookie" not in right.headers
