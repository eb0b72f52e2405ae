"""The model loop: tools at the same time, schema on our side, and ends that say what they are."""

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from interlock.agents.shift import Terms
from interlock.config.jsonschema import Validator
from interlock.core.caller import Versions
from interlock.core.chat import OutputSchema
from interlock.core.errors import Fenced, InvalidRequest, LedgerFull, Shed, ToolError
from interlock.ledger import TaskLog
from tests.agents.kit import NO_MODEL, World, contract, make, says, wants


def look_up(order_id: str) -> dict[str, Any]:
    """Finds an order."""
    if order_id == "none":
        raise ToolError("not_found", "no such order", hint="Ask for the number.")
    return {"id": order_id, "total": 12.5}


LOOK_UP = make(look_up, name="orders.get", effect="none")
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "confidence": {"type": "number"}, "citations": {"type": "array"}},
    "required": ["answer"],
    "additionalProperties": False,
}
WITH_SCHEMA: dict[str, Any] = {"output_schema": OutputSchema("Reply", SCHEMA), "output_checker": Validator(SCHEMA)}


async def test_a_task_calls_a_tool_and_answers(world: World):
    agents = world.agents(contract(LOOK_UP), [wants(("orders.get", {"order_id": "A1"})), says("It is on its way.")])
    result = await agents.run("support", {"text": "where is A1"})
    assert (result.outcome, result.answer, result.tier) == ("resolved", "It is on its way.", "small")
    assert (result.steps, result.cost_nano_usd, result.error) == (3, 2_000, None)
    told = world.gateway.requests[1].messages[-1]
    assert (told.role, json.loads(told.text)) == ("tool", {"result": {"id": "A1", "total": 12.5}})
    row = await world.log.get(result.task)
    assert row is not None
    assert (row.status, row.outcome, row.cost_nano_usd) == ("finished", "resolved", 2_000)


@pytest.mark.requirement("AG-02")
async def test_tools_of_one_turn_run_at_the_same_time_and_each_answer_reaches_its_call(world: World):
    together = asyncio.Barrier(3)

    async def meet(n: int) -> int:
        await together.wait()
        return n * 10

    asked = wants(*[("meet", {"n": n}) for n in range(3)])
    agents = world.agents(contract(make(meet, effect="none")), [asked, says("done")])
    result = await agents.run("support", {"text": "go"})
    assert result.outcome == "resolved"
    told = [
        (m.tool_call_id, json.loads(m.text)["result"]) for m in world.gateway.requests[1].messages if m.role == "tool"
    ]
    assert told == [("call_0", 0), ("call_1", 10), ("call_2", 20)]


async def test_calls_whose_ids_a_model_repeats_are_kept_apart(world: World):
    asked = wants(("orders.get", {"order_id": "A"}), ("orders.get", {"order_id": "B"}), ids=("x", "x"))
    agents = world.agents(contract(LOOK_UP), [asked, asked, says("done")])
    result = await agents.run("support", {"text": "go"})
    assert result.steps == 7
    told = [json.loads(m.text)["result"]["id"] for m in world.gateway.requests[2].messages if m.role == "tool"]
    assert told == ["A", "B", "A", "B"]


async def test_a_refused_or_failed_call_tells_the_model_what_it_may_do_instead(world: World):
    asked = wants(("orders.get", {"order_id": "none"}), ("orders.get", "{broken"), ("payments.steal", {}))
    agents = world.agents(contract(LOOK_UP), [asked, says("I cannot find it.")])
    result = await agents.run("support", {"text": "go"})
    told = [json.loads(m.text)["error"] for m in world.gateway.requests[1].messages if m.role == "tool"]
    assert [t["code"] for t in told] == ["not_found", "invalid_arguments", "unknown_tool"]
    assert [t["hint"] for t in told] == [
        "Ask for the number.",
        "Correct these and call again.",
        "Available: orders.get.",
    ]
    assert result.outcome == "resolved"


