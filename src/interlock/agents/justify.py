"""Calls of one tool beyond a number are made only where the model says why: asked for once, then the task stops.

Above: `converse`. Below: `state`, `contract`. Pure. What the model says stands in the log as a note; the tool never sees it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from interlock.core.chat import ToolCall, ToolSpec
from interlock.core.errors import LimitReached
from interlock.tools.call import Grant

from .actions import Entry, PlannedCall, as_object, noted
from .contract import Contract
from .state import State

FIELD = "justification"
JUSTIFIED = "justified"
"""Name of the note with what the model said."""
LEAST = 10
"""Characters; less says nothing."""
_MISSING = "needs a justification"


class Checked(Struct, frozen=True):
    """The calls of a turn, without what was said for them."""

    calls: tuple[PlannedCall, ...]
    refused: tuple[PlannedCall, ...] = ()
    """They settle as denied, so that the model reads what is missing."""
    said: dict[str, Entry] = {}
    """Notes by the model's id of the call."""
    over: LimitReached | None = None
    """The model was asked before and gave no reason: the task stops."""

    def notes(self, calls: Sequence[PlannedCall]) -> tuple[Entry, ...]:
        """What was said for those of `calls` that are made now."""
        return tuple(self.said[call.tool_call_id] for call in calls if call.tool_call_id in self.said)


def checked(
    state: State, contract: Contract, turn: int, asked: Sequence[ToolCall], left: Sequence[PlannedCall]
) -> Checked:
    """`left`, those of the calls `asked` at step `turn` that are not made yet, each held against its tool's number."""
    places, found = _places(state, turn, asked), Checked(())
    for call in left:
        after = _after(contract.grants.get(call.name))
        if after is None:
            found = replace(found, calls=(*found.calls, call))
            continue
        said, bare = _parted(call)
        place = places[call.tool_call_id]
        if place <= after or len(said) >= LEAST:
            note = {} if place <= after else {call.tool_call_id: noted(JUSTIFIED, f"{call.name}, call {place}: {said}")}
            found = replace(found, calls=(*found.calls, bare), said={**found.said, **note})
        elif any(action.name == call.name and _MISSING in action.refused for action in state.actions):
            return Checked(
                (), over=LimitReached(f"tools.{call.name}.justify_after", used=place - 1, asked=1, maximum=after)
            )
        else:
            why = f"call {place} of {call.name} {_MISSING}: say in `{FIELD}` what it will show that the {place - 1} before it did not"
            found = replace(found, refused=(*found.refused, replace(bare, refused=why, effect="none")))
    return found


def spec_of(grant: Grant) -> ToolSpec:
    """The tool as the model sees it: with a place for the reason, where one may be asked for."""
    spec, after = grant.tool.spec, _after(grant)
    if after is None:
        return spec
    field = {"type": "string", "description": f"Why once more; needed from call {after + 1} of this tool on."}
    given: dict[str, Any] = {**spec.parameters, "properties": {**spec.parameters.get("properties", {}), FIELD: field}}
    if spec.strict:
        given["required"] = [*spec.parameters.get("required", ()), FIELD]
    return replace(spec, parameters=given)


def _after(grant: Grant | None) -> int | None:
    """A tool that takes a justification itself is left alone."""
    if grant is None or FIELD in grant.tool.spec.parameters.get("properties", {}):
        return None
    return grant.justify_after


def _places(state: State, turn: int, asked: Sequence[ToolCall]) -> dict[str, int]:
    """Which call of its tool in the task each is, by its id; those that were refused do not count."""
    made = Counter(a.name for a in state.actions if a.kind == "tool" and a.turn != turn and not a.refused)
    places: dict[str, int] = {}
    for call in asked:
        made[call.name] += 1
        places[call.id] = made[call.name]
    return places


def _parted(call: PlannedCall) -> tuple[str, PlannedCall]:
    """What the model said, and the call without it."""
    given = as_object(call.arguments)
    if FIELD not in given:
        return "", call
    rest = {name: value for name, value in given.items() if name != FIELD}
    return str(given[FIELD] or "").strip(), replace(call, arguments=rest)
