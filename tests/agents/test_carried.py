"""A task carried by another durable engine: legs are its steps; what it runs again after a crash repeats nothing."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from interlock.agents.carried import carry
from interlock.agents.contract import Contract
from interlock.agents.service import Agents
from interlock.core.caller import Caller
from interlock.core.store import TaskFilter
from tests.agents.kit import World, contract, make, says, wants


class Died(BaseException):
    """The engine's process."""


class Recorded:
    """An engine as they are: steps that had ended are given again, the one that died is performed again."""

    def __init__(self, clock: Any, woken: Callable[[], Awaitable[object]]) -> None:
        self.known: dict[tuple[str, str], dict[str, Any]] = {}
        self.clock, self.woken, self.waits = clock, woken, list[float]()
        self.dies_after = ""

    async def step(self, name: str, key: str, perform: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        if (name, key) not in self.known:
            told = await perform()
            if self.dies_after == name:
                self.dies_after = ""
                raise Died
            self.known[name, key] = told
        return self.known[name, key]

    async def wait(self, key: str, seconds: float) -> None:
        self.waits.append(seconds)
        await self.woken()


@pytest.fixture
def paid() -> list[float]:
    return []


def payer(paid: list[float]) -> Contract:
    def pay(amount: float) -> str:
        paid.append(amount)
        return "paid"

    return contract(make(pay, effect="once"), approvals={"pay": True})


async def answered(world: World, agents: Agents) -> None:
    [row] = world.store.tasks.list(TaskFilter())
    for question in await agents.questions(row.id):
        await agents.decide(row.id, question.step, "approve", who="pat")


@pytest.mark.requirement("AG-11")
@pytest.mark.parametrize("dies_after", ["", "begin", "leg"])
async def test_an_engine_that_dies_between_a_step_and_its_record_begins_and_pays_once(
    world: World, paid: list[float], dies_after: str
):
    agents = world.agents(payer(paid), [wants(("pay", {"amount": 5.0})), says("Done.")])
    engine = Recorded(world.clock, lambda: answered(world, agents))
    engine.dies_after = dies_after

    async def work() -> dict[str, Any]:
        return await carry(
            agents, engine, world.clock, "support", {"text": "pay"}, caller=Caller("acme"), key="order-1"
        )

    if dies_after:
        with pytest.raises(Died):
            await work()
    result = await work()
    assert (result["outcome"], result["answer"], paid) == ("resolved", "Done.", [5.0])
    assert await work() == result, "run again, everything is recorded"
    assert len(world.store.tasks.list(TaskFilter())) == 1
    assert 0 < engine.waits[0] <= 3_600


async def test_dbos_carries_a_task_through_its_approval(world: World, paid: list[float], tmp_path: Path):
    """Runs where the package `dbos` is installed."""
    dbos = pytest.importorskip("dbos")
    from interlock.plugins.engines.dbos import TOPIC, build

    agents = world.agents(payer(paid), [wants(("pay", {"amount": 5.0})), says("Done.")])
    sqlite3.connect(tmp_path / "dbos.db").execute("PRAGMA journal_mode = WAL").close()
    url = f"sqlite:///{tmp_path / 'dbos.db'}"
    dbos.DBOS(config={"name": "interlock", "system_database_url": url, "log_level": "ERROR"})

    @dbos.DBOS.workflow()
    async def support(key: str) -> dict[str, Any]:
        return await carry(agents, build(), world.clock, "support", {"text": "pay"}, caller=Caller("acme"), key=key)

    dbos.DBOS.launch()
    try:
        handle = await dbos.DBOS.start_workflow_async(support, "order-1")
        async with asyncio.timeout(60):
            while not [row for row in world.store.tasks.list(TaskFilter()) if row.status == "waiting"]:
                await asyncio.sleep(0.05)
        await answered(world, agents)
        await dbos.DBOS.send_async(handle.get_workflow_id(), None, TOPIC)
        async with asyncio.timeout(60):
            result = await handle.get_result()
        steps = await dbos.DBOS.list_workflow_steps_async(handle.get_workflow_id())
    finally:
        dbos.DBOS.destroy()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())  # it ended the loop's own
    assert (result["outcome"], paid) == ("resolved", [5.0])
    assert [each["function_name"].split(":")[0] for each in steps if "interlock." in each["function_name"]] == [
        "interlock.begin",
        "interlock.leg",
        "interlock.leg",
    ]