async def test_an_answer_against_the_schema_gets_one_request_to_mend_it(world: World):
    agents = world.agents(
        contract(**WITH_SCHEMA), [says({"reply": "x"}), says({"answer": "ok", "confidence": 0.8, "citations": ["a"]})]
    )
    result = await agents.run("support", {"text": "go"})
    assert (result.outcome, result.answer, result.confidence, result.citations) == ("resolved", "ok", 0.8, ("a",))
    mend = world.gateway.requests[1].messages[-1]
    assert mend.role == "user"
    assert "answer" in mend.text
    assert (await world.state(result.task)).note("schema_violation") is not None


async def test_a_second_violation_fails_the_task_with_the_faults(world: World):
    agents = world.agents(contract(**WITH_SCHEMA), [says("no json"), says({"answer": 3})])
    result = await agents.run("support", {"text": "go"})
    assert result.outcome == "failed"
    assert result.error is not None
    assert result.error.startswith("output_schema_violation")


async def test_a_simulated_answer_is_never_a_success(world: World):
    agents = world.agents(contract(), [says("pretend", simulated=True)])
    result = await agents.run("support", {"text": "go"}, expected={"contains": ["pretend"]})
    assert (result.outcome, result.cost_nano_usd) == ("simulated", 0)
    seen = (await world.state(result.task)).seen
    assert seen is not None
    assert not seen.success


async def test_without_people_in_the_contract_a_model_that_cannot_answer_fails_the_task(world: World):
    result = await world.agents(contract(), [NO_MODEL]).run("support", {"text": "go"})
    assert (result.outcome, result.steps) == ("failed", 1)
    assert result.error is not None
    assert "all_candidates_failed" in result.error


async def test_an_input_that_does_not_fit_writes_nothing_and_names_every_fault(world: World):
    agents = world.agents(contract(), [])
    with pytest.raises(InvalidRequest, match=r"text is missing \(there is 'txet'\)"):
        await agents.run("support", {"txet": "go"})
    assert await world.log.runnable() == []


async def test_what_an_input_line_expected_is_scored_after_the_fact(world: World):
    agents = world.agents(contract(), [says("Refunds take 5 days.")] * 2)
    right = await agents.run("support", {"text": "go"}, expected={"outcome": "resolved", "contains": ["5 days"]})
    wrong = await agents.run("support", {"text": "go"}, expected={"contains": ["7 days"]})
    seen = [(await world.state(result.task)).seen for result in (right, wrong)]
    assert [s and s.success for s in seen] == [True, False]
    assert "7 days" in (seen[1].note if seen[1] else "")


async def test_content_is_redacted_once_the_task_is_over(world: World):
    agents = world.agents(contract(store_prompts="none"), [says("secret")])
    result = await agents.run("support", {"text": "my secret"})
    assert result.answer == "secret"
    assert all(not record.content for record in await world.log.records(result.task))


async def test_a_call_that_the_gateway_has_no_room_for_is_made_again(world: World):
    agents = world.agents(
        contract(), [Shed("full", retry_after_s=0.0), Shed("full", retry_after_s=0.0), says("Hello.")]
    )
    result = await agents.run("support", {"text": "go"})
    assert (result.outcome, len(world.gateway.requests)) == ("resolved", 3)


async def test_a_worker_that_lost_its_task_writes_nothing_more(world: World):
    """The lease runs out while a tool hangs; another worker finishes the task; the first one's records are refused."""
    began, go_on = asyncio.Event(), asyncio.Event()

    async def wait(first: bool = True) -> str:
        began.set()
        await go_on.wait()
        return "late"

    declared = contract(make(wait, effect="idempotent"))
    slow = world.agents(declared, [wants(("wait", {}))])
    running = asyncio.ensure_future(slow.run("support", {"text": "go"}))
    await began.wait()
    [row] = [row for row in await world.log.unfinished() if row.owner]
    world.clock.advance(60)
    other = TaskLog(world.ledger, world.store, world.clock, owner="elsewhere:1:2:3")
    fence = await other.claim(row.id)
    assert fence == row.fence + 1
    go_on.set()
    with pytest.raises(Fenced):
        await running
    names = [record.event.__class__.__name__ for record in await world.log.records(row.id)]
    assert names == ["Started", "Intended", "Settled", "Intended"]


