"""Steps that somebody else's code makes, in our log: run again after a crash, it makes none twice."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from interlock.agents.steps import LoggedSteps, logged_steps
from interlock.core.errors import Fenced, InvalidRequest
from interlock.core.ids import SystemIds
from interlock.core.steps import StepInDoubt
from interlock.core.store import TaskFilter
from tests.agents.kit import World


class Died(BaseException):
    """The process."""


def steps_of(world: World, key: str = "order-1") -> Any:
    ids = SystemIds(world.clock)
    return logged_steps(world.log, world.clock, ids, tenant="acme", workflow="refunds", key=key)


class Work:
    """Looks up, pays twice side by side, and posts; dies before or after the `fatal`-th call that is made."""

    def __init__(self) -> None:
        self.calls, self.keys = Counter[str](), dict[str, set[str]]()
        self.fatal, self.after = 0, False

    async def run(self, steps: LoggedSteps) -> dict[str, Any]:
        order = await steps.step("look", lambda key: self._called("look", key), effect="none")
        paid = await asyncio.gather(
            steps.step("pay", lambda key: self._called("pay-1", key), effect="idempotent", arguments={"part": 1}),
            steps.step("pay", lambda key: self._called("pay-2", key), effect="idempotent", arguments={"part": 2}),
        )
        return {"order": order, "paid": paid, "posted": await steps.step("post", lambda key: self._called("post", key))}

    async def _called(self, name: str, key: str) -> str:
        self.keys.setdefault(name, set()).add(key)
        dies = self.calls.total() + 1 == self.fatal
        if dies and not self.after:
            raise Died
        self.calls[name] += 1
        if dies:
            raise Died
        return f"{name} done"


async def lived(world: World, work: Work) -> dict[str, Any]:
    async with steps_of(world) as steps:
        return await work.run(steps)


@pytest.mark.requirement("AG-04", "AG-11")
@pytest.mark.parametrize("fatal", [1, 2, 3])
async def test_code_that_died_and_runs_again_is_given_what_it_had_done(world: World, fatal: int):
    work = Work()
    work.fatal = fatal
    with pytest.raises(Died):
        await lived(world, work)
    work.fatal = 0
    done = await lived(world, work)
    assert done == {"order": "look done", "paid": ["pay-1 done", "pay-2 done"], "posted": "post done"}
    assert set(work.calls.values()) == {1}
    assert all(len(keys) == 1 for keys in work.keys.values()), "a step that is tried again has its first key"
    assert await lived(world, work) == done, "over: all of it is given again"
    assert work.calls.total() == 4
    [row] = world.store.tasks.list(TaskFilter())
    assert (row.workflow, row.outcome, row.tool_calls) == ("refunds", "resolved", 4)


@pytest.mark.requirement("AG-05")
@pytest.mark.parametrize("happened", [True, False])
async def test_a_step_that_must_not_be_repeated_waits_for_somebody_who_knows(world: World, happened: bool):
    work = Work()
    work.fatal, work.after = 4, happened
    with pytest.raises(Died):
        await lived(world, work)
    work.fatal = 0
    for _ in range(2):
        with pytest.raises(StepInDoubt, match="nobody knows whether it happened"):
            await lived(world, work)
    [row] = world.store.tasks.list(TaskFilter())
    assert row.status == "in_doubt"
    async with steps_of(world) as steps:
        with pytest.raises(InvalidRequest, match="in no doubt"):
            await steps.settle(1, done=True, who="pat")
        [doubted] = [a.step for a in (await _state(world)).actions if a.doubted]
        await steps.settle(doubted, done=happened, who="pat", result="seen in the books")
        done = await work.run(steps)
    assert done["posted"] == ("seen in the books" if happened else "post done")
    assert work.calls["post"] == 1


async def _state(world: World) -> Any:
    from interlock.agents.state import fold

    [row] = world.store.tasks.list(TaskFilter())
    return fold(await world.log.records(row.id))


async def test_an_error_is_recorded_and_tried_again_by_the_next_run(world: World):
    tries = 0

    async def flaky(_key: str) -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("away")
        return "there"

    async def run() -> Any:
        async with steps_of(world) as steps:
            return await steps.step("ask", flaky)

    with pytest.raises(OSError, match="away"):
        await run()
    assert (await run(), await run(), tries) == ("there", "there", 2)


async def test_one_process_has_a_task_and_code_that_has_changed_is_told(world: World):
    async with steps_of(world) as steps:
        await steps.step("a", _nothing)
        with pytest.raises(Fenced, match="another process"):
            async with steps_of(world):
                pass
    async with steps_of(world) as steps:
        with pytest.raises(InvalidRequest, match="none of those that it made"):
            await steps.step("b", _nothing)


async def _nothing(_key: str) -> None: ...
