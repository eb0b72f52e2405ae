"""Replay decides the same from the log alone; a fork goes on from a step under other terms and changes nothing outside."""

from typing import Any

import pytest
from msgspec.structs import replace

from interlock.agents.builtin import awaits_of, child_tool
from interlock.agents.contract import Input
from interlock.agents.replay import replay
from interlock.core.budget import Limits
from interlock.core.caller import Versions
from interlock.core.errors import InvalidRequest
from interlock.core.store import TaskFilter
from interlock.tools.define import Tool
from tests.agents.kit import World, contract, make, says, wants
from tests.agents.test_compensate import Trip, one_by_one, turns

DONE: list[str] = []


def look(order_id: str) -> dict[str, str]:
    """Looks."""
    return {"id": order_id}


def pay(order_id: str) -> str:
    """Pays."""
    DONE.append(order_id)
    return f"paid {order_id}"


LOOK, PAY = make(look, effect="none"), make(pay, effect="once")


@pytest.fixture(autouse=True)
def clean() -> None:
    DONE.clear()


def terms(*tools: Tool, **fields: Any):
    return contract(*tools, **fields)


async def ran(world: World, *answers: Any, **fields: Any):
    """A finished task under a contract, with the agents that ran it."""
    made = terms(LOOK, PAY, **fields)
    agents = world.agents(made, answers)
    return agents, made, await agents.run("support", {"text": "pay A1"})


@pytest.mark.requirement("AG-08")
async def test_a_replay_decides_every_step_the_same_and_calls_nothing(world: World):
    agents, _, result = await ran(
        world, wants(("look", {"order_id": "A1"})), wants(("pay", {"order_id": "A1"})), says("done")
    )
    before = len(DONE), len(world.gateway.requests)

    found = await agents.again.replay(result.task)

    assert found.identical
    assert found.decisions >= 6
    assert (len(DONE), len(world.gateway.requests)) == before
    assert not found.contract_changed


@pytest.mark.requirement("AG-08")
async def test_a_changed_record_is_named_with_what_would_stand_there(world: World):
    _, made, result = await ran(world, wants(("look", {"order_id": "A1"})), says("done"))
    records = await world.log.records(result.task)
    place = next(at for at, record in enumerate(records) if record.event.__class__.__name__ == "Finished")
    forged = [*records[:place], replace(records[place], content={"answer": "something else"}), *records[place + 1 :]]

    found = replay(forged, made)

    assert [each.step for each in found.divergences] == [records[place].seq]
    assert found.divergences[0].recorded != found.divergences[0].decided
    assert "something else" in str(found.divergences[0].recorded)


async def test_every_beginning_of_a_log_replays(world: World):
    _, made, result = await ran(world, wants(("look", {"order_id": "A1"}), ("pay", {"order_id": "A1"})), says("done"))
    records = await world.log.records(result.task)

    assert all(replay(records[:end], made).identical for end in range(1, len(records) + 1))


async def test_another_contract_is_said_and_its_other_decisions_are_named(world: World):
    _, made, result = await ran(
        world, wants(("look", {"order_id": "A1"})), wants(("pay", {"order_id": "A1"})), says("done")
    )
    records = await world.log.records(result.task)

    found = replay(records, replace(made, approvals={"pay": True}, versions=Versions(contract="c2")))

    assert found.contract_changed
    assert "approval_asked" in str(found.divergences[0].decided)


@pytest.mark.requirement("AG-08")
async def test_a_fork_goes_on_under_another_prompt_and_pays_nobody(world: World):
    agents, _, result = await ran(
        world, wants(("look", {"order_id": "A1"})), wants(("pay", {"order_id": "A1"})), says("done")
    )
    records = await world.log.records(result.task)
    second = next(
        record.seq
        for record in records
        if record.event.__class__.__name__ == "Intended" and getattr(record.event, "name", "") == "pay"
    )
    world.gateway.answers.extend([wants(("pay", {"order_id": "B2"})), says("done otherwise")])

    fork = await agents.again.fork(result.task, second, lambda c: replace(c, prompt="Be brief."))

    forked = await world.log.records(fork.task)
    assert DONE == ["A1"]
    assert fork.answer == "done otherwise"
    assert fork.cost_nano_usd <= result.cost_nano_usd
    assert world.gateway.requests[-1].messages[0].text == "Be brief."
    assert any("held_back" in str(record.content) for record in forked)
    assert any("paid A1" in str(record.content) for record in forked)
    row = await world.log.get(fork.task)
    assert row is not None
    assert row.workflow == "support~fork"
    assert (await agents.again.replay(result.task)).identical


@pytest.mark.requirement("AG-08")
async def test_a_fork_that_fails_undoes_nothing_of_what_the_original_did(world: World):
    trip = Trip()
    agents = world.agents(one_by_one(trip), [*turns("flight"), says("done")])
    result = await agents.run("support", {"text": "Rome"})
    booked = [each.seq for each in await world.log.records(result.task) if getattr(each.event, "kind", "") == "tool"]
    world.gateway.answers.extend([says(""), says("")])

    fork = await agents.again.fork(result.task, booked[-1] + 1, lambda c: c)

    assert fork.outcome == "failed"
    assert any("held_back" in str(record.content) for record in await world.log.records(fork.task))
    assert trip.log == ["+flight"]


