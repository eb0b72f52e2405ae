"""Undoing: when a task fails, is denied or is cancelled after effects, its reversible effects are undone in reverse order.

Above: `decide`. Below: `state`, `actions`. Undoing begins with a note that holds how the task will end, so that a crash in between
takes it up where it was.
"""

from __future__ import annotations

from typing import Any, cast

from interlock.core.events import Finished, Outcome

from .actions import Compensate, Decision, Finish, PlannedCall, Write, as_object, noted
from .contract import Contract
from .state import Action, State

UNDO_NOTE = "undo"


def end(
    state: State, contract: Contract, outcome: Outcome, error: str, message: str, content: dict[str, Any] | None = None
) -> Decision:
    """Ends the task with `outcome`, undoing first what has to be undone."""
    finished = Finished(outcome, escalations=state.escalations, error=error, message=message)
    if not effects(state, contract):
        return Finish(finished, {"answer": None, **(content or {})})
    note = {"outcome": outcome, "error": error, "message": message, "content": content or {}}
    return Write((noted(UNDO_NOTE, f"{outcome}: {message or error}", note),))


def next_step(state: State, contract: Contract) -> Decision | None:
    """The next thing to undo, or the end that was put off until everything is undone; `None` when nothing is being undone."""
    note = state.note(UNDO_NOTE)
    if note is None:
        return None
    undone = {action.compensates: action for action in state.actions if action.compensates}
    for effect in reversed(effects(state, contract)):
        if effect.first_step not in undone:
            return Compensate(undoing(effect, contract))
    failed = [action for action in undone.values() if not action.ok]
    report: dict[str, Any] = {
        "undone": [_report(a) for a in undone.values() if a.ok],
        **note.content.get("content", {}),
    }
    if not failed:
        return Finish(
            Finished(
                cast("Outcome", note.content["outcome"]),
                escalations=state.escalations,
                error=note.content.get("error", ""),
                message=note.content.get("message", ""),
            ),
            {"answer": None, **report},
        )
    message = f"{note.reason}; and {len(failed)} effects could not be undone: {', '.join(a.name for a in failed)}"
    finished = Finished("handed_to_human", escalations=state.escalations, error="compensation_failed", message=message)
    return Finish(finished, {"answer": None, **report, "not_undone": [_report(action) for action in failed]})


def effects(state: State, contract: Contract) -> list[Action]:
    """The reversible effects that happened and stand, in the order in which they did."""
    happened = [
        action
        for action in state.actions
        if action.kind == "tool" and action.ok and not action.compensates and action.effect != "none"
    ]
    return sorted((a for a in happened if undo_tool(a, contract)), key=lambda action: action.step)


def undo_tool(action: Action, contract: Contract) -> str:
    grant = contract.grants.get(action.name)
    return grant.tool.reversible_by if grant else ""


def undoing(effect: Action, contract: Contract) -> PlannedCall:
    """The call that undoes `effect`: it gets the effect's arguments and the fields of its result, those it takes."""
    name = undo_tool(effect, contract)
    known = {"result": effect.result, **as_object(effect.arguments), **as_object(effect.result)}
    grant = contract.undo_grants.get(name)
    arguments = grant.tool.taken(known) if grant else known
    return PlannedCall(name, arguments, contract.effect_of(name), compensates=effect.first_step)


def _report(action: Action) -> dict[str, Any]:
    return {"tool": action.name, "arguments": action.arguments, "undoes_step": action.compensates}
