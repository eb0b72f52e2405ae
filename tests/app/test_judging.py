"""A model's opinion of finished tasks: sampled, booked with the task, and never taken for more than it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from interlock.app import Interlock
from interlock.app.judging import opinion_of
from interlock.config.load import load
from interlock.core.caller import Versions
from interlock.core.store import TaskFilter
from interlock.core.time import SystemClock
from interlock.observe.incidents import Book
from interlock.testing.clock import FakeClock
from interlock.testing.upstream import Answer, Upstream
from tests.observe.kit import ran

CONTRACT = """\
agent:
  name: support
  model: openai/gpt-4o
  outcome: {judge: {model: openai/gpt-4o-mini, share: 100%, question: "Was it answered?"}}
"""


@pytest.fixture
async def upstream() -> AsyncGenerator[Upstream]:
    async with Upstream(lambda _: Answer(text='{"success": false, "why": "It invents an order."}')) as made:
        yield made


@pytest.mark.requirement("EC-01", "OB-05")
async def test_a_judge_says_what_became_of_a_task_and_its_cost_stands_with_it(tmp_path: Path, upstream: Upstream):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "support.yaml").write_text(CONTRACT)
    (tmp_path / "interlock.yaml").write_text(
        f"tenant: acme\nproviders: {{openai: {{base_url: '{upstream.base_url}', api_key: k}}}}\n"
    )
    async with Interlock.from_file(tmp_path) as il:
        now = SystemClock().wall_ns()
        il._store.write([ran("tsk_1", 10**9, now_ns=now), ran("tsk_2", 10**9, "failed", now_ns=now)])
        judging = il.judging()
        assert judging.wanted
        assert await judging.turn("support") == 1
        assert await judging.turn("support") == 0
        row = il._store.tasks.get("tsk_1")
        totals = il._store.totals()
        (said,) = il.pnl(tenant="acme", workflow="support")
        tasks = il._store.tasks.list(TaskFilter(tenant="acme"))
    assert row is not None
    assert (row.success, row.success_source, row.model_calls) == (False, "judge", 1)
    assert row.cost_nano_usd > 1_000_000
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd == said.cost_nano_usd
    assert (len(tasks), said.tasks, said.succeeded) == (2, 2, 0)
    assert {line.line: line.cost_nano_usd for line in said.lines if line.line == "judges"}["judges"] > 0


@pytest.mark.requirement("OB-05")
async def test_a_seeded_degradation_that_only_sampled_judges_can_see_is_told_with_its_version_and_tasks(tmp_path: Path):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "support.yaml").write_text(CONTRACT.replace("100%", "50%"))
    clock, versions = FakeClock(), [Versions("c1", "p1", "y1", "r1"), Versions("c1", "p2", "y1", "r1")]
    asked = 0
    worse = False

    def judge(_: object) -> Answer:
        nonlocal asked
        asked += 1
        return Answer(
            text=f'{{"success": {"false" if worse and asked % 4 else "true"}, "why": "It invents an order."}}'
        )

    async with Upstream(judge) as vendor:
        (tmp_path / "interlock.yaml").write_text(
            f"tenant: acme\nproviders: {{openai: {{base_url: '{vendor.base_url}', api_key: k}}}}\n"
        )
        async with Interlock(load(tmp_path), clock=clock) as il:
            judging, book = il.judging(), Book()
            for day in range(16):
                worse = day >= 8
                clock.advance(86_400)
                now = clock.wall_ns()
                runs = [ran(f"tsk_{day}_{n}", n * 10**9, now_ns=now, versions=versions[worse]) for n in range(12)]
                await asyncio.to_thread(il.ground.store.write, runs)
                while await judging.turn("support"):
                    pass
            book = await il.alerting().turn(book)
            rows = await asyncio.to_thread(il.ground.store.tasks.list, TaskFilter(tenant="acme", limit=500))

    told = [each.found for each in book.of("acme") if each.found.kind == "change"]
    assert any("success 100 % →" in each.title and "since prompt p2" in each.title for each in told), told
    assert all(int(task.split("_")[1]) >= 8 for task in told[0].tasks)
    judged = [row for row in rows if row.success_source == "judge"]
    assert 0.35 < len(judged) / len(rows) < 0.65, "about the agreed share"
    assert len(judged) == asked


@pytest.mark.parametrize("text", ["", "yes", '{"success": "true"}', "[true]", '{"why": "x"}', "\udcff"])
def test_an_answer_that_is_not_what_was_asked_for_says_nothing(text: str):
    assert opinion_of(text) is None