async def test_leases_are_renewed_while_a_task_is_worked_on(world: World):
    renewed: list[list[str]] = []
    beats = asyncio.Event()

    class Watching(TaskLog):
        async def renew(self, tasks: Any) -> list[str]:
            renewed.append(list(tasks))
            beats.set()
            return await super().renew(tasks)

    async def wait() -> str:
        await beats.wait()
        return "ok"

    world.log = Watching(world.ledger, world.store, world.clock, lease_s=0.03)
    agents = world.agents(contract(make(wait, effect="none")), [wants(("wait", {})), says("Done.")])
    result = await agents.run("support", {"text": "go"})
    assert result.outcome == "resolved"
    assert renewed[0] == [result.task]


async def test_models_see_names_that_every_vendor_takes_and_may_answer_with_them(world: World):
    twin = make(lambda: "twin", name="orders_get", effect="none")
    agents = world.agents(
        contract(LOOK_UP, twin), [wants(("orders_get", {"order_id": "A1"}), ("orders_get_1", {})), says("Done.")]
    )
    result = await agents.run("support", {"text": "go"})
    assert [tool.name for tool in world.gateway.requests[0].tools] == ["orders_get", "orders_get_1"]
    assert [action.name for action in (await world.state(result.task)).actions if action.kind == "tool"] == [
        "orders.get",
        "orders_get",
    ]
    again = world.gateway.requests[1].messages
    assert [call.name for message in again for call in message.tool_calls] == ["orders_get", "orders_get_1"]


async def test_a_task_whose_run_was_cancelled_can_be_taken_up_at_once(world: World):
    began = asyncio.Event()

    async def hang(first: bool = True) -> str:
        if began.is_set():
            return "second time"
        began.set()
        await asyncio.Event().wait()
        return "never"

    declared = contract(make(hang, effect="idempotent"))
    running = asyncio.ensure_future(world.agents(declared, [wants(("hang", {}))]).run("support", {"text": "go"}))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    [row] = await world.log.runnable()
    result = await world.agents(declared, [says("Done.")]).resume(row.id)
    assert result is not None
    assert (result.outcome, (await world.state(row.id)).actions[1].result) == ("resolved", "second time")


async def test_a_full_ledger_stops_a_task_where_it_is_and_it_goes_on_later(world: World):
    ran: list[int] = []
    declared = contract(make(lambda: ran.append(1), name="act", effect="once"))
    agents = world.agents(declared, [wants(("act", {}))])
    open_slot = world.ledger.open

    def full(if_crashed: Any) -> int:
        if if_crashed.kind == "tool":
            raise LedgerFull("no room")
        return open_slot(if_crashed)

    world.ledger.open = full
    with pytest.raises(LedgerFull):
        await agents.run("support", {"text": "go"})
    world.ledger.open = open_slot
    [row] = await world.log.runnable()
    result = await world.agents(declared, [says("Done.")]).resume(row.id)
    assert result is not None
    assert (result.outcome, ran) == ("waiting_approval", [])


async def test_an_answer_cut_off_by_the_contracts_limit_is_a_partial_one(world: World):
    cut = says("It will be", finish="length")
    result = await world.agents(contract(limits={"max_output_tokens": 20}), [cut]).run("support", {"text": "go"})
    assert (result.outcome, result.answer) == ("limit_reached", "It will be")
    assert result.error is not None
    assert result.error.startswith("max_output_tokens")


