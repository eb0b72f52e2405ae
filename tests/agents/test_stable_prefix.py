"""What stays the same stands first in an agent's requests, so that vendors' prompt caches go on fitting from step to step and task to task."""

from __future__ import annotations

import itertools

import pytest

from tests.agents.kit import World, contract, make, says, wants


def count(n: int = 0) -> int:
    """Counts."""
    return n


COUNT = make(count, effect="none")


@pytest.mark.requirement("GW-21")
async def test_each_step_of_a_task_begins_with_all_of_the_one_before(world: World) -> None:
    steps = [wants(("count", {"n": n}), text=f"thinking {n}") for n in range(4)]
    agents = world.agents(contract(COUNT), [*steps, says("Four.")])
    result = await agents.run("support", {"text": "count"})
    assert result.outcome == "resolved"
    asked = world.gateway.requests
    assert len(asked) == 5
    for before, after in itertools.pairwise(asked):
        assert after.messages[: len(before.messages)] == before.messages
        assert len(after.messages) > len(before.messages)
        assert after.tools == before.tools


@pytest.mark.requirement("GW-21")
async def test_tasks_of_one_contract_begin_alike_and_what_is_their_own_comes_last(world: World) -> None:
    agents = world.agents(contract(COUNT), [says("One."), says("Two.")])
    await agents.run("support", {"text": "first question"})
    await agents.run("support", {"text": "second question"})
    one, two = (each.messages for each in world.gateway.requests)
    assert len(one) == len(two) >= 2
    assert one[:-1] == two[:-1], "instructions and what else the contract says"
    assert "first question" in one[-1].text
    assert "second question" in two[-1].text
    assert world.gateway.requests[0].tools == world.gateway.requests[1].tools
