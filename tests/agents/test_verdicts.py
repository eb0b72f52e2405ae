"""What makes a resolved task a success, and who has the last word about it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from interlock.agents.contract import Ends
from interlock.agents.verdicts import Verdicts
from interlock.core.chat import ChatRequest, ChatResponse
from interlock.core.errors import InvalidRequest

from .kit import World, contract, make, says, wants


def refund(order: str = "") -> dict[str, Any]:
    """Gives the money back."""
    return {"order": order}


REFUND = make(refund, effect="once")


@pytest.mark.requirement("EC-01")
async def test_a_tool_that_acknowledges_makes_a_success_and_its_absence_none(world: World):
    agents = world.agents(
        contract(REFUND, ends=Ends(tool="refund")),
        [wants(("refund", {"order": "1"})), says("Done."), says("Done, I believe.")],
    )
    done, claimed = [await agents.run("support", {"text": "?"}) for _ in range(2)]
    seen = [(await world.state(each.task)).seen for each in (done, claimed)]
    assert [(each.success, each.source) for each in seen if each] == [(True, "tool"), (False, "tool")]


@pytest.mark.requirement("EC-01")
async def test_a_task_that_took_too_long_is_none(world: World):
    def slow(_request: ChatRequest) -> ChatResponse:
        world.clock.advance(10)
        return says("At last.")

    agents = world.agents(contract(ends=Ends(sla_s=5)), [slow])
    seen = (await world.state((await agents.run("support", {"text": "?"})).task)).seen
    assert seen is not None
    assert (seen.success, seen.source, seen.note) == (False, "sla", "it took 10.0 s, agreed were 5 s")


@pytest.mark.requirement("EC-01")
async def test_words_that_come_at_the_same_moment_are_all_kept_and_the_better_one_counts(world: World):
    agents = world.agents(contract(), [says("Hello.")])
    task = (await agents.run("support", {"text": "?"})).task
    verdicts = Verdicts(world.log, world.clock)
    told = [verdicts.seen(task, success=n % 2 == 0, source="user", who=f"u-{n}") for n in range(3)]
    await asyncio.gather(*told)
    await verdicts.seen(task, success=False, source="person", who="mia")
    with pytest.raises(InvalidRequest, match="person has spoken"):
        await verdicts.seen(task, success=True, source="user", who="u-9")
    records = await world.log.records(task)
    assert sum(each.event.__struct_config__.tag == "outcome_seen" for each in records) == 4
    state = await world.state(task)
    assert state.seen is not None
    assert (state.seen.success, state.seen.note) == (False, "mia")
