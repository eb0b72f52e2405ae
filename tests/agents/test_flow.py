"""Flows: an intent that the device recognised is handled by declared steps, with no model; what does not fit goes on with everything known."""

import re
from typing import Any

import pytest

from interlock.agents.contract import Contract, Flow, Slot
from interlock.core.errors import ToolError
from tests.agents.kit import NO_MODEL, World, contract, make, says, step, understands

ORDERS: dict[str, dict[str, Any]] = {
    "FH-10234": {"id": "FH-10234", "status": "shipped", "carrier": "UPS", "total_usd": 40.0},
    "FH-10235": {"id": "FH-10235", "status": "lost", "total_usd": 40.0},
    "FH-10236": {"id": "FH-10236", "status": "lost", "total_usd": 90.0},
    "FH-10237": {"id": "FH-10237", "status": "on the moon"},
}


def get_order(order_id: str) -> dict[str, Any]:
    if order_id not in ORDERS:
        raise ToolError("not_found", f"no order {order_id}")
    return ORDERS[order_id]


def refund(order_id: str, amount_usd: float) -> dict[str, Any]:
    return {"refund_id": f"r-{order_id}", "amount_usd": amount_usd}


STATUS = Flow(
    slots=(Slot("order_id", "order_id", pattern=re.compile(r"[A-Z]{2}-\d{5}")), Slot("email", "email", required=False)),
    steps=(
        step(call="orders.get", given={"order_id": "{order_id}"}, save_as="order"),
        step(when="order.status == 'shipped'", answer="Order {order.id} is with {order.carrier}.", cite=["shipping"]),
        step(
            when="order.status == 'lost'",
            call="payments.refund",
            given={"order_id": "{order_id}", "amount_usd": "{order.total_usd}"},
            save_as="refund",
        ),
        step(when="order.status == 'lost'", answer="We refunded {refund.amount_usd|usd}."),
    ),
)


def support(**fields: Any) -> Contract:
    tools = (
        make(get_order, name="orders.get", effect="none"),
        make(refund, name="payments.refund", effect="idempotent"),
    )
    flows = {"order_status": STATUS, "opening_hours": Flow(from_knowledge=True)}
    return contract(*tools, tier0=True, flows=flows, **fields)


async def test_a_flow_answers_without_a_model_and_cites(world: World):
    agents = world.agents(support(), tier0=[understands("order_status")])
    result = await agents.run("support", {"text": "wheres my order fh 10234??"})
    assert (result.outcome, result.answer) == ("resolved", "Order FH-10234 is with UPS.")
    assert (result.tier, result.citations, result.confidence, result.cost_nano_usd) == ("tier0", ("shipping",), 0.99, 0)
    assert [request.model for request in world.gateway.requests] == ["local/support"]


async def test_a_flow_with_an_effect_uses_the_results_of_earlier_steps(world: World):
    agents = world.agents(support(), tier0=[understands("order_status")])
    result = await agents.run("support", {"text": "FH-10235 never came"})
    assert (result.outcome, result.answer) == ("resolved", "We refunded $40.00.")


@pytest.mark.requirement("ME-07")
async def test_the_end_of_a_task_says_whether_knowledge_had_something_and_how_many_sources_the_answer_names(
    world: World,
):
    def passage(good: bool) -> dict[str, Any]:
        return {"article": "hours", "title": "Hours", "text": "We open at 9.", "score": 0.9, "good": good}

    tier0 = [
        understands("opening_hours", passage=passage(True)),
        understands("opening_hours", passage=passage(False)),
        understands("order_status"),
        understands("opening_hours", passage=passage(True), accepted=False, confidence=0.5),
        understands("small_talk", accepted=False, confidence=0.2),
    ]
    agents = world.agents(support(), [says("We open at 9."), says("At 9."), says("Good day!")], tier0=tier0)
    found: list[tuple[str, str, int | None]] = []
    for text in ("when are you open", "and on Sunday", "FH-10234 where", "open?", "hello"):
        end = (await world.state((await agents.run("support", {"text": text})).task)).finished
        assert end is not None
        assert end.workflow == "support"
        found.append((end.outcome, end.searched, end.cited))

    assert found == [
        ("resolved", "hit", 1),
        ("resolved", "miss", 0),
        ("resolved", "", 1),
        ("resolved", "hit", 0),
        ("resolved", "", None),
    ]


