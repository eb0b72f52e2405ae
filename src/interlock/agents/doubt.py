"""An action that was intended and whose end nobody knows: after a crash, a timeout, an error from the middle of a tool.

The tool's declared effect decides: `none` and `idempotent` are done again with the same key, `reconcile` asks the tool, `once` is put
to a person. Above: `decide`. Below: `state`, `compensate`, `actions`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

from interlock.core.events import DoubtSettled, Effect, InDoubt, Settled
from interlock.core.store import Signal
from interlock.tools.call import UNEXPECTED

from .actions import CallTools, Compensate, Decision, Entry, PlannedCall, Wait, Write, noted
from .compensate import undo_tool, undoing
from .contract import Contract
from .state import Action, State

DOUBT_SIGNAL = "doubt"
MAX_TRIES = 20
"""An action that took its process down this often is put to a person, whatever its effect."""
MAX_QUESTIONS = 3
"""How often a tool is asked what became of a call before a person is."""
WAIT = "in_doubt"
_DECISIONS = ("done", "redo", "skip", "compensate")


def next_step(state: State, contract: Contract) -> Decision | None:
    """What to do about the actions in doubt, if there are any; model calls are simply made again by whoever needs them."""
    open_calls = [(action, verdict(action)) for action in state.actions if action.kind == "tool"]
    asked: list[Entry] = [(InDoubt(a.step, a.name), None) for a, v in open_calls if v == "person" and not a.doubted]
    if asked:
        return Write(tuple(asked))
    again = [_again(a, ask_first=v == "ask") for a, v in open_calls if v in ("again", "ask")]
    undoings = [call for call in again if call.compensates]
    if undoings:
        return Compensate(undoings[0])
    if again:
        return CallTools(tuple(again))
    if any(v == "person" for _, v in open_calls):
        return Wait(WAIT)
    return _to_undo(state, contract)


def _to_undo(state: State, contract: Contract) -> Decision | None:
    """What a person wants undone, whether or not it happened."""
    undone = {action.compensates for action in state.actions}
    for action in state.actions:
        if action.ruling == "compensate" and action.first_step not in undone and undo_tool(action, contract):
            return Compensate(undoing(action, contract))
    return None


def verdict(action: Action) -> Literal["known", "again", "ask", "person"]:
    """Whether the end of an action is known, and if not, who or what can tell."""
    if action.ruling in ("done", "skip", "compensate"):
        return "known"
    if action.ruling != "redo" and not _unknown(action):
        return "known"
    if action.doubted or action.tries >= MAX_TRIES:
        return "person"
    if action.ruling == "redo" or action.effect in ("none", "idempotent"):
        return "again"
    if action.effect == "reconcile" and action.tries <= MAX_QUESTIONS:
        return "ask"
    return "person"


def _unknown(action: Action) -> bool:
    if action.awaits:
        return False
    settled = action.settled
    if settled is None or settled.status in ("crashed", "client_gone"):
        return True
    if settled.status in ("ok", "cache_hit"):
        # A crash can keep the fact that a call succeeded and lose its result; only a harmless call is made for it again.
        return action.content is None and action.effect != "once"
    return _may_have_happened(settled, action.effect)


def _may_have_happened(settled: Settled, effect: Effect) -> bool:
    """A failure that does not say how far the tool got; for effects that bear no blind repetition it stays open."""
    return effect in ("reconcile", "once") and (
        settled.status == "timeout" or settled.error in (UNEXPECTED, "reconcile_failed")
    )


def _again(action: Action, *, ask_first: bool) -> PlannedCall:
    return PlannedCall(
        name=action.name,
        arguments=action.arguments,
        effect=action.effect,
        key=action.key,
        tool_call_id=action.tool_call_id,
        compensates=action.compensates,
        ask_first=ask_first,
        refused=action.refused,
    )


def rulings(state: State, signals: Sequence[Signal]) -> list[Entry]:
    """What people decided about actions in doubt, as entries; what fits no doubt, or comes second, is noted and changes nothing."""
    entries, doubted = list[Entry](), {action.step for action in state.actions if action.doubted}
    for signal in signals:
        if signal.name == DOUBT_SIGNAL:
            entries.append(_ruling(doubted, signal))
            if isinstance(event := entries[-1][0], DoubtSettled):
                doubted.remove(event.step)
    return entries


def _ruling(doubted: Collection[int], signal: Signal) -> Entry:
    given: dict[str, Any] = signal.payload
    step, decision = given.get("step"), given.get("decision")
    if step not in doubted or decision not in _DECISIONS:
        return noted(
            "signal_ignored", f"{signal.id}: step {step} is not in doubt, or {decision!r} is none of {_DECISIONS}"
        )
    content = {"result": given.get("result")} if decision == "done" else None
    return DoubtSettled(int(step or 0), decision, str(given.get("who", ""))), content
