"""Limits end a task before the call that would exceed them, typed, and with what there is so far."""

from typing import Any

import pytest

from interlock.core.budget import Limits
from interlock.observe.anomaly import Terms
from interlock.tools.call import Grant
from tests.agents.kit import World, contract, make, says, wants

CALLS: list[int] = []


def count(n: int = 0) -> int:
    """Counts."""
    return n


COUNT = make(count, effect="none")
ENDLESS = [wants(("count", {"n": n}), text=f"thinking {n}") for n in range(50)]


@pytest.mark.requirement("AG-03", "GW-16")
@pytest.mark.parametrize(
    ("limit", "value", "steps"),
    [
        ("max_steps", 4, 4),
        ("max_model_calls", 2, 4),
        ("max_tool_calls", 2, 5),
        ("max_input_tokens", 250, 4),
        ("max_output_tokens", 50, 6),
        ("max_cost_nano_usd", 2_500, 4),
    ],
)
async def test_each_limit_ends_the_task_with_what_there_is(world: World, limit: str, value: int, steps: int):
    agents = world.agents(contract(COUNT, limits={limit: value}), ENDLESS)
    result = await agents.run("support", {"text": "count"})
    assert result.outcome == "limit_reached"
    assert result.error is not None
    assert result.error.startswith(f"{limit}: {limit} would be exceeded")
    assert result.steps == steps
    state = await world.state(result.task)
    assert str(result.answer).startswith("thinking")
    assert state.answer["partial"]["tools"][0] == {"tool": "count", "arguments": {"n": 0}, "step": 4, "result": 0}
    spent = {f"max_{name}": getattr(state.spent, name) for name in state.spent.__struct_fields__}
    assert spent[limit] <= value


@pytest.mark.requirement("AG-03", "GW-16")
async def test_seconds_end_a_task_too(world: World):
    def slow(n: int = 0) -> int:
        world.clock.advance(4)
        return n

    agents = world.agents(contract(make(slow, name="count", effect="none"), limits={"max_seconds": 10.0}), ENDLESS)
    result = await agents.run("support", {"text": "count"})
    assert (result.outcome, result.steps) == ("limit_reached", 6)
    assert result.error is not None
    assert result.error.startswith("max_seconds")


async def test_time_spent_waiting_for_a_person_does_not_count(world: World):
    agents = world.agents(
        contract(COUNT, limits={"max_seconds": 10.0}, approvals={"count": True}), [ENDLESS[0], says("Done.")]
    )
    waiting = await agents.run("support", {"text": "count"})
    world.clock.advance(3_600)
    [question] = await agents.questions(waiting.task)
    await agents.decide(waiting.task, question.step, "approve", who="pat")
    result = await agents.resume(waiting.task)
    assert result is not None
    assert result.outcome == "resolved"


async def test_time_in_which_no_worker_had_the_task_does_not_count(world: World):
    agents = world.agents(contract(COUNT, limits={"max_seconds": 10.0}), [says("Done.")])
    agents.stop()
    with pytest.raises(Exception, match="the process is ending"):
        await agents.run("support", {"text": "count"})
    world.clock.advance(3_600)
    [row] = await world.log.runnable()
    result = await world.agents(contract(COUNT, limits={"max_seconds": 10.0}), [says("Done.")]).resume(row.id)
    assert result is not None
    assert result.outcome == "resolved"


@pytest.mark.requirement("AG-03")
async def test_a_tool_may_be_called_only_so_often(world: World):
    granted: Any = {"count": Grant(COUNT, max_calls=2)}
    result = await world.agents(contract(grants=granted), ENDLESS).run("support", {"text": "count"})
    assert result.error is not None
    assert result.error.startswith("tools.count.max_calls")
    assert (await world.state(result.task)).spent.tool_calls == 2


async def test_a_turn_that_asks_for_more_calls_than_are_left_runs_none_of_them(world: World):
    asked = wants(*[("count", {"n": n}) for n in range(4)])
    result = await world.agents(contract(COUNT, limits={"max_tool_calls": 3}), [asked]).run(
        "support", {"text": "count"}
    )
    assert (result.outcome, result.steps) == ("limit_reached", 1)


async def test_limits_that_are_not_reached_change_nothing(world: World):
    limits = Limits(max_steps=2, max_model_calls=1, max_output_tokens=20)
    agents = world.agents(
        contract(limits={"max_steps": limits.max_steps, "max_model_calls": 1, "max_output_tokens": 20}), [says("Hi.")]
    )
    result = await agents.run("support", {"text": "hello"})
    assert result.outcome == "resolved"
    assert world.gateway.requests[0].max_output_tokens == 20


async def test_without_any_limit_a_model_that_never_ends_is_stopped(world: World):
    unwatched = contract(COUNT, anomalies=Terms(then="warn"))
    result = await world.agents(unwatched, [ENDLESS[0]] * 60).run("support", {"text": "count"})
    assert (result.outcome, result.steps) == ("limit_reached", 100)
