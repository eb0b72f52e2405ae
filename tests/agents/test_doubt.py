"""In doubt: what a crash, a timeout or an error from the middle of a tool leaves open is settled as the tool's effect says."""

import asyncio
from typing import Any

import pytest

from interlock.core.caller import Caller, Versions
from interlock.core.errors import InvalidRequest
from interlock.core.events import Intended, Record, Settled, Started, Status
from interlock.tools.define import ToolContext
from tests.agents.kit import World, contract, make, says, wants


class Bank:
    """A tool whose calls are counted by key, and which may break in the middle."""

    def __init__(self, breaks: int = 0) -> None:
        self.breaks = breaks
        self.keys: list[str] = []

    def pay(self, amount: int, ctx: ToolContext) -> str:
        self.keys.append(ctx.idempotency_key)
        if self.breaks:
            self.breaks -= 1
            raise ConnectionError("the line went dead")
        return f"paid {amount}"

    def was_paid(self, amount: int, ctx: ToolContext) -> str | None:
        return f"paid {amount}" if ctx.idempotency_key in self.keys else None


async def crashed_task(world: World, effect: Any, status: Status | None = "crashed", name: str = "pay") -> str:
    """The log of a task whose worker died while `pay` ran; `status` None: not even the flight journal knew of it."""
    at_ns = world.clock.wall_ns()
    caller = Caller("acme", workflow="support", task="tsk_1")

    def record(seq: int, event: Any, content: Any = None) -> Record:
        return Record("tsk_1", seq, "acme", at_ns, event, content)

    fence = await world.log.begin(
        record(0, Started("support", caller, Versions(contract="c1")), {"input": {"text": "pay"}})
    )
    said = {"response": {"text": "", "tool_calls": [{"id": "c1", "name": name, "arguments": '{"amount": 5}'}]}}
    records = [
        record(1, Intended(2, "model", "support", "tsk_1:2")),
        record(2, Settled("m", "model", "support", caller, "ok", at_ns), said),
        record(3, Intended(4, "tool", name, "tsk_1:4", effect, tool_call_id="c1"), {"arguments": {"amount": 5}}),
    ]
    if status:
        records.append(record(4, Settled("t", "tool", name, caller, status, at_ns)))
    await world.log.append(records)
    await world.log.release("tsk_1", fence, wake_at_ns=0)
    return "tsk_1"


@pytest.mark.requirement("AG-05")
@pytest.mark.parametrize("status", ["crashed", "client_gone", None])
@pytest.mark.parametrize("effect", ["none", "idempotent"])
async def test_a_harmless_call_is_made_again_with_the_same_key(world: World, effect: Any, status: Any):
    bank = Bank()
    agents = world.agents(contract(make(bank.pay, name="pay", effect=effect)), [says("Done.")])
    result = await agents.resume(await crashed_task(world, effect, status))
    assert result is not None
    assert (result.outcome, bank.keys) == ("resolved", ["tsk_1:4"])


@pytest.mark.requirement("AG-05")
@pytest.mark.parametrize(("had_happened", "calls"), [(True, ["tsk_1:4"]), (False, ["tsk_1:4"])])
async def test_a_tool_that_can_tell_is_asked_before_it_is_called_again(
    world: World, had_happened: bool, calls: list[str]
):
    bank = Bank()
    if had_happened:
        bank.keys.append("tsk_1:4")
    tool = make(bank.pay, name="pay", effect="reconcile", reconcile=bank.was_paid)
    agents = world.agents(contract(tool), [says("Done.")])
    result = await agents.resume(await crashed_task(world, "reconcile"))
    assert result is not None
    assert (result.outcome, bank.keys) == ("resolved", calls)
    settled = (await world.state("tsk_1")).actions[1].settled
    assert settled is not None
    assert settled.reasons == (f"asked the tool: it had {'' if had_happened else 'not '}happened",)


@pytest.mark.requirement("AG-05")
@pytest.mark.parametrize(
    ("decision", "keys", "told"),
    [
        ("done", [], '"result":"receipt 7"'),
        ("redo", ["tsk_1:4"], '"result":"paid 5"'),
        ("skip", [], '"code":"skipped"'),
    ],
)
async def test_what_must_not_be_repeated_is_put_to_a_person(world: World, decision: Any, keys: list[str], told: str):
    bank = Bank()
    agents = world.agents(contract(make(bank.pay, name="pay", effect="once")), [says("Done.")])
    waiting = await agents.resume(await crashed_task(world, "once"))
    assert waiting is not None
    assert (waiting.outcome, bank.keys) == ("waiting_approval", [])
    row = await world.log.get("tsk_1")
    assert row is not None
    assert row.status == "in_doubt"
    [question] = await agents.questions("tsk_1")
    assert (question.kind, question.tool, question.arguments) == ("doubt", "pay", {"amount": 5})
    await agents.decide("tsk_1", question.step, decision, who="pat", result="receipt 7")
    [result] = await agents.work_off()
    assert (result.outcome, bank.keys) == ("resolved", keys)
    assert told in world.gateway.requests[0].messages[-1].text


async def test_an_error_from_the_middle_of_a_tool_is_a_doubt_only_where_it_matters(world: World):
    cases: list[tuple[Any, str]] = [("none", "resolved"), ("idempotent", "resolved"), ("once", "waiting_approval")]
    for effect, outcome in cases:
        bank = Bank(breaks=1)
        agents = world.agents(
            contract(make(bank.pay, name="pay", effect=effect)), [wants(("pay", {"amount": 5})), says("Done.")]
        )
        assert (await agents.run("support", {"text": "pay"})).outcome == outcome


