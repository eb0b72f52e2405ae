"""Timers, signals and child tasks: a task that waits is a row, and what it waited for comes exactly once."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from interlock.agents.builtin import awaits_of, child_tool, waiting_tools
from interlock.agents.contract import Contract, Input
from interlock.agents.service import Agents
from interlock.core.budget import Limits
from interlock.core.caller import Caller, Versions
from interlock.core.chat import ChatRequest, ChatResponse
from interlock.core.errors import InvalidRequest, Shed
from interlock.core.events import Arrived, Started
from interlock.core.ids import SystemIds
from interlock.core.store import TaskFilter
from interlock.ledger import TaskLog
from tests.agents.kit import ScriptedGateway, World, contract, says, wants


def waiter(*names: str, share: float = 0.5, **fields: Any) -> Contract:
    tools = {**waiting_tools(), "agent.research": child_tool("research", {"text": Input()})}
    listed = [tools[name] for name in names]
    return contract(*listed, awaits=awaits_of(dict.fromkeys(names, share)), **fields)


def family(world: World, answers: Any, **fields: Any) -> Agents:
    """`support` may begin `research`, and `research` itself again."""
    world.gateway = ScriptedGateway(world.ledger, world.clock, answers)
    support = waiter("agent.research", **fields)
    research = replace(support, workflow="research", limits=Limits(), model="research")
    return Agents(
        {"support": support, "research": research},
        gateway=world.gateway,
        desk=world.desk,
        journal=world.log,
        clock=world.clock,
        ids=SystemIds(world.clock),
        redact=lambda text: text,
        sleep=world.clock.sleep,
    )


async def children(world: World) -> list[Any]:
    return world.store.tasks.list(TaskFilter(workflow="research", kind="task"))


@pytest.mark.requirement("AG-11")
async def test_a_timer_is_a_row_until_its_time_has_come(world: World):
    agents = world.agents(waiter("task.sleep"), [wants(("task_sleep", {"seconds": 3600})), says("Good morning.")])
    result = await agents.run("support", {"text": "later"})
    assert result.outcome == "waiting"
    row = await world.log.get(result.task)
    assert row is not None
    assert (row.status, row.owner, row.outcome) == ("waiting", "", "")
    assert await agents.work_off() == []
    world.clock.advance(3_599)
    assert await agents.work_off() == []
    world.clock.advance(1)
    [done] = await agents.work_off()
    assert (done.outcome, done.answer) == ("resolved", "Good morning.")
    assert '"waited_s":3600' in world.gateway.requests[1].messages[-1].text


async def test_time_in_a_timer_does_not_count_against_the_tasks_seconds(world: World):
    slow = waiter("task.sleep", limits={"max_seconds": 10.0})
    agents = world.agents(slow, [wants(("task_sleep", {"seconds": 100})), says("Done.")])
    task = (await agents.run("support", {"text": "later"})).task
    world.clock.advance(100)
    result = await agents.resume(task)
    assert result is not None
    assert result.outcome == "resolved"


@pytest.mark.requirement("AG-09")
async def test_a_signal_wakes_the_task_that_waits_for_its_name(world: World):
    agents = world.agents(waiter("task.wait"), [wants(("task_wait", {"name": "paid"})), says("Thanks.")])
    task = (await agents.run("support", {"text": "wait"})).task
    await agents.signal(task, "other", None, who="shop")
    assert [each.outcome for each in await agents.work_off()] == ["waiting"]
    assert await agents.work_off() == []
    assert await agents.signal(task, "paid", {"amount": 5}, who="shop", key="evt_1")
    assert not await agents.signal(task, "paid", {"amount": 5}, who="shop", key="evt_1")
    [done] = await agents.work_off()
    assert done.outcome == "resolved"
    assert '"payload":{"amount":5}' in world.gateway.requests[1].messages[-1].text


async def test_a_signal_that_comes_before_anybody_waits_is_not_lost(world: World):
    agents = world.agents(
        waiter("task.wait", "task.sleep"),
        [wants(("task_sleep", {"seconds": 5})), wants(("task_wait", {"name": "paid"})), says("Thanks.")],
    )
    task = (await agents.run("support", {"text": "wait"})).task
    await agents.signal(task, "paid", 7, who="shop")
    await agents.work_off()
    world.clock.advance(5)
    [done] = await agents.work_off()
    assert done.outcome == "resolved"
    arrived = [r.event for r in await world.log.records(task) if isinstance(r.event, Arrived)]
    assert [each.by for each in arrived] == ["timer", "signal"]


async def test_a_signal_that_never_comes_is_an_answer_the_model_can_act_on(world: World):
    agents = world.agents(
        waiter("task.wait"), [wants(("task_wait", {"name": "paid", "timeout_s": 60})), says("No money.")]
    )
    task = (await agents.run("support", {"text": "wait"})).task
    world.clock.advance(61)
    [done] = await agents.work_off()
    assert (done.task, done.outcome) == (task, "resolved")
    assert '"code":"timeout"' in world.gateway.requests[1].messages[-1].text


async def test_arguments_that_do_not_fit_are_refused_by_the_tool_and_nothing_waits(world: World):
    agents = world.agents(waiter("task.sleep"), [wants(("task_sleep", {"seconds": -1})), says("Then not.")])
    result = await agents.run("support", {"text": "later"})
    assert result.outcome == "resolved"
    assert "seconds" in world.gateway.requests[1].messages[-1].text


@pytest.mark.requirement("AG-14")
async def test_a_task_begins_another_and_goes_on_with_its_answer(world: World):
    agents = family(world, [wants(("agent_research", {"text": "deep"})), says("Found it."), says("It says: found it.")])
    result = await agents.run("support", {"text": "ask somebody"}, priority=3)
    assert (result.outcome, result.answer) == ("resolved", "It says: found it.")
    [child] = await children(world)
    assert (child.outcome, child.workflow) == ("resolved", "research")
    assert '"answer":"Found it."' in world.gateway.requests[2].messages[-1].text
    started = (await world.state(child.id)).started
    assert started is not None
    assert (started.parent, started.depth, started.priority) == (result.task, 1, 3)


async def test_a_child_worked_on_by_another_process_wakes_its_parent(world: World):
    agents = family(world, [wants(("agent_research", {"text": "deep"})), says("Found it."), says("Thanks.")])
    task, _ = await agents.submit("support", {"text": "x"}, caller=Caller("acme"))
    assert [each.outcome for each in await agents.work_off()] == ["waiting"]
    [child] = await agents.work_off()
    assert child.answer == "Found it."
    row = await world.log.get(task)
    assert row is not None
    assert row.outcome == "resolved"


async def test_a_child_is_begun_again_by_whoever_takes_the_parent_over_and_only_once(world: World):
    """The worker dies between the word that a child is to be begun and its beginning."""
    agents = family(world, [wants(("agent_research", {"text": "deep"})), says("Found it."), says("Thanks.")])

    async def dies(*_: object) -> int:
        raise KeyboardInterrupt

    begin, agents._children._begin = agents._children._begin, dies
    task, _ = await agents.submit("support", {"text": "x"}, caller=Caller("acme"))
    with pytest.raises(KeyboardInterrupt):
        await agents.resume(task)
    assert await children(world) == []
    agents._children._begin = begin
    assert [each.outcome for each in await agents.work_off()] == ["waiting"]
    assert len(await children(world)) == 1
    await agents.work_off()
    row = await world.log.get(task)
    assert row is not None
    assert row.outcome == "resolved"


@pytest.mark.requirement("AG-03")
async def test_a_child_has_a_share_of_its_parents_budget_and_what_it_used_is_gone(world: World):
    agents = family(
        world,
        [wants(("agent_research", {"text": "deep"})), says("Found it."), says("Thanks.")],
        limits={"max_cost_nano_usd": 10_000, "max_model_calls": 5},
    )
    result = await agents.run("support", {"text": "x"})
    [child] = await children(world)
    started = (await world.state(child.id)).started
    assert started is not None
    assert started.limits is not None
    assert (started.limits.max_cost_nano_usd, started.limits.max_model_calls) == (4_500, 2)
    spent = (await world.state(result.task)).spent
    assert (spent.cost_nano_usd, spent.model_calls) == (3_000, 3)
    row = await world.log.get(result.task)
    assert row is not None
    assert row.cost_nano_usd == 2_000, "the ledger has each call once"


async def test_a_child_that_runs_out_of_its_share_ends_and_its_parent_hears_why(world: World):
    agents = family(
        world,
        [wants(("agent_research", {"text": "deep"})), says("never asked")],
        limits={"max_cost_nano_usd": 2_500},
        share=0.1,
    )
    result = await agents.run("support", {"text": "x"})
    [child] = await children(world)
    assert child.outcome == "limit_reached"
    assert result.outcome == "resolved"
    assert '"code":"limit_reached"' in world.gateway.requests[-1].messages[-1].text


@pytest.mark.requirement("AG-03")
async def test_tasks_below_tasks_end_at_the_depth_that_the_first_contract_says(world: World):
    deeper = [wants(("agent_research", {"text": "deep"})) for _ in range(3)]
    agents = family(world, [*deeper, says("told"), says("told")], limits={"max_depth": 2})
    result = await agents.run("support", {"text": "x"})
    found = await children(world)
    depths = {(await world.state(each.id)).started.depth: each for each in found}  # pyright: ignore[reportOptionalMemberAccess]
    assert sorted(depths) == [1, 2]
    assert (depths[2].outcome, depths[2].error) == ("limit_reached", "max_depth")
    assert result.outcome == "resolved"


@pytest.mark.requirement("OB-06")
async def test_a_cascade_of_tasks_that_each_begin_another_is_warned_and_then_stopped(world: World):
    deeper = [wants(("agent_research", {"text": "deep"})) for _ in range(9)]
    agents = family(world, [*deeper, *(says("told") for _ in range(9))], limits={"max_depth": 20})
    await agents.run("support", {"text": "x"})
    by_depth: dict[int, Any] = {}
    for each in await children(world):
        state = await world.state(each.id)
        assert state.started is not None
        by_depth[state.started.depth] = each

    assert max(by_depth) == 6, "nothing is begun below the task that was stopped"
    assert by_depth[6].error == "anomaly_depth"
    assert by_depth[6].message.startswith("6 tasks stand above this one; stopped at 6")
    assert {by_depth[depth].outcome for depth in range(1, 6)} == {"resolved"}
    asked = [message.text for request in world.gateway.requests for message in request.messages]
    assert any("begin no further ones" in text for text in asked)


async def test_a_cancelled_parent_ends_its_children(world: World):
    agents = family(world, [wants(("agent_research", {"text": "deep"}))])
    task, _ = await agents.submit("support", {"text": "x"}, caller=Caller("acme"))
    await agents.resume(task)
    await agents.cancel(task, who="pat")
    await agents.resume(task)
    [child] = await children(world)
    await agents.work_off()
    assert [(row.outcome, row.status) for row in await children(world)] == [("cancelled", "finished")], child


@pytest.mark.requirement("AG-09")
async def test_a_paused_task_makes_no_step_until_it_goes_on(world: World):
    agents = world.agents(waiter("task.sleep"), [wants(("task_sleep", {"seconds": 5})), says("Done.")])
    task = (await agents.run("support", {"text": "later"})).task
    await agents.pause(task, who="pat")
    await agents.work_off()
    row = await world.log.get(task)
    assert row is not None
    assert row.status == "paused"
    world.clock.advance(60)
    assert await agents.work_off() == []
    await agents.unpause(task, who="pat")
    [done] = await agents.work_off()
    assert done.outcome == "resolved"
    notes = [(n.name, n.reason) for n in (await world.state(task)).notes if "paus" in n.name]
    assert notes == [("paused", "by pat"), ("unpaused", "by pat")]


@pytest.mark.requirement("AG-09")
async def test_a_task_at_work_hears_of_its_end_before_its_next_step(world: World):
    agents = world.agents(waiter("task.sleep"))
    task, _ = await agents.submit("support", {"text": "x"}, caller=Caller("acme"))
    cancelling: list[Any] = []

    def cancels(_: ChatRequest) -> ChatResponse:
        cancelling.append(asyncio.ensure_future(agents.cancel(task, who="pat")))
        return wants(("nothing", {}))

    async def answered(*given: Any, **fields: Any) -> Any:
        reply = await chat(*given, **fields)
        await asyncio.gather(*cancelling)
        return reply

    chat, world.gateway.chat = world.gateway.chat, answered
    world.gateway.answers.extend([cancels, says("never")])
    result = await agents.resume(task)
    assert result is not None
    assert (result.outcome, len(world.gateway.requests)) == ("cancelled", 1)


class Listened(TaskLog):
    """Says when somebody at work has been told that something came in."""

    def __init__(self, world: World, told: asyncio.Event) -> None:
        super().__init__(world.ledger, world.store, world.clock, lease_s=3600)
        self.told = told

    async def called(self, tasks: Sequence[str]) -> list[str]:
        found = await super().called(tasks)
        if found:
            asyncio.get_running_loop().call_soon(self.told.set)
        return found


@pytest.mark.requirement("AG-09")
@pytest.mark.parametrize(("word", "status"), [("cancel", "finished"), ("pause", "paused")])
async def test_a_task_at_work_hears_of_a_word_through_another_process_before_its_next_step(
    world: World, word: str, status: str
):
    told = asyncio.Event()
    world.log = Listened(world, told)
    agents = world.agents(waiter("task.sleep"))
    task, _ = await agents.submit("support", {"text": "x"}, caller=Caller("acme"))
    of_another_process = Agents(
        {},
        gateway=world.gateway,
        desk=world.desk,
        journal=TaskLog(world.ledger, world.store, world.clock),
        clock=world.clock,
        ids=SystemIds(world.clock),
        redact=str,
    )

    async def answered(*given: Any, **fields: Any) -> Any:
        reply = await chat(*given, **fields)
        await getattr(of_another_process, word)(task, who="pat")
        async with asyncio.timeout(60):
            await told.wait()
        return reply

    chat, world.gateway.chat = world.gateway.chat, answered
    world.gateway.answers.extend([wants(("nothing", {})), says("never")])
    await agents.resume(task)
    row = await world.log.get(task)
    assert row is not None
    assert (row.status, row.model_calls, row.tool_calls) == (status, 1, 0)


@pytest.mark.parametrize(
    ("policy", "outcome", "why"),
    [
        ("migrate", "resolved", "its log is read under the new one"),
        ("fail", "failed", "says that this ends it"),
        ("pin", "failed", "the one that it began with is not kept"),
    ],
)
async def test_a_contract_that_has_changed_is_never_another_one_in_silence(
    world: World, policy: Any, outcome: str, why: str
):
    agents = world.agents(waiter("task.sleep"), [wants(("task_sleep", {"seconds": 5}))])
    task = (await agents.run("support", {"text": "later"})).task
    world.clock.advance(6)
    anew = world.agents(waiter("task.sleep", versions=Versions(contract="c2"), when_changed=policy), [says("Done.")])
    result = await anew.resume(task)
    assert result is not None
    assert result.outcome == outcome
    assert any(why in note.reason for note in (await world.state(task)).notes)


async def test_a_task_let_go_by_a_process_that_ends_is_due_at_once_wherever_it_waits(world: World):
    agents = family(world, [wants(("agent_research", {"text": "deep"}))])
    task, _ = await agents.submit("support", {"text": "x"}, caller=Caller("acme"))
    agents.stop()
    with pytest.raises(Shed):
        await agents.resume(task)
    anew = family(world, [wants(("agent_research", {"text": "deep"})), says("Found it."), says("Thanks.")])
    assert [each.outcome for each in await anew.work_off()] == ["waiting"]
    assert [each.outcome for each in await anew.work_off()] == ["resolved"]


@pytest.mark.parametrize("name", ["", "x" * 201])
async def test_a_signal_needs_a_name(world: World, name: str):
    agents = world.agents(waiter("task.wait"), [wants(("task_wait", {"name": "paid"}))])
    task = (await agents.run("support", {"text": "x"})).task
    with pytest.raises(InvalidRequest):
        await agents.signal(task, name, None, who="x")


async def test_a_replay_of_a_task_that_waited_decides_the_same(world: World):
    agents = family(world, [wants(("agent_research", {"text": "deep"})), says("Found it."), says("Thanks.")])
    result = await agents.run("support", {"text": "x"})
    [child] = await children(world)
    for task in (result.task, child.id):
        again = await agents.again.replay(task)
        assert again.divergences == ()
    assert isinstance((await world.log.records(child.id))[0].event, Started)
