"""Listening beside the leases: a word that something has come in is followed by a look at once."""

import asyncio
from collections.abc import Sequence

import pytest

from interlock.agents import lease
from interlock.agents.lease import Leases
from interlock.ledger import TaskLog
from tests.agents.kit import World


class Asked(TaskLog):
    """Says for which tasks it was asked, and that one of them was called."""

    def __init__(self, world: World) -> None:
        super().__init__(world.ledger, world.store, world.clock, lease_s=3600)
        self.asked: list[list[str]] = []

    async def called(self, tasks: Sequence[str]) -> list[str]:
        self.asked.append([*tasks])
        return [*tasks][:1]


@pytest.mark.requirement("AG-09")
async def test_a_word_of_another_process_is_looked_after_at_once_for_all_tasks_at_work(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lease, "LOOK_S", 3600.0)
    log, heard = Asked(world), asyncio.Queue[str]()
    leases = Leases(log, heard.put_nowait)
    leases.hold("t1")
    leases.hold("t2")
    leases.look()
    async with asyncio.timeout(60):
        assert await heard.get() == "t1"
    assert log.asked == [["t1", "t2"]]
    leases.drop("t1")
    leases.drop("t2")