async def test_an_answer_cut_off_by_the_model_itself_gets_a_second_try(world: World):
    agents = world.agents(contract(), [says("It will be", finish="length"), says("Tomorrow.")])
    assert (await agents.run("support", {"text": "go"})).answer == "Tomorrow."
    assert "cut off" in world.gateway.requests[1].messages[-1].text


async def test_a_server_goes_on_with_what_is_due_until_it_is_stopped(world: World):
    ran: list[int] = []
    declared = contract(make(lambda: ran.append(1), name="act", effect="idempotent"), approvals={"act": True})
    agents = world.agents(declared, [wants(("act", {})), says("Done.")])
    waiting = await agents.run("support", {"text": "go"})
    working = asyncio.ensure_future(agents.shift(Terms(every_s=0.001)).run())
    [question] = await agents.questions(waiting.task)
    await agents.decide(waiting.task, question.step, "approve", who="pat")
    async with asyncio.timeout(60):
        while (await world.state(waiting.task)).finished is None:
            await asyncio.sleep(0)
    agents.stop()
    await working
    assert ran == [1]


def test_the_loop_needs_no_heavy_library():
    code = "import sys, interlock.agents.batch; print([m for m in ('pydantic', 'yaml', 'jsonschema_rs', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_what_was_handed_to_a_person_stays_readable_until_it_is_closed(world: World):
    agents = world.agents(contract(model="", store_prompts="none"))
    result = await agents.run("support", {"text": "Please help."})
    assert result.outcome == "handed_to_human"
    assert (await world.state(result.task)).answer["handover"]["input"] == {"text": "Please help."}
    await agents.close(result.task, success=True, who="pat", note="called them")
    state = await world.state(result.task)
    assert state.answer == {}
    assert state.seen is not None
    assert (state.seen.success, state.seen.source, state.seen.note) == (True, "person", "pat: called them")
    with pytest.raises(InvalidRequest, match="has not finished"):
        await agents.close("tsk_unknown", success=True, who="pat")


async def test_a_changed_contract_is_used_from_then_on_and_the_log_says_so(world: World):
    first = world.agents(contract(LOOK_UP, approvals={"orders.get": True}), [wants(("orders.get", {"order_id": "A1"}))])
    waiting = await first.run("support", {"text": "go"})
    changed = world.agents(contract(LOOK_UP, versions=Versions(contract="c2"), model="other"), [says("Done.")])
    [question] = await changed.questions(waiting.task)
    await changed.decide(waiting.task, question.step, "approve", who="pat")
    result = await changed.resume(waiting.task)
    assert result is not None
    assert (result.outcome, world.gateway.requests[0].model) == ("resolved", "other")


async def test_json_that_nobody_can_read_is_the_models_fault_and_not_the_workers(world: World):
    turns = [wants(("orders.get", "[" * 100_000)), says("[" * 100_000), says({"answer": "here"})]
    result = await world.agents(contract(LOOK_UP, **WITH_SCHEMA), turns).run("support", {"text": "where is it?"})
    assert (result.outcome, result.answer) == ("resolved", "here")
    assert "invalid_arguments" in world.gateway.requests[1].messages[-1].text
    assert "not JSON" in world.gateway.requests[2].messages[-1].text


@pytest.mark.parametrize("depth", [300, 600, 900])
async def test_json_that_is_nested_deep_is_the_models_fault_too(world: World, depth: int):
    deep = "[" * depth + "]" * depth
    turns = [wants(("orders.get", f'{{"order_id": {deep}}}')), says(deep), says({"answer": "here"})]
    result = await world.agents(contract(LOOK_UP, **WITH_SCHEMA), turns).run("support", {"text": "where is it?"})
    assert (result.outcome, result.answer) == ("resolved", "here")
    assert "invalid_arguments" in world.gateway.requests[1].messages[-1].text
    assert "nested too deep" in world.gateway.requests[2].messages[-1].text
