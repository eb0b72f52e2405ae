"""Schedules: each instant is one task, however many processes look, and what was missed is made up for once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interlock.app.schedules import Schedules
from interlock.config.load import load
from interlock.config.schedules import Schedule
from interlock.core.errors import ConfigError
from interlock.core.events import Started
from interlock.core.store import TaskFilter
from interlock.ledger import Beside
from tests.agents.kit import World, contract, says


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.close()


def schedules(world: World, *listed: Schedule) -> Schedules:
    agents = world.agents(contract(), [says("Report.")] * 9)
    return Schedules(listed, "acme", agents, Beside(world.ledger, world.store, world.clock), world.clock)


HOURLY = Schedule.model_validate(
    {
        "name": "report",
        "workflow": "support",
        "every_s": 3600,
        "input": {"text": "report"},
        "user": "ops",
        "priority": 4,
        "lock": "report",
    }
)


@pytest.mark.requirement("AG-14")
async def test_each_instant_begins_one_task_in_however_many_processes(world: World):
    one, other = schedules(world, HOURLY), schedules(world, HOURLY)
    for each in (one, other):
        await each.look(HOURLY)
    assert world.store.tasks.list(TaskFilter()) == []
    world.clock.advance(3600)
    for each in (one, other, one):
        await each.look(HOURLY)
    [task] = world.store.tasks.list(TaskFilter())
    assert (task.workflow, task.user, task.status) == ("support", "ops", "running")
    begun = world.store.records(task.id)[0].event
    assert isinstance(begun, Started)
    assert (begun.priority, begun.lock) == (4, "report")
    [standing] = await one.standings()
    assert standing.last < standing.next


async def test_what_fell_due_while_nothing_ran_is_made_up_for_once(world: World):
    looking = schedules(world, HOURLY)
    await looking.look(HOURLY)
    world.clock.advance(10 * 3600)
    wait_s = await looking.look(HOURLY)
    await looking.look(HOURLY)
    assert len(world.store.tasks.list(TaskFilter())) == 1
    assert 0 < wait_s <= 3600


def test_a_schedule_names_an_agent_and_a_time_that_comes(tmp_path: Path):
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "report.yaml").write_text("agent: {name: report}\n")
    (tmp_path / "interlock.yaml").write_text(
        "schedules:\n  - {name: a, workflow: reprot, cron: '0 7 * * *'}\n  - {name: a, workflow: report, every_s: 60}\n"
    )
    with pytest.raises(ConfigError) as told:
        load(tmp_path)
    assert [fault.message for fault in told.value.faults] == ["no agent 'reprot'", "another schedule is called 'a'"]
    (tmp_path / "interlock.yaml").write_text("schedules: [{name: a, workflow: report, cron: '0 7 30 2 *'}]\n")
    with pytest.raises(ConfigError, match="no such day"):
        load(tmp_path)
