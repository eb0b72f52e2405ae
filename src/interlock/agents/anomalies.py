"""A task that goes in circles is told so, and stopped if it goes on: the warning is a note in the log and a line in the model's next step.

Above: `decide`, `converse`. Below: `state`, observe's findings. A warning is given once for each kind; who goes on after it is stopped at the
second bound, with effects undone or a person put in charge, as the contract says.
"""

from __future__ import annotations

from interlock.observe.anomaly import Finding, findings

from .actions import Decision, Entry, Write, noted
from .compensate import end
from .contract import Contract
from .human import gathered, hand_over
from .state import Note, State

ANOMALY = "anomaly"
"""Name of the note. Content: the finding's fields."""
_AT_ONCE = ("fan_out", "depth")
"""Kinds that are stopped without a warning before: by the next step it is too late."""

_OF_CALLS = ("loop", "ping_pong", "no_news")


def next_step(state: State, contract: Contract) -> Decision | None:
    """The warning that is due, the end of a task that did not heed one, or `None`."""
    found = findings(state.watch, contract.anomalies)
    if not found:
        return None
    warned = {note.content.get("kind") or note.reason.partition(":")[0]: note for note in warnings(state)}
    if contract.anomalies.then != "warn":
        for each in found:
            if each.level == "stop" and (each.kind in _AT_ONCE or _went_on(state, each, warned.get(each.kind))):
                return _stopped(state, contract, each)
    due = [each for each in found if each.kind not in warned]
    return Write(tuple(_note(each) for each in due)) if due else None


def warnings(state: State) -> list[Note]:
    """What the model has been told, oldest first."""
    return [note for note in state.notes if note.name == ANOMALY]


def lines_after(state: State, step: int, before: int | None) -> list[str]:
    """What the model is told between its answer at `step` and its next one at `before` (`None`: there is none yet)."""
    told = [note for note in warnings(state) if note.seq > step and (before is None or note.seq < before)]
    return [str(note.content.get("advice")) for note in told if note.content.get("advice")]


def _went_on(state: State, found: Finding, warning: Note | None) -> bool:
    """Whether the model did it again after it was warned; one that is about to answer is let finish."""
    watch = state.watch
    if warning is None or not watch.wanted:
        return False
    if found.kind in _OF_CALLS:
        return bool(watch.calls) and watch.calls[-1].step > warning.seq
    return state.turn > warning.seq


def _note(found: Finding) -> Entry:
    return noted(
        ANOMALY,
        f"{found.kind}: {found.what}",
        {"kind": found.kind, "value": found.value, "bound": found.bound, "advice": found.advice},
    )


def _stopped(state: State, contract: Contract, found: Finding) -> Decision:
    error, message = f"anomaly_{found.kind}", f"{found.what}, also after a warning; stopped at {found.bound:g}"
    if found.kind in _AT_ONCE:
        message = f"{found.what}; stopped at {found.bound:g}"
    if contract.anomalies.then == "hand_over":
        return hand_over(state, error, message)
    return end(state, contract, "failed", error, message, {"partial": gathered(state)})
