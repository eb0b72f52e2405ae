"""Undoing: a task that fails or is denied after effects leaves the world as it was, in reverse order."""

from typing import Any

import pytest
from msgspec.structs import replace

from interlock.agents.compile import UNDO_RETRIES
from interlock.agents.contract import Contract, Flow
from interlock.core.errors import ToolError
from interlock.core.events import Settled
from interlock.core.store import Signal
from tests.agents.kit import World, contract, make, says, step, understands, wants


class Trip:
    """Three bookings that can each be undone, and a switch for where it fails."""

    def __init__(self, fails_at: str = "", undo_fails: str = "", undo_stumbles: int = 0) -> None:
        self.fails_at, self.undo_fails, self.undo_stumbles = fails_at, undo_fails, undo_stumbles
        self.log: list[str] = []

    def tools(self) -> list[Any]:
        return [
            make(self._book(n), name=f"book.{n}", effect="idempotent", reversible_by=f"cancel.{n}")
            for n in ("flight", "hotel", "car")
        ]

    def undo(self) -> list[Any]:
        return [make(self._cancel(n), name=f"cancel.{n}", effect="idempotent") for n in ("flight", "hotel", "car")]

    def _book(self, name: str) -> Any:
        def book(city: str) -> dict[str, str]:
            if name == self.fails_at:
                raise ToolError("sold_out", f"no {name} in {city}")
            self.log.append(f"+{name}")
            return {"booking": f"{name}-{city}"}

        return book

    def _cancel(self, name: str) -> Any:
        def cancel(booking: str) -> str:
            if name == self.undo_fails:
                raise ToolError("too_late", f"{booking} cannot be cancelled")
            if self.undo_stumbles:
                self.undo_stumbles -= 1
                raise ConnectionError("the line was cut")
            self.log.append(f"-{name}:{booking}")
            return "cancelled"

        return cancel


def one_by_one(trip: Trip, **fields: Any) -> Contract:
    return contract(*trip.tools(), undo=trip.undo(), **fields)


def turns(*names: str) -> list[Any]:
    return [wants((f"book.{name}", {"city": "Rome"})) for name in names]


UNDONE = {
    "flight": [],
    "hotel": ["+flight", "-flight:flight-Rome"],
    "car": ["+flight", "+hotel", "-hotel:hotel-Rome", "-flight:flight-Rome"],
}


@pytest.mark.requirement("AG-07")
@pytest.mark.parametrize("denied", ["flight", "hotel", "car"])
async def test_what_was_done_before_a_denial_is_undone_in_reverse_order(world: World, denied: str):
    trip = Trip()
    agents = world.agents(one_by_one(trip, approvals={f"book.{denied}": True}), turns("flight", "hotel", "car"))
    waiting = await agents.run("support", {"text": "Rome"})
    [question] = await agents.questions(waiting.task)
    await agents.decide(waiting.task, question.step, "deny", who="pat")
    result = await agents.resume(waiting.task)
    assert result is not None
    assert (result.outcome, trip.log) == ("denied", UNDONE[denied])


@pytest.mark.requirement("AG-07")
@pytest.mark.parametrize("broken", ["flight", "hotel", "car"])
async def test_a_task_that_fails_at_any_step_undoes_the_steps_before_it(world: World, broken: str):
    trip = Trip(fails_at=broken)
    done = {"flight": 1, "hotel": 2, "car": 3}[broken]
    # The model gives up without an answer after the failure; a second empty answer fails the task.
    agents = world.agents(one_by_one(trip), [*turns("flight", "hotel", "car")[:done], says(""), says("")])
    result = await agents.run("support", {"text": "Rome"})
    assert (result.outcome, trip.log) == ("failed", UNDONE[broken])


