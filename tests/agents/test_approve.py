"""Approvals: a person decides before a tool runs; the wait is a row, and a changed call is a new question."""

from typing import Any

import pytest

from interlock.agents.contract import Contract
from interlock.config.conditions import parse_condition
from interlock.core.errors import InvalidRequest, ToolArgumentsInvalid
from interlock.core.events import ApprovalDecided
from interlock.core.store import Signal
from tests.agents.kit import World, contract, make, says, wants


class Till:
    """A tool that remembers what it paid."""

    def __init__(self) -> None:
        self.paid: list[float] = []

    def pay(self, amount: float) -> str:
        self.paid.append(amount)
        return "paid"


@pytest.fixture
def till() -> Till:
    return Till()


def asks_first(till: Till, rule: Any = True, **fields: Any) -> Contract:
    return contract(make(till.pay, name="pay", effect="idempotent"), approvals={"pay": rule}, **fields)


async def waits(world: World, till: Till, amount: float = 80.0, **fields: Any):
    agents = world.agents(asks_first(till, **fields), [wants(("pay", {"amount": amount})), says("Done.")])
    result = await agents.run("support", {"text": "pay me"})
    assert (result.outcome, till.paid) == ("waiting_approval", [])
    [question] = await agents.questions(result.task)
    return agents, result.task, question


@pytest.mark.requirement("AG-06")
async def test_an_approved_call_runs_once_and_the_task_goes_on(world: World, till: Till):
    agents, task, question = await waits(world, till)
    assert (question.tool, question.arguments, question.why) == (
        "pay",
        {"amount": 80.0},
        "requires_human_approval: true",
    )
    assert await agents.work_off() == []
    await agents.decide(task, question.step, "approve", who="pat", note="fine")
    [result] = await agents.work_off()
    assert (result.outcome, till.paid) == ("resolved", [80.0])
    decided = [r.event for r in await world.log.records(task) if isinstance(r.event, ApprovalDecided)]
    assert [(d.decision, d.who, d.note) for d in decided] == [("approve", "pat", "fine")]


@pytest.mark.requirement("AG-06")
async def test_a_waiting_task_survives_a_restart_and_holds_nothing_in_memory(world: World, till: Till):
    _, task, question = await waits(world, till)
    row = await world.log.get(task)
    assert row is not None
    assert (row.status, row.outcome, row.owner) == ("waiting", "waiting_approval", "")
    anew = world.agents(asks_first(till), [says("Done.")])
    await anew.decide(task, question.step, "approve", who="pat")
    result = await anew.resume(task)
    assert result is not None
    assert (result.outcome, till.paid) == ("resolved", [80.0])


async def test_an_edited_call_runs_as_edited_and_the_model_is_told(world: World, till: Till):
    agents, task, question = await waits(world, till)
    await agents.decide(task, question.step, "edit", who="pat", arguments={"amount": 20.0})
    result = await agents.resume(task)
    assert result is not None
    assert till.paid == [20.0]
    assert '"changed_by_a_person":{"arguments":{"amount":20.0}' in world.gateway.requests[1].messages[-1].text


async def test_an_edit_that_the_tool_would_refuse_is_refused_at_once(world: World, till: Till):
    agents, task, question = await waits(world, till)
    with pytest.raises(ToolArgumentsInvalid, match="amount"):
        await agents.decide(task, question.step, "edit", who="pat", arguments={"amount": "much"})
    with pytest.raises(InvalidRequest, match="asks for no approval at step 99"):
        await agents.decide(task, 99, "approve", who="pat")


async def test_a_denied_call_never_runs_and_the_task_says_who_denied_it(world: World, till: Till):
    agents, task, question = await waits(world, till)
    await agents.decide(task, question.step, "deny", who="pat")
    result = await agents.resume(task)
    assert result is not None
    assert (result.outcome, till.paid, result.error) == ("denied", [], "approval_denied: pay: deny by pat")


@pytest.mark.requirement("AG-06")
@pytest.mark.parametrize(("on_expiry", "outcome", "paid"), [("deny", "denied", []), ("approve", "resolved", [80.0])])
async def test_a_question_that_nobody_answers_is_decided_by_the_clock(
    world: World, till: Till, on_expiry: Any, outcome: str, paid: list[float]
):
    agents, task, question = await waits(world, till, approval_expires_s=60.0, approval_on_expiry=on_expiry)
    world.clock.advance(61)
    await world.log.signal(
        Signal(
            task, "late", "approval", {"step": question.step, "decision": "deny", "who": "pat"}, world.clock.wall_ns()
        )
    )
    [result] = await agents.work_off()
    assert (result.outcome, till.paid) == (outcome, paid)
    assert any(note.name == "signal_ignored" for note in (await world.state(task)).notes)


