"""Each key of the user's contract document is enforced, through the public face and a vendor that speaks OpenAI's wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interlock.app import Interlock, open_reading
from interlock.core.store import TaskFilter
from interlock.testing.upstream import Answer, Upstream, in_turn

from .conftest import Folder

pytestmark = pytest.mark.requirement("AG-01")
GOOD = json.dumps({"sku": "A1", "quantity": 2})
LOOKUP = Answer(tool_calls=(("inventory.lookup", '{"sku": "A1"}'),))


def names_of(body: dict[str, Any]) -> set[str]:
    return {each["function"]["name"] for each in body["tools"]}


async def run(folder: Folder, upstream: Upstream, text: str = "two of A1 please"):
    folder.provider("openai", upstream.base_url)
    async with Interlock.from_file(folder.root) as il:
        return await il.run("agent_contract", {"text": text})


async def test_the_declared_model_is_asked_with_the_declared_tools_and_its_answer_is_checked(contract_folder):
    async with Upstream(in_turn(LOOKUP, Answer(text=GOOD))) as upstream:
        result = await run(contract_folder, upstream)
    assert result.outcome == "resolved"
    assert result.answer == {"sku": "A1", "quantity": 2}
    assert upstream.asked[0].model == "gpt-4.1"
    assert {name.replace("_", ".", 1) for name in names_of(upstream.asked[0].body)} >= {"inventory.lookup"}
    assert contract_folder.calls() == ["lookup A1"]


async def test_an_answer_that_breaks_the_schema_is_repaired_once_and_then_fails(contract_folder):
    async with Upstream(Answer(text=json.dumps({"sku": "A1", "quantity": 0}))) as upstream:
        result = await run(contract_folder, upstream)
    assert result.outcome in ("failed", "handed_to_human")
    assert result.answer != {"sku": "A1", "quantity": 0}
    assert upstream.served.requests == 2


async def test_a_tool_that_needs_approval_waits_for_a_person_and_runs_once_after_the_yes(contract_folder):
    pay = Answer(tool_calls=(("payments.create_intent", '{"amount_usd": 10}'),))
    async with Upstream(in_turn(pay, Answer(text=GOOD))) as upstream:
        result = await run(contract_folder, upstream)
        assert result.outcome == "waiting_approval"
        assert contract_folder.calls() == []
        async with Interlock.from_file(contract_folder.root) as il:
            (question,) = await il.questions(result.task)
            assert question.arguments == {"amount_usd": 10}
            await il.decide(result.task, question.step, "approve", "ada@acme.example")
            done = await il.resume(result.task)
    assert done is not None
    assert done.outcome == "resolved"
    assert contract_folder.calls() == ["pay 10.0"] or contract_folder.calls() == ["pay 10"]


async def test_a_loop_ends_at_max_steps(contract_folder):
    async with Upstream(LOOKUP) as upstream:
        result = await run(contract_folder, upstream)
    assert result.outcome == "limit_reached"
    assert "max_steps" in str(result.error)
    assert result.steps == 6


async def test_input_beyond_max_input_tokens_is_not_sent(contract_folder):
    async with Upstream(Answer(text=GOOD)) as upstream:
        result = await run(contract_folder, upstream, text="far too many words " * 3_000)
    assert result.outcome == "limit_reached"
    assert "max_input_tokens" in str(result.error)
    assert upstream.served.requests == 0


async def test_the_vendor_is_told_to_stop_at_max_output_tokens(contract_folder):
    async with Upstream(Answer(text=GOOD)) as upstream:
        await run(contract_folder, upstream)
    body = upstream.asked[0].body
    assert (body.get("max_completion_tokens") or body["max_tokens"]) <= 800


async def test_a_tool_is_tried_as_often_as_its_retries_say_and_its_failure_goes_to_the_model(contract_folder):
    broken = Answer(tool_calls=(("inventory.lookup", '{"sku": "BROKEN"}'),))
    async with Upstream(in_turn(broken, Answer(text=GOOD))) as upstream:
        result = await run(contract_folder, upstream)
    assert contract_folder.calls() == ["lookup BROKEN", "lookup BROKEN"]
    assert result.outcome == "resolved"
    assert "stock system is down" in json.dumps(upstream.asked[1].body)


async def test_a_tool_that_exceeds_its_timeout_is_cut_off(contract_folder):
    # 1.5 s and one retry as the document says: this test takes three seconds of waiting for a deadline that is real.
    slow = Answer(tool_calls=(("inventory.lookup", '{"sku": "SLOW"}'),))
    async with Upstream(in_turn(slow, Answer(text=GOOD))) as upstream:
        await run(contract_folder, upstream)
    assert "1.5 s" in json.dumps(upstream.asked[1].body)


async def test_what_is_stored_of_prompts_is_redacted(contract_folder):
    async with Upstream(Answer(text=GOOD)) as upstream:
        result = await run(contract_folder, upstream, text="write to jane.doe@mail.example about A1")
        assert "jane.doe@mail.example" in json.dumps(upstream.asked[0].body)
    with open_reading(contract_folder.root) as reading:
        trace = reading.trace(result.task)
        assert [row.task for row in reading.tasks(TaskFilter())] == [result.task]
    assert trace is not None
    stored = b"".join(path.read_bytes() for path in (contract_folder.root / ".interlock").glob("*.db*"))
    assert b"[email]" in stored
    assert "jane.doe@mail.example" not in repr(trace)


async def test_the_trace_id_goes_to_the_vendor_and_stands_on_the_trace(contract_folder):
    async with Upstream(Answer(text=GOOD)) as upstream:
        result = await run(contract_folder, upstream)
    version, trace_id, _parent, flags = upstream.asked[0].headers["traceparent"].split("-")
    assert (version, flags) == ("00", "01")
    with open_reading(contract_folder.root) as reading:
        trace = reading.trace(result.task)
    assert trace is not None
    assert trace.trace_id == trace_id
