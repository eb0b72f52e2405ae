"""What models read, what knowledge had, what answers name and how often people were asked: on the pages, in their twins, and at the scraper's door."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from interlock.core.events import FLOW, ApprovalAsked
from interlock.core.time import NS_PER_S, SystemClock
from interlock.observe.prometheus import Exposition

from .dashboard_kit import KEY, RIVAL, WORKFLOW, Past, dashboard, workspace, write

NOW = SystemClock().wall_ns()
OURS, THEIRS = ({"authorization": f"Bearer {key}"} for key in (KEY, RIVAL))


def past() -> list[Past]:
    """Ten tasks: eight looked something up, six found it, five name it; one was asked about by a rule and by the policy; one is a year old."""
    stories: list[Past] = []
    for number in range(10):
        made = Past(f"tsk_{number:03d}", NOW - (1_000 + number) * NS_PER_S)
        made.begin()
        made.model(escalated=number == 0, failed=2 * int(number == 0))
        if number == 1:
            for rule in (f"{FLOW}a stranger's value", "amount_usd > 50"):
                seq = len(made.records)
                made.add(ApprovalAsked(seq, "payments.create_intent", "a1", rule, NOW, workflow=WORKFLOW))
        searched = "" if number > 7 else "hit" if number < 6 else "miss"
        cited = None if number > 7 else int(number < 5)
        made.end(workflow=WORKFLOW, searched=searched, cited=cited)
        stories.append(made)
    old = Past("tsk_old", NOW - 365 * 86_400 * NS_PER_S)
    old.begin()
    old.end(workflow=WORKFLOW, searched="miss", cited=0)
    return [*stories, old]


@pytest.mark.requirement("ME-07", "OB-05")
async def test_lengths_hits_and_citations_stand_on_the_page_of_quality(tmp_path: Path):
    write(workspace(tmp_path), *past())
    async with dashboard(tmp_path) as (_, _, browser):
        page = (await browser.get("/ui/quality.json", headers=OURS)).json()
        html = (await browser.get("/ui/quality", headers=OURS)).text
        theirs = (await browser.get("/ui/quality.json", headers=THEIRS)).json()
        empty = (await browser.get("/ui/quality", headers=THEIRS)).text

    (known,) = page["knowledge"]
    assert (known["workflow"], known["hits"]["part"], known["hits"]["n"]) == (WORKFLOW, 6, 8)
    assert (known["cited"]["part"], known["cited"]["n"]) == (5, 8)
    (read,) = page["lengths"]
    assert (read["calls"], read["half"], read["most"]) == (10, 2048, 4096)
    assert f'aria-label="half of 10 calls read {read["half"]:,} tokens at most, 95 % {read["most"]:,}"' in html
    assert "75 % of 8" in html
    assert "62 % of 8" in html
    assert [theirs[name] for name in ("knowledge", "lengths", "asks")] == [[], [], []]
    assert "No task has looked anything up" in empty


@pytest.mark.requirement("ME-07", "OB-04")
async def test_the_same_is_scraped(tmp_path: Path):
    write(workspace(tmp_path), *past())
    async with dashboard(tmp_path) as (il, _, _):
        families = await asyncio.to_thread(il.watching().instruments.collect)
    body, _ = Exposition().written(families, "text/plain")
    found = {
        (sample.name, sample.labels.get("result") or sample.labels.get("le", "")): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }

    assert found["interlock_knowledge_hit_share", ""] == pytest.approx(6 / 9)
    assert found["interlock_citation_coverage", ""] == pytest.approx(5 / 9)
    assert found["interlock_knowledge_searches_total", "hit"] == 6
    assert found["interlock_cited_answers_total", "uncited"] == 4
    assert found["interlock_context_tokens_bucket", "2048"] == 9
    assert found["interlock_context_tokens_count", ""] == 10


@pytest.mark.requirement("OB-08", "SG-02", "EC-01")
async def test_questions_to_people_stand_on_quality_and_on_the_statement(tmp_path: Path):
    write(workspace(tmp_path), *past())
    async with dashboard(tmp_path) as (_, _, browser):
        page = (await browser.get("/ui/quality.json", headers=OURS)).json()
        pnl = (await browser.get("/ui/pnl.json?span=7d", headers=OURS)).json()
        html = (await browser.get("/ui/pnl?span=7d", headers=OURS)).text

    assert page["asks"] == [{"workflow": WORKFLOW, "policy": 1, "rule": 1, "tasks": 10, "per_task": 0.2}]
    statement = next(part["statement"] for part in pnl["parts"] if part["name"] == WORKFLOW)
    assert statement["asks"] == {"policy": 1, "rule": 1, "per_task": 0.2}
    assert [(each["tokens"], each["tasks"]) for each in statement["contexts"]] == [(2048, 9), (4096, 1)]
    assert "1 by information flow, 1 by rules" in html
    assert "Cost of a success by how much models read" in html