@pytest.mark.parametrize(("amount", "asked"), [(50.0, False), (50.01, True)])
async def test_a_condition_over_the_arguments_decides_whether_to_ask(
    world: World, till: Till, amount: float, asked: bool
):
    rule = parse_condition("amount > 50")
    agents = world.agents(asks_first(till, rule), [wants(("pay", {"amount": amount})), says("Done.")])
    result = await agents.run("support", {"text": "pay me"})
    assert (result.outcome == "waiting_approval") is asked


async def test_a_condition_that_cannot_be_decided_asks(world: World, till: Till):
    rule = parse_condition("country == 'DE'")
    agents = world.agents(asks_first(till, rule), [wants(("pay", {"amount": 1.0}))])
    assert (await agents.run("support", {"text": "pay me"})).outcome == "waiting_approval"


async def test_nobody_is_asked_about_arguments_that_the_tool_would_refuse(world: World, till: Till):
    agents = world.agents(asks_first(till), [wants(("pay", {"amount": "x"})), says("Sorry.")])
    assert (await agents.run("support", {"text": "pay me"})).outcome == "resolved"


async def test_a_changed_call_needs_a_new_decision(world: World, till: Till):
    answers = [wants(("pay", {"amount": 80.0})), wants(("pay", {"amount": 800.0})), says("Done.")]
    agents = world.agents(asks_first(till), answers)
    first = await agents.run("support", {"text": "pay me"})
    [question] = await agents.questions(first.task)
    await agents.decide(first.task, question.step, "approve", who="pat")
    second = await agents.resume(first.task)
    assert second is not None
    assert (second.outcome, till.paid) == ("waiting_approval", [80.0])
    [other] = await agents.questions(first.task)
    assert other.arguments == {"amount": 800.0}
    assert other.arguments_hash != question.arguments_hash


async def test_a_decision_on_other_arguments_than_those_asked_about_counts_for_nothing(world: World, till: Till):
    agents, task, question = await waits(world, till)
    payload = {"step": question.step, "decision": "approve", "who": "pat", "arguments_hash": "0" * 16}
    await world.log.signal(Signal(task, "forged", "approval", payload))
    result = await agents.resume(task)
    assert result is not None
    assert (result.outcome, till.paid) == ("waiting_approval", [])


async def test_calls_beside_the_question_run_while_it_waits(world: World, till: Till):
    ran: list[int] = []

    def count(n: int) -> int:
        ran.append(n)
        return n

    tools = (make(till.pay, name="pay", effect="idempotent"), make(count, effect="none"))
    asked = wants(("pay", {"amount": 80.0}), ("count", {"n": 1}))
    agents = world.agents(contract(*tools, approvals={"pay": True}), [asked, says("Done.")])
    result = await agents.run("support", {"text": "go"})
    assert (result.outcome, ran, till.paid) == ("waiting_approval", [1], [])
    [question] = await agents.questions(result.task)
    await agents.decide(result.task, question.step, "approve", who="pat")
    done = await agents.resume(result.task)
    assert done is not None
    assert (done.outcome, ran, till.paid) == ("resolved", [1], [80.0])


@pytest.mark.requirement("AG-06")
async def test_a_question_that_two_people_answer_is_answered_once_and_the_other_one_stays_open(
    world: World, till: Till
):
    both = wants(("pay", {"amount": 80.0}), ("pay", {"amount": 90.0}))
    agents = world.agents(asks_first(till), [both, says("Done.")])
    task = (await agents.run("support", {"text": "pay me"})).task
    one, two = await agents.questions(task)
    for who in ("pat", "mia"):
        await agents.decide(task, one.step, "approve", who=who)
    await agents.resume(task)
    row = await world.log.get(task)
    assert row is not None
    assert (row.status, row.outcome) == ("waiting", "waiting_approval"), "lists show that somebody is still asked"
    await agents.decide(task, two.step, "approve", who="pat")
    [result] = await agents.work_off()
    assert (result.outcome, till.paid) == ("resolved", [80.0, 90.0])