async def test_knowledge_answers_with_its_passage_and_its_article(world: World):
    passage = {"article": "hours", "title": "Hours", "text": "We open at 9.", "score": 0.9, "good": True}
    agents = world.agents(support(), tier0=[understands("opening_hours", passage=passage)])
    result = await agents.run("support", {"text": "when are you open"})
    assert (result.answer, result.citations) == ("We open at 9.", ("hours",))


@pytest.mark.parametrize(
    ("text", "understood", "reason"),
    [
        ("where is my order", understands("order_status"), "missing: order_id not found in the text"),
        (
            "FH-10234",
            understands("order_status", confidence=0.5, accepted=False),
            "not sure enough: order_status (confidence=0.50 < 0.90)",
        ),
        ("FH-10234", understands("returns"), "no flow is declared for returns"),
        ("FH-99999", understands("order_status"), "orders.get failed: not_found: no order FH-99999"),
        ("FH-10237", understands("order_status"), "no step of the flow answers this case"),
        ("hours?", understands("opening_hours"), "no passage answers it well enough"),
    ],
)
async def test_what_does_not_fit_goes_to_a_person_with_all_that_was_gathered(
    world: World, text: str, understood: Any, reason: str
):
    agents = world.agents(support(model=""), tier0=[understood])
    result = await agents.run("support", {"text": text})
    assert result.outcome == "handed_to_human"
    state = await world.state(result.task)
    handover = state.answer["handover"]
    assert handover["reason"].startswith(reason)
    assert handover["input"] == {"text": text}
    assert handover["understood"]["intent"]
    left = state.note("left_flow")
    assert left is not None
    assert left.reason.startswith(reason)


async def test_with_a_model_it_goes_on_and_the_model_is_told_what_is_known(world: World):
    agents = world.agents(support(), [says("I will ask the carrier.")], tier0=[understands("order_status")])
    result = await agents.run("support", {"text": "FH-10237 where"})
    assert (result.outcome, result.tier, result.escalations) == ("resolved", "small", 1)
    asked = world.gateway.requests[1]
    told = next(m.text for m in asked.messages if m.role == "user")
    assert '"order_id":"FH-10237"' in told
    assert "on the moon" in told
    assert asked.facts["intent"] == "order_status"


async def test_with_no_model_that_answers_a_person_gets_it(world: World):
    agents = world.agents(support(), [NO_MODEL], tier0=[understands("returns")])
    result = await agents.run("support", {"text": "hm"})
    assert result.outcome == "handed_to_human"
    assert result.error is not None
    assert result.error.startswith("no_usable_model: no flow is declared for returns; no model could answer")


async def test_a_flow_waits_for_approval_and_goes_on_with_it(world: World):
    agents = world.agents(support(approvals={"payments.refund": True}), tier0=[understands("order_status")])
    waiting = await agents.run("support", {"text": "FH-10236 is lost"})
    assert waiting.outcome == "waiting_approval"
    [question] = await agents.questions(waiting.task)
    await agents.decide(waiting.task, question.step, "approve", who="pat")
    result = await agents.resume(waiting.task)
    assert result is not None
    assert (result.outcome, result.answer) == ("resolved", "We refunded $90.00.")


async def test_the_flow_is_the_same_again_from_the_log_alone(world: World):
    agents = world.agents(support(), tier0=[understands("order_status")])
    result = await agents.run("support", {"text": "FH-10235 never came"})
    again = await agents.resume(result.task)
    assert again == result
