"""A task's seconds are shared out to tasks that it begins, and what those worked is gone from its own."""

from collections.abc import Callable

import pytest

from interlock.core.chat import ChatRequest, ChatResponse
from tests.agents.kit import World, says, wants
from tests.agents.test_waits import children, family

pytestmark = pytest.mark.requirement("AG-03")


def after(world: World, seconds: float, said: ChatResponse) -> Callable[[ChatRequest], ChatResponse]:
    """The model takes its time to say it."""

    def saying(_: ChatRequest) -> ChatResponse:
        world.clock.advance(seconds)
        return said

    return saying


async def given(world: World) -> list[float | None]:
    """What each child may work, in the order in which they were begun."""
    rows = sorted(await children(world), key=lambda row: row.created_ns)
    started = [(await world.state(row.id)).started for row in rows]
    return [each.limits.max_seconds for each in started if each is not None and each.limits is not None]


async def test_each_child_may_work_for_its_share_of_the_seconds_that_are_left_after_those_before_it(world: World):
    one = ("agent_research", {"text": "deep"})
    agents = family(
        world,
        [
            after(world, 10, wants(one)),
            after(world, 20, says("Found it.")),
            after(world, 10, wants(one)),
            after(world, 5, says("Found more.")),
            says("Thanks."),
        ],
        limits={"max_seconds": 100.0},
    )
    result = await agents.run("support", {"text": "x"})

    assert result.outcome == "resolved"
    assert await given(world) == [45.0, 30.0], "half of 100 - 10, then half of 100 - 10 - 20 - 10"


async def test_children_begun_at_once_share_what_the_ones_before_them_leave(world: World):
    one = ("agent_research", {"text": "deep"})
    agents = family(
        world,
        [wants(one, one), says("Found it."), says("Found it, too."), says("Thanks.")],
        limits={"max_seconds": 100.0},
    )
    await agents.run("support", {"text": "x"})

    assert sorted(await given(world), key=str) == [25.0, 50.0]


async def test_a_child_that_uses_up_its_seconds_ends_and_one_without_a_limit_above_it_has_none(world: World):
    long = after(world, 60, wants(("nothing", {})))
    agents = family(
        world,
        [wants(("agent_research", {"text": "deep"})), long, says("Not in time.")],
        limits={"max_seconds": 100.0},
    )
    result = await agents.run("support", {"text": "x"})
    [child] = await children(world)

    assert (child.outcome, child.error) == ("limit_reached", "max_seconds")
    assert (result.outcome, result.answer) == ("resolved", "Not in time.")
    free = family(world, [wants(("agent_research", {"text": "deep"})), says("Found."), says("Thanks.")])
    await free.run("support", {"text": "x"})
    assert (await given(world))[-1] is None


async def test_what_children_worked_counts_when_the_parents_own_time_is_looked_at(world: World):
    agents = family(
        world,
        [
            after(world, 60, wants(("agent_research", {"text": "deep"}))),
            after(world, 15, says("Found it.")),
            after(world, 30, wants(("agent_research", {"text": "deep"}))),
            says("never asked"),
        ],
        limits={"max_seconds": 100.0},
    )
    result = await agents.run("support", {"text": "x"})

    assert result.outcome == "limit_reached"
    assert "105.0 used" in str(result.error)