async def test_a_timeout_of_a_tool_that_can_tell_asks_it(world: World):
    bank = Bank(breaks=1)
    tool = make(bank.pay, name="pay", effect="reconcile", reconcile=bank.was_paid)
    agents = world.agents(contract(tool), [wants(("pay", {"amount": 5})), says("Done.")])
    result = await agents.run("support", {"text": "pay"})
    assert (result.outcome, len(bank.keys)) == ("resolved", 1)


async def test_a_tool_that_cannot_say_what_happened_is_put_to_a_person_in_the_end(world: World):
    def silent(amount: int) -> str:
        raise ConnectionError("no line")

    bank = Bank(breaks=9)
    tool = make(bank.pay, name="pay", effect="reconcile", reconcile=silent)
    agents = world.agents(contract(tool), [wants(("pay", {"amount": 5}))])
    result = await agents.run("support", {"text": "pay"})
    assert (result.outcome, len(bank.keys)) == ("waiting_approval", 1)
    [question] = await agents.questions(result.task)
    assert question.kind == "doubt"


async def test_a_call_that_keeps_taking_its_process_down_is_put_to_a_person(world: World):
    await crashed_task(world, "idempotent", None)
    caller = Caller("acme", workflow="support", task="tsk_1")
    at_ns = world.clock.wall_ns()
    again = [
        Record(
            "tsk_1",
            3 + 2 * n,
            "acme",
            at_ns,
            Intended(4 + 2 * n, "tool", "pay", "tsk_1:4", "idempotent", tool_call_id="c1"),
        )
        for n in range(1, 20)
    ]
    await world.log.append(again)
    agents = world.agents(contract(make(Bank().pay, name="pay", effect="idempotent")))
    result = await agents.resume("tsk_1")
    assert result is not None
    assert result.outcome == "waiting_approval"
    assert caller.task == "tsk_1"


async def test_a_model_call_that_a_crash_cut_off_is_made_again_and_counts_twice(world: World):
    at_ns = world.clock.wall_ns()
    caller = Caller("acme", workflow="support", task="tsk_1")
    fence = await world.log.begin(
        Record("tsk_1", 0, "acme", at_ns, Started("support", caller, Versions()), {"input": {"text": "x"}})
    )
    cut = Settled("m", "model", "support", caller, "crashed", at_ns, cost_nano_usd=700)
    await world.log.append(
        [
            Record("tsk_1", 1, "acme", at_ns, Intended(2, "model", "support", "tsk_1:2")),
            Record("tsk_1", 2, "acme", at_ns, cut),
        ]
    )
    await world.log.release("tsk_1", fence, wake_at_ns=0)
    result = await world.agents(contract(), [says("Hello.")]).resume("tsk_1")
    assert result is not None
    assert (result.outcome, result.cost_nano_usd) == ("resolved", 1_700)
    state = await world.state("tsk_1")
    assert (state.spent.model_calls, [a.tries for a in state.actions]) == (2, [2])
    await asyncio.sleep(0)


@pytest.mark.requirement("AG-03")
async def test_a_call_that_a_crash_cut_off_counts_against_the_limits(world: World):
    at_ns = world.clock.wall_ns()
    caller = Caller("acme", workflow="support", task="tsk_1")
    started = Record("tsk_1", 0, "acme", at_ns, Started("support", caller, Versions()), {"input": {"text": "x"}})
    fence = await world.log.begin(started)
    cut = Settled("m", "model", "support", caller, "crashed", at_ns, cost_nano_usd=700)
    await world.log.append(
        [
            Record("tsk_1", 1, "acme", at_ns, Intended(2, "model", "support", "tsk_1:2")),
            Record("tsk_1", 2, "acme", at_ns, cut),
        ]
    )
    await world.log.release("tsk_1", fence, wake_at_ns=0)
    result = await world.agents(contract(limits={"max_model_calls": 1}), [says("Hello.")]).resume("tsk_1")
    assert result is not None
    assert (result.outcome, result.cost_nano_usd) == ("limit_reached", 700)


@pytest.mark.requirement("AG-05", "AG-07")
async def test_a_person_may_have_a_call_in_doubt_undone(world: World):
    bank, undone = Bank(), list[int]()

    def refund(amount: int) -> str:
        undone.append(amount)
        return "refunded"

    pay = make(bank.pay, name="pay", effect="once", reversible_by="refund")
    terms = contract(pay, undo=[make(refund, effect="idempotent")])
    agents = world.agents(terms, [says("It was undone.")])
    await agents.resume(await crashed_task(world, "once"))
    [question] = await agents.questions("tsk_1")
    assert any("idempotency key tsk_1:4" in line for line in question.card)
    assert any("crashed" in line for line in question.card)
    await agents.decide("tsk_1", question.step, "compensate", who="pat")
    [result] = await agents.work_off()
    assert (result.outcome, bank.keys, undone) == ("resolved", [], [5])
    assert '"code":"undone"' in world.gateway.requests[0].messages[-1].text


async def test_nothing_can_be_undone_that_no_tool_undoes(world: World):
    agents = world.agents(contract(make(Bank().pay, name="pay", effect="once")))
    await agents.resume(await crashed_task(world, "once"))
    [question] = await agents.questions("tsk_1")
    with pytest.raises(InvalidRequest, match="nothing undoes pay"):
        await agents.decide("tsk_1", question.step, "compensate", who="pat")