@pytest.mark.requirement("AG-08")
async def test_a_fork_begins_no_task_that_would_have_effects_of_its_own(world: World):
    support = contract(child_tool("research", {"text": Input()}), awaits=awaits_of({"agent.research": 0.5}))
    agents = world.agents(support, [says("nothing to do")])
    result = await agents.run("support", {"text": "pay A1"})
    world.gateway.answers.extend([wants(("agent_research", {"text": "pay A1"})), says("told it so")])

    fork = await agents.again.fork(result.task, 1, lambda c: c)

    assert (fork.outcome, fork.answer) == ("resolved", "told it so")
    assert "trial run" in world.gateway.requests[-1].messages[-1].text
    assert world.store.tasks.list(TaskFilter(workflow="research")) == []


async def test_a_fork_keeps_what_was_said_as_its_contract_says(world: World):
    agents, _, result = await ran(world, says("done"), store_prompts="redacted")
    agents._parts = replace(agents._parts, redact=lambda text: text.replace("mia", "[name]"))
    world.gateway.answers.append(says("mia says hello"))

    fork = await agents.again.fork(result.task, 1, lambda c: c)

    assert fork.answer == "mia says hello"
    assert "mia" not in str([each.content for each in await world.log.records(fork.task)])


async def test_with_effects_a_fork_really_calls(world: World):
    agents, _, result = await ran(world, wants(("pay", {"order_id": "A1"})), says("done"))
    world.gateway.answers.extend([wants(("pay", {"order_id": "C3"})), says("done")])

    await agents.again.fork(result.task, 1, lambda c: c, effects=True)

    assert DONE == ["A1", "C3"]


async def test_what_a_person_decided_on_the_same_call_holds_in_the_fork(world: World):
    made = terms(LOOK, PAY, approvals={"pay": True})
    agents = world.agents(made, [wants(("pay", {"order_id": "A1"})), says("done")])
    waiting = await agents.run("support", {"text": "pay A1"})
    (question,) = await agents.questions(waiting.task)
    await agents.decide(waiting.task, question.step, "approve", who="mia")
    await agents.resume(waiting.task)
    world.gateway.answers.extend([wants(("pay", {"order_id": "A1"})), says("again")])

    fork = await agents.again.fork(waiting.task, 1, lambda c: c)

    assert fork.answer == "again"
    assert DONE == ["A1"]


async def test_there_is_nothing_to_fork_in_the_middle_of_a_call(world: World):
    agents, _, result = await ran(world, wants(("look", {"order_id": "A1"})), says("done"))

    for at in (0, 2, 99):
        with pytest.raises(InvalidRequest):
            await agents.again.fork(result.task, at, lambda c: c)


@pytest.mark.requirement("AG-08")
async def test_a_replay_finds_one_changed_word_of_a_prompt(world: World):
    agents = world.agents(contract(), [says("Hello.")])
    task = (await agents.run("support", {"text": "hi"})).task
    same = await agents.again.replay(task)
    other = await world.agents(contract(prompt="You answer tickets!")).again.replay(task)
    assert (same.identical, same.prompts, same.prompts_unread) == (True, 1, 0)
    assert not other.identical
    assert other.divergences[0].step == 1


@pytest.mark.requirement("AG-08")
async def test_where_texts_were_redacted_words_are_counted_as_unread_and_the_rest_is_compared(world: World):
    agents = world.agents(contract(store_prompts="redacted"), [says("Hello.")])
    agents._parts = replace(agents._parts, redact=lambda text: text.replace("hi", "[name]"))
    task = (await agents.run("support", {"text": "hi"})).task
    found = await agents.again.replay(task)
    assert (found.identical, found.prompts, found.prompts_unread) == (True, 0, 1)


@pytest.mark.parametrize("kept", ["redacted", "full"])
async def test_a_decision_that_comes_out_otherwise_is_told_with_word_of_redacted_texts(world: World, kept: Any):
    made = contract(store_prompts=kept)
    task = (await world.agents(made, [says("Hello.")]).run("support", {"text": "hi"})).task
    found = replay(await world.log.records(task), replace(made, limits=Limits(max_model_calls=0)))
    assert (found.identical, found.content_missing) == (False, kept == "redacted")


@pytest.mark.requirement("AG-08")
async def test_time_that_has_passed_since_counts_towards_no_limit_of_a_fork(world: World):
    agents, _, result = await ran(
        world, wants(("look", {"order_id": "A1"})), says("done"), limits={"max_seconds": 30.0}
    )
    world.clock.advance(86_400)
    world.gateway.answers.extend([says("done otherwise")])

    fork = await agents.again.fork(result.task, 5, lambda c: c)

    row = await world.log.get(fork.task)
    assert row is not None
    assert (fork.outcome, fork.answer) == ("resolved", "done otherwise")
    assert world.clock.wall_ns() - row.created_ns < 30 * 10**9
