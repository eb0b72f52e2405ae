"""Deterministic agents: the same words get the same answer, or the difference is noted."""

from typing import Any

import pytest

from interlock.agents.repeat import ANSWER_DIFFERS
from interlock.agents.replay import replay
from interlock.agents.state import fold
from interlock.ledger import Beside
from tests.agents.kit import World, contract, make, says, wants


def look(order: str) -> str:
    return f"{order} is on its way"


async def noted(world: World, made: Any, *answers: Any) -> list[str]:
    """What one more task says of its answers; it replays the same."""
    agents = world.agents(made, answers)
    beside = Beside(world.ledger, world.store, world.clock)

    async def answered(tenant: str, key: str, text: str) -> str:
        return await beside.first_text(tenant, "answered", key, text)

    agents.answered = answered
    result = await agents.run("support", {"text": "Where is A1?"})
    records = await world.log.records(result.task)
    assert result.outcome == "resolved"
    assert replay(records, made).identical
    return [note.reason for note in fold(records).notes if note.name == ANSWER_DIFFERS]


@pytest.mark.requirement("AG-12")
async def test_the_same_words_that_are_answered_otherwise_are_named(world: World):
    made = contract(make(look, effect="none"), seed=7)
    asked = wants(("look", {"order": "A1"}))
    assert await noted(world, made, asked, says("On its way.")) == []
    assert [(each.temperature, each.seed) for each in world.gateway.requests] == [(0.0, 7)] * 2

    again = wants(("look", {"order": "A1"}), ids=["another-id-of-the-vendor"])
    assert await noted(world, made, again, says("On its way.")) == []

    [other] = await noted(world, made, asked, says("It is coming."))
    assert "answered by" in other
    assert "otherwise than step 6 of tsk_" in other


async def test_an_agent_that_is_not_deterministic_is_asked_as_ever(world: World):
    made = contract(make(look, effect="none"))
    assert await noted(world, made, says("On its way.")) == []
    assert await noted(world, made, says("It is coming.")) == []
    assert (world.gateway.requests[0].temperature, world.gateway.requests[0].seed) == (None, None)