async def test_bookings_made_at_the_same_time_are_all_undone(world: World):
    trip = Trip(fails_at="car")
    asked = wants(*[(f"book.{name}", {"city": "Rome"}) for name in ("flight", "hotel", "car")])
    result = await world.agents(one_by_one(trip), [asked, says(""), says("")]).run("support", {"text": "Rome"})
    assert result.outcome == "failed"
    assert sorted(trip.log[:2]) == ["+flight", "+hotel"]
    assert trip.log[2:] == ["-hotel:hotel-Rome", "-flight:flight-Rome"]
    undone = (await world.state(result.task)).answer["undone"]
    assert [each["tool"] for each in undone] == ["cancel.hotel", "cancel.flight"]


async def test_what_cannot_be_undone_goes_to_a_person_and_the_rest_is_undone(world: World):
    trip = Trip(fails_at="car", undo_fails="hotel")
    answers = [*turns("flight", "hotel", "car"), says(""), says("")]
    result = await world.agents(one_by_one(trip), answers).run("support", {"text": "Rome"})
    assert (result.outcome, trip.log) == ("handed_to_human", ["+flight", "+hotel", "-flight:flight-Rome"])
    assert result.error is not None
    assert result.error.startswith("compensation_failed")
    assert (await world.state(result.task)).answer["not_undone"][0]["arguments"] == {"booking": "hotel-Rome"}


async def test_undoing_is_tried_again_and_each_try_is_recorded(world: World):
    trip = Trip(fails_at="car", undo_stumbles=2)
    answers = [*turns("flight", "hotel", "car"), says(""), says("")]
    declared = one_by_one(trip)
    grants = {name: replace(each, retries=UNDO_RETRIES) for name, each in declared.undo_grants.items()}
    result = await world.agents(replace(declared, undo_grants=grants), answers).run("support", {"text": "Rome"})
    assert (result.outcome, trip.log) == ("failed", UNDONE["car"])
    events = [each.event for each in await world.log.records(result.task) if isinstance(each.event, Settled)]
    assert [[a.status for a in each.attempts] for each in events if each.name == "cancel.hotel"] == [
        ["error", "error", "ok"]
    ]


async def test_undoing_is_not_held_back_by_the_limits(world: World):
    trip = Trip(fails_at="car")
    limits = {"max_tool_calls": 3, "max_steps": 8}
    answers = [*turns("flight", "hotel", "car"), says(""), says("")]
    result = await world.agents(one_by_one(trip, limits=limits), answers).run("support", {"text": "Rome"})
    assert (result.outcome, trip.log) == ("failed", UNDONE["car"])


async def test_a_flow_that_is_denied_undoes_its_effects(world: World):
    trip = Trip()
    flow = Flow(
        steps=(
            step(call="book.flight", given={"city": "Rome"}, save_as="order"),
            step(call="book.hotel", given={"city": "Rome"}),
            step(answer="Booked."),
        )
    )
    declared = one_by_one(trip, tier0=True, flows={"trip": flow}, approvals={"book.hotel": True})
    agents = world.agents(declared, tier0=[understands("trip")])
    waiting = await agents.run("support", {"text": "Rome"})
    [question] = await agents.questions(waiting.task)
    await agents.decide(waiting.task, question.step, "deny", who="pat")
    result = await agents.resume(waiting.task)
    assert result is not None
    assert (result.outcome, trip.log) == ("denied", UNDONE["hotel"])


async def test_a_cancelled_task_is_undone(world: World):
    trip = Trip()
    agents = world.agents(one_by_one(trip, approvals={"book.hotel": True}), turns("flight", "hotel"))
    waiting = await agents.run("support", {"text": "Rome"})
    await agents.cancel(waiting.task, who="pat")
    [result] = await agents.work_off()
    assert (result.outcome, trip.log) == ("cancelled", UNDONE["hotel"])


async def test_a_signal_of_an_unknown_name_is_noted_and_changes_nothing(world: World):
    agents = world.agents(one_by_one(Trip(), approvals={"book.hotel": True}), turns("hotel"))
    waiting = await agents.run("support", {"text": "Rome"})
    await world.log.signal(Signal(waiting.task, "x", "dance"))
    again = await agents.resume(waiting.task)
    assert again is not None
    assert again.outcome == "waiting_approval"
    note = (await world.state(waiting.task)).note("signal_ignored")
    assert note is not None
    assert "dance" in note.reason
