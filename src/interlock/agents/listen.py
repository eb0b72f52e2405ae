"""What signals say to a task: decisions, rulings, a pause, an end, the end of another task; each becomes a record at most once.

Above: `run`. Below: `approve`, `doubt`, `waits`. Pure: the logs of tasks that have ended are handed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interlock.core.events import Arrived
from interlock.core.store import ARRIVED, Signal

from . import approve, doubt, waits
from .actions import Entry, noted
from .contract import Contract
from .decide import CANCEL_NOTE
from .state import CALLED, PAUSED, UNPAUSED, State

PAUSE_SIGNAL, RESUME_SIGNAL = "pause", "resume"
CALL_PREFIX = "signal:"
"""Before the name of a signal that a contract's `task.wait` waits for."""
_KNOWN = (approve.APPROVAL_SIGNAL, doubt.DOUBT_SIGNAL, CANCEL_NOTE, ARRIVED, PAUSE_SIGNAL, RESUME_SIGNAL)

Arrival = tuple[int, Arrived, dict[str, Any]]


def heard(state: State, contract: Contract, signals: Sequence[Signal]) -> list[Entry]:
    """What signals say, as entries; one of an unknown name is noted and changes nothing."""
    entries = approve.decisions(state, contract, signals) + doubt.rulings(state, signals)
    if state.note(CANCEL_NOTE) is None:
        asked = [s for s in signals if s.name == CANCEL_NOTE]
        entries += [noted(CANCEL_NOTE, f"by {s.payload.get('who', '')}") for s in asked[:1]]
    entries += _pauses(state, signals) + _calls(state, signals)
    strange = [s for s in signals if s.name not in _KNOWN and not s.name.startswith(CALL_PREFIX)]
    return entries + [noted("signal_ignored", f"{s.id}: unknown name {s.name!r}") for s in strange]


def arrivals(state: State, signals: Sequence[Signal], children: Mapping[str, State]) -> list[Arrival]:
    """What children that have ended say. `children`: those that signals tell of, by id."""
    found: list[Arrival] = []
    for signal in signals:
        if signal.name != ARRIVED:
            continue
        child = children.get(str(signal.payload.get("child", "")))
        action = next((a for a in waits.open_waits(state) if a.step == signal.payload.get("step")), None)
        came = waits.from_child(action, child) if action is not None and child is not None else None
        if came is not None and came[0] not in [step for step, _, _ in found]:
            found.append(came)
    return found


def ended_children(signals: Sequence[Signal]) -> list[str]:
    """The tasks whose ends are told."""
    return [str(signal.payload.get("child", "")) for signal in signals if signal.name == ARRIVED]


def _pauses(state: State, signals: Sequence[Signal]) -> list[Entry]:
    """One note for each change, none for what is so already."""
    paused, entries = state.paused, list[Entry]()
    for signal in signals:
        if signal.name not in (PAUSE_SIGNAL, RESUME_SIGNAL) or paused == (signal.name == PAUSE_SIGNAL):
            continue
        paused = not paused
        entries.append(noted(PAUSED if paused else UNPAUSED, f"by {signal.payload.get('who', '')}"))
    return entries


def _calls(state: State, signals: Sequence[Signal]) -> list[Entry]:
    """Signals by a name of the contract's own, each kept until something waits for it."""
    known = {str(note.content.get("id", "")) for note in state.notes if note.name == CALLED}
    return [
        noted(
            CALLED,
            signal.name.removeprefix(CALL_PREFIX),
            {"id": signal.id, "payload": signal.payload.get("payload"), "who": signal.payload.get("who", "")},
        )
        for signal in signals
        if signal.name.startswith(CALL_PREFIX) and signal.id not in known
    ]
