"""Pages about promises, incidents, quality, the workspace and the audit: what they say, to whom, and that hostile text stays text."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from interlock.app import Interlock
from interlock.app.looking import keep
from interlock.core.events import OutcomeSeen, Record
from interlock.core.time import NS_PER_S, SystemClock
from interlock.observe.incidents import Book, Fact, Found, Incident
from interlock.storage import SqliteStore

from .dashboard_kit import RIVAL, TENANT, WORKFLOW, Past, dashboard, workspace, write
from .test_dashboard_hostile import PAYLOADS, Skeleton

NOW = SystemClock().wall_ns()
SLO = "  slo: {success: 99%, p95: 6s, cost_per_success: $0.05, window: 7d, runbook: 'Call Mia.'}\n"
Inside = tuple[Interlock, httpx2.AsyncClient]


def prepared(root: Path, text: str = "") -> None:
    """Forty tasks, half of which failed, one contradicted, and an incident with every text ending in `text`."""
    folder = workspace(root)
    contract = folder / "agents" / f"{WORKFLOW}.yaml"
    contract.write_text(contract.read_text() + SLO)
    stories: list[Past] = []
    for number in range(40):
        past = Past(f"tsk_{number:03d}", NOW - (number + 1) * 60 * NS_PER_S)
        past.fact = lambda own: own + text
        past.begin()
        past.model(escalated=number % 4 == 0)
        if number % 2:
            past.tool()
        past.end(*(("failed",) if number % 2 else ()))
        stories.append(past)
    write(root, *stories)
    found = Found(
        TENANT,
        WORKFLOW,
        "slo_burn",
        f"success{text}",
        "page",
        f"it burns{text}",
        (Fact(f"rate{text}", f"20{text}"),),
        ("tsk_001", "tsk_003"),
        (f"Call Mia.{text}",),
    )
    store = SqliteStore.open(root / ".interlock" / "interlock.db")
    keep(store, TENANT, Book((Incident("inc_1", found, NOW, NOW),), NOW), NOW)
    last = len(stories[2].records)
    store.write([[Record("tsk_002", last, TENANT, NOW, OutcomeSeen(False, "user", f"wrong{text}"))]])
    store.close()


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncGenerator[Inside]:
    prepared(tmp_path)
    async with dashboard(tmp_path) as (il, made, browser):
        await browser.get(made.address())
        yield il, browser


@pytest.mark.requirement("OB-08", "OB-09", "OB-07")
async def test_an_alert_opens_its_runbook_with_the_tasks_behind_it(inside: Inside):
    _, browser = inside
    home = (await browser.get("/ui")).text
    assert "it burns" in home
    assert "/ui/incidents/inc_1" in home
    page = (await browser.get("/ui/incidents/inc_1")).text
    assert all(words in page for words in ("<li>Call Mia.</li>", "rate", "/ui/tasks/tsk_001", "beside a good run"))
    assert (await browser.get("/ui/incidents/inc_9")).status_code == 400
    twin = (await browser.get("/ui/incidents/inc_1.json")).json()
    assert [task["task"] for task in twin["tasks"]] == ["tsk_001", "tsk_003"]


@pytest.mark.requirement("OB-07", "OB-08")
async def test_home_shows_the_promises_with_the_least_budget_left_and_the_month(inside: Inside):
    _, browser = inside
    page = (await browser.get("/ui/home.json")).json()
    labels = [each["label"] for each in page["promises"]]
    assert labels[0] == "success 99 %"
    assert set(labels) == {"success 99 %", "p95 6 s", "cost per success $0.05"}
    assert page["promises"][0]["verdict"] == "budget spent"
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert (page["month"]["spent_nano_usd"] > 0) == (month.timestamp() * NS_PER_S <= NOW - 60 * NS_PER_S)
    assert page["month"]["expected_nano_usd"] is None
    incidents = (await browser.get("/ui/incidents.json")).json()
    assert [each["id"] for each in incidents["open"]] == ["inc_1"]


@pytest.mark.requirement("OB-08")
async def test_a_failed_task_stands_beside_one_that_went_well(inside: Inside):
    _, browser = inside
    page = (await browser.get("/ui/tasks/tsk_001/compare.json")).json()
    assert page["other"]["outcome"] == "resolved"
    assert page["other"]["task"] != "tsk_002"
    beside = (await browser.get("/ui/tasks/tsk_001/compare.json?with=tsk_006")).json()
    apart = [pair for pair in beside["pairs"] if not pair["same"]]
    assert [pair["mine"]["decided"] for pair in apart if pair["mine"]] == [
        "called inventory.lookup: ok",
        "ended failed",
    ]
    named = (await browser.get("/ui/tasks/tsk_001/compare.json?with=tsk_004")).json()
    assert named["other"]["task"] == "tsk_004"
    assert (await browser.get("/ui/tasks/tsk_001/compare?with=tsk_none")).status_code == 400


@pytest.mark.requirement("AG-10", "OB-08")
async def test_every_decision_has_its_rule_version_and_cost_on_one_page(inside: Inside):
    _, browser = inside
    page = (await browser.get("/ui/tasks/tsk_000/why.json")).json()
    assert sum(each["cost_nano_usd"] for each in page["decisions"]) == page["task"]["cost_nano_usd"] > 0
    asked = next(each for each in page["decisions"] if each["decided"].startswith("asked openai/large"))
    assert any("escalated small → large" in rule for rule in asked["rule"])
    assert "route abba03" in asked["version"]


@pytest.mark.requirement("OB-05", "OB-08")
async def test_quality_counts_what_whoever_knows_has_said(inside: Inside):
    _, browser = inside
    page = (await browser.get("/ui/quality.json")).json()
    (row,) = page["workflows"]
    assert (row["tasks"], row["resolved"], row["judged"], row["contradicted"]) == (40, 20, 1, 1)
    assert [(each["source"], each["good"], each["n"]) for each in page["sources"]] == [("user", 0, 1)]
    assert [task["task"] for task in page["bad"]] == ["tsk_002"]


@pytest.mark.requirement("OB-08")
async def test_the_configuration_is_shown_without_its_secrets_and_to_its_own_tenant_only(tmp_path: Path):
    prepared(tmp_path)
    (tmp_path / "interlock.yaml").write_text(
        f"workspace: documents\ntenant: {TENANT}\nserver: {{api_key: il-very-secret}}\n"
        "webhooks: [{url: 'https://me:sekret@ops.example.com/hook', secret: whsec-sekret-too}]\n"
    )
    async with dashboard(tmp_path) as (_, made, browser):
        rival = await browser.get("/ui/config.json", headers={"authorization": f"Bearer {RIVAL}"})
        none = await browser.get("/ui/incidents.json", headers={"authorization": f"Bearer {RIVAL}"})
        await browser.get(made.address())
        page = await browser.get("/ui/config.json")
        shown = (await browser.get("/ui/config")).text
    settings = {each["name"]: each["value"] for each in page.json()["settings"]}
    assert settings["server"]["api_key"] == "(set)"
    assert settings["webhooks"][0]["url"] == "https://(set)@ops.example.com/hook"
    assert "sekret" not in shown
    assert "very-secret" not in shown
    assert (rival.json()["settings"], none.json()["promises"], none.json()["open"]) == ([], [], [])


@pytest.mark.requirement("OB-08")
async def test_reading_the_audit_is_an_entry_of_it(inside: Inside):
    _, browser = inside
    await browser.get("/ui/audit")
    entries = (await browser.get("/ui/audit.json")).json()["entries"]
    assert [each["deed"]["action"] for each in entries].count("audit.read") == 2


@pytest.mark.requirement("OB-08")
async def test_hostile_texts_of_incidents_and_outcomes_change_no_page(tmp_path: Path):
    paths = (
        "/ui",
        "/ui/incidents",
        "/ui/incidents/inc_1",
        "/ui/quality",
        "/ui/tasks/tsk_001/compare",
        "/ui/tasks/tsk_002/why",
    )
    models: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for number, text in enumerate(("harmless", *PAYLOADS[::7])):
        prepared(tmp_path / str(number), text)
        async with dashboard(tmp_path / str(number)) as (_, made, browser):
            await browser.get(made.address())
            for path in paths:
                reply = await browser.get(path)
                skeleton = Skeleton(reply.text)
                assert reply.status_code == 200
                assert skeleton.tags == models.setdefault(path, skeleton.tags), (path, text)
                assert skeleton.odd == []
                assert all(address.startswith(("/ui", "?", "#")) for address in skeleton.addresses), path
                assert "<" not in text or text not in reply.text


async def test_pages_are_whole_where_nothing_has_happened_yet(tmp_path: Path):
    workspace(tmp_path)
    async with dashboard(tmp_path) as (_, made, browser):
        await browser.get(made.address())
        for path in ("/ui", "/ui/incidents", "/ui/quality", "/ui/config", "/ui/audit", "/ui/models", "/ui/pnl"):
            assert (await browser.get(path)).status_code == 200, path
