"""Ten thousand tasks that wait are rows: a process that would work on them holds nothing for them, and the one that is called goes on."""

import asyncio
import gc
import resource
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from interlock.core.events import Event, Record, Started
from interlock.core.store import TaskFilter
from tests.agents.kit import World, says, wants
from tests.agents.test_waits import waiter

COUNT, PORTION = 10_000, 500
KIB = 1024


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def bytes_of(path: Path) -> int:
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))


async def crowd(world: World, task: str) -> None:
    """As many copies of a task that waits, each under an id and with idempotency keys of its own."""
    records = await world.log.records(task)
    for at in range(0, COUNT - 1, PORTION):
        groups: list[list[Record]] = []
        for n in range(at, min(at + PORTION, COUNT - 1)):
            copy = f"tsk_{n:026d}"
            groups.append([replace(each, task=copy, fence=0, event=of_task(each.event, copy)) for each in records])
        assert not any(world.store.write(groups))
        for group in groups:
            world.store.tasks.release(group[0].task, 0, wake_at_ns=2**62)


def of_task(event: Event, task: str) -> Event:
    return replace(event, caller=replace(event.caller, task=task)) if isinstance(event, Started) else event


@pytest.mark.requirement("AG-11")
async def test_ten_thousand_waiting_tasks_take_a_few_kilobytes_of_disk_each_and_none_of_memory(world: World):
    agents = world.agents(waiter("task.wait"), [wants(("task_wait", {"name": "go"}))])
    first = (await agents.run("support", {"text": "wait"})).task
    small = bytes_of(world.path)
    await crowd(world, first)
    world.store.settle()
    assert len(world.store.tasks.list(TaskFilter(status="waiting", limit=COUNT + 1))) == COUNT
    assert (bytes_of(world.path) - small) / COUNT < 4 * KIB

    before, threads = resident(), threading.active_count()
    working = asyncio.ensure_future(agents.shift().run())
    for _ in range(3):
        assert await agents.work_off() == []
    assert resident() - before < 10 * KIB * KIB, "less than a kilobyte each"
    assert threading.active_count() - threads < 8
    agents.stop()
    await working
    again = world.agents(waiter("task.wait"), [says("Gone.")])
    await again.signal(first, "go", None, who="pat")
    await again.resume(first)
    row = await world.log.get(first)
    assert row is not None
    assert row.outcome == "resolved"
