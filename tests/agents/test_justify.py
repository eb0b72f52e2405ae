"""From the n-th call of a tool on, the model has to say why: it is asked once, then the task stops."""

import json
from typing import Any

import pytest

from interlock.agents.justify import FIELD, JUSTIFIED
from interlock.agents.replay import replay
from interlock.tools.call import Grant
from tests.agents.kit import World, contract, make, says, wants

pytestmark = pytest.mark.requirement("AG-03")
WHY = "The first two orders were the wrong customer's."


class Shop:
    """Counts what is looked up."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def contract(self, **fields: Any) -> Any:
        def look(order: str) -> str:
            """Looks an order up."""
            self.seen.append({"order": order})
            return f"{order} is on its way"

        return contract(grants={"look": Grant(make(look, effect="none"), justify_after=2)}, **fields)


def asks(order: str, why: str = "") -> Any:
    return wants(("look", {"order": order, **({FIELD: why} if why else {})}))


async def test_a_call_that_says_why_is_made_and_the_reason_stands_in_the_log(world: World):
    shop = Shop()
    made = shop.contract()
    agents = world.agents(made, [asks("A1"), asks("A2", "no need"), asks("A3", WHY), says("Done.")])
    result = await agents.run("support", {"text": "go"})

    assert result.outcome == "resolved"
    assert shop.seen == [{"order": "A1"}, {"order": "A2"}, {"order": "A3"}], "no tool is given the reason"
    notes = [note.reason for note in (await world.state(result.task)).notes if note.name == JUSTIFIED]
    assert notes == [f"look, call 3: {WHY}"]
    assert replay(await world.log.records(result.task), made).identical


async def test_the_model_sees_where_the_reason_goes(world: World):
    agents = world.agents(Shop().contract(), [says("Done.")])
    await agents.run("support", {"text": "go"})

    [tool] = world.gateway.requests[0].tools
    assert "call 3" in tool.parameters["properties"][FIELD]["description"]
    assert FIELD not in tool.parameters.get("required", ())


async def test_a_call_without_a_reason_is_not_made_and_may_be_asked_for_again_with_one(world: World):
    shop = Shop()
    turns = [asks("A1"), asks("A2"), asks("A3"), asks("A3", WHY), says("Done.")]
    result = await world.agents(shop.contract(), turns).run("support", {"text": "go"})

    assert (result.outcome, len(shop.seen)) == ("resolved", 3)
    told = json.loads(world.gateway.requests[3].messages[-1].text)["error"]
    assert "call 3 of look needs a justification" in told["message"]


async def test_a_model_that_gives_no_reason_when_asked_ends_the_task_with_what_there_is(world: World):
    shop = Shop()
    turns = [asks("A1"), asks("A2"), asks("A3"), asks("A4", "again"), says("never asked")]
    result = await world.agents(shop.contract(), turns).run("support", {"text": "go"})
    state = await world.state(result.task)

    assert result.outcome == "limit_reached"
    assert str(result.error).startswith("tools.look.justify_after")
    assert len(shop.seen) == 2
    assert [each["result"] for each in state.answer["partial"]["tools"][:2]] == ["A1 is on its way", "A2 is on its way"]


async def test_of_calls_of_one_turn_those_beyond_the_number_need_a_reason(world: World):
    shop = Shop()
    together = wants(*[("look", {"order": f"A{n}"}) for n in range(3)])
    result = await world.agents(shop.contract(), [together, says("Done.")]).run("support", {"text": "go"})

    assert result.outcome == "resolved"
    assert sorted(each["order"] for each in shop.seen) == ["A0", "A1"]


async def test_a_person_who_approves_a_call_holds_for_it_with_its_reason_said(world: World):
    shop = Shop()
    agents = world.agents(
        shop.contract(approvals={"look": True}),
        [wants(*[("look", {"order": f"A{n}", FIELD: WHY}) for n in range(3)]), says("Done.")],
    )
    waiting = await agents.run("support", {"text": "go"})
    for question in await agents.questions(waiting.task):
        await agents.decide(waiting.task, question.step, "approve", who="pat")
    result = await agents.resume(waiting.task)

    assert result is not None
    assert (result.outcome, len(shop.seen)) == ("resolved", 3)
    notes = [note for note in (await world.state(result.task)).notes if note.name == JUSTIFIED]
    assert len(notes) == 1
