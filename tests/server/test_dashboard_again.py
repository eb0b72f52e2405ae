"""A task decided once more, and gone on with under other terms, from its page."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest

from interlock.app import Interlock
from interlock.core.keys import KeyBook, KeyRecord, made
from interlock.core.roles import Role
from interlock.core.time import NS_PER_S, SystemClock
from interlock.testing.upstream import Answer, Upstream, in_turn
from tests.app.conftest import Folder, contract_folder

from .dashboard_kit import RIVAL, dashboard, waiting_task, workspace, write
from .test_dashboard_door import csrf_of

__all__ = ["contract_folder"]
LOOK = Answer(tool_calls=(("inventory.lookup", '{"sku": "A1"}'),))
PAY = Answer(tool_calls=(("payments.create_intent", '{"amount_usd": 20}'),))
GOOD = Answer(text=json.dumps({"sku": "A1", "quantity": 2}))
MORE = Answer(text=json.dumps({"sku": "A1", "quantity": 5}))
Ran = tuple[Interlock, httpx2.AsyncClient, str, Upstream]


@pytest.fixture
async def ran(contract_folder: Folder) -> AsyncGenerator[Ran]:
    """A finished task that looked something up and paid, and a vendor that has more to say."""
    async with Upstream(in_turn(LOOK, PAY, GOOD, PAY, MORE, MORE)) as upstream:
        contract_folder.provider("openai", upstream.base_url)
        async with dashboard(contract_folder.root) as (il, entered, browser):
            await browser.get(entered.address())
            task = (await il.run("agent_contract", {"text": "two of A1"})).task
            asked = (await browser.get("/ui/approvals.json")).json()["waiting"]
            for each in asked:
                await il.agents.decide(task, each["question"]["step"], "approve", who="mia")
            await il.agents.work_off()
            yield il, browser, task, upstream


@pytest.mark.requirement("AG-08", "OB-08")
async def test_a_task_is_replayed_on_its_page_and_nothing_is_called(ran: Ran, contract_folder: Folder):
    il, browser, task, upstream = ran
    before = contract_folder.calls(), len(upstream.asked)
    page = await browser.get(f"/ui/tasks/{task}/again")
    twin = (await browser.get(f"/ui/tasks/{task}/again.json")).json()
    trace = await browser.get(f"/ui/tasks/{task}")
    noted = [each.deed for each in il.auditing.store.latest(0, 20) if each.deed.action == "task.operated"]

    assert page.status_code == 200
    assert twin["identical"]
    assert twin["replay"]["decisions"] >= 6
    assert "came out as recorded" in page.text
    assert (contract_folder.calls(), len(upstream.asked)) == before
    assert f"/ui/tasks/{task}/again" in trace.text
    assert {(deed.target, deed.detail) for deed in noted} == {(task, "replay")}


@pytest.mark.requirement("AG-08", "OB-08")
async def test_a_fork_from_the_page_changes_nothing_outside_and_stands_beside_the_original(
    ran: Ran, contract_folder: Folder
):
    il, browser, task, upstream = ran
    before = contract_folder.calls()
    page = await browser.get(f"/ui/tasks/{task}/again")
    places = (await browser.get(f"/ui/tasks/{task}/again.json")).json()["places"]
    second = [each["step"] for each in places if "payments.create_intent" not in each["what"]][-1]
    form = {"csrf": csrf_of(page.text), "at": "1", "prompt": "Be brief.", "model": ""}
    forked = await browser.post(f"/ui/tasks/{task}/again", data=form)
    beside = (await browser.get(forked.headers["location"].replace("/compare?", "/compare.json?"))).json()
    shown = await browser.get(forked.headers["location"])
    noted = [each.deed.detail for each in il.auditing.store.latest(0, 20) if each.deed.action == "task.operated"]

    assert forked.status_code == 303
    assert second > 1
    assert (beside["mine"]["task"], beside["forked"]) == (task, "other")
    assert beside["other"]["workflow"] == "agent_contract~fork"
    assert beside["other"]["status"] == "finished"
    assert contract_folder.calls() == before
    assert "Be brief." in str(upstream.asked[-1])
    assert "What came out otherwise in the fork?" in shown.text
    assert "fork at 1, another prompt, effects held back" in noted


@pytest.mark.requirement("OB-08")
async def test_a_fork_needs_the_sessions_token_and_a_step_and_a_task_of_ones_own(ran: Ran):
    _, browser, task, upstream = ran
    page = await browser.get(f"/ui/tasks/{task}/again")
    good = {"csrf": csrf_of(page.text), "at": "1"}
    url, before = f"/ui/tasks/{task}/again", len(upstream.asked)
    without = await browser.post(url, data={"at": "1"})
    foreign = await browser.post(url, data=good, headers={"origin": "https://evil.example"})
    nowhere = await browser.post(url, data={**good, "at": "9999"})
    odd = await browser.post(url, data={**good, "at": "x"})
    browser.cookies.clear()
    rival = await browser.post(url, data={"at": "1"}, headers={"authorization": f"Bearer {RIVAL}"})
    theirs = await browser.get(f"{url}.json", headers={"authorization": f"Bearer {RIVAL}"})

    assert [each.status_code for each in (without, foreign, nowhere, odd, rival, theirs)] == [
        403, 403, 400, 400, 404, 404,
    ]  # fmt: skip
    assert len(upstream.asked) == before


@pytest.mark.requirement("SG-09")
@pytest.mark.parametrize(
    ("role", "sees"), [("viewer", False), ("approver", False), ("auditor", False), ("developer", True)]
)
async def test_who_may_not_operate_neither_replays_nor_forks_and_nobody_but_an_admin_with_effects(
    tmp_path: Path, role: Role, *, sees: bool
):
    record, secret = made(KeyRecord("key_x", "x", "acme", "", "", 1, role=role), lambda n: "x" * n)
    write(workspace(tmp_path), waiting_task("tsk_w", SystemClock().wall_ns() - NS_PER_S))
    async with dashboard(tmp_path, book=KeyBook([record])) as (il, _, browser):
        await browser.post("/ui/login", data={"key": secret.reveal()})
        token = csrf_of((await browser.get("/ui")).text)
        page = await browser.get("/ui/tasks/tsk_w/again")
        effects = await browser.post("/ui/tasks/tsk_w/again", data={"csrf": token, "at": "1", "effects": "1"})
        tasks = il.reader.totals()
    assert page.status_code == (200 if sees else 403)
    assert 'name="effects"' not in page.text
    assert effects.status_code == 403
    assert tasks.events_nano_usd > 0
