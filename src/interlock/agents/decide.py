"""What happens next in a task: a pure function of its state, its contract and the time.

Above: `run`. Below: one module per kind of decision. The order of the questions is the policy: what is in doubt first, then undoing,
then people's and the clock's decisions, then limits, then the work itself.
"""

from __future__ import annotations

from . import anomalies, approve, compensate, converse, doubt, flow, limits, understand, waits
from .actions import CallModel, Decision, Over, Wait, Write
from .contract import Contract
from .state import State

CANCEL_NOTE = "cancel"
CHANGED_NOTE = "contract_changed"
"""Name of the note that the contract is another one now, and that this ends the task."""
_MAX_QUESTIONS = 3
_PAUSE = "paused"


def decide(state: State, contract: Contract, now_ns: int) -> Decision:
    """The next action. Asked again with the same state it says the same."""
    if state.finished is not None:
        return Over()
    decision = (
        _paused(state)
        or doubt.next_step(state, contract)
        or compensate.next_step(state, contract)
        or _from_outside(state, contract, now_ns)
        or _stopped(state)
        or anomalies.next_step(state, contract)
        or _understand(state, contract)
        or flow.next_step(state, contract, now_ns)
        or converse.next_step(state, contract, now_ns)
    )
    if isinstance(decision, Wait):
        return Wait(decision.why, 0 if decision.why in (_PAUSE, doubt.WAIT) else _wake_at_ns(state))
    return limits.guard(state, contract, decision, now_ns)


def _from_outside(state: State, contract: Contract, now_ns: int) -> Decision | None:
    expired = approve.expiries(state, now_ns)
    if expired:
        return Write(tuple(expired))
    cancelled = state.note(CANCEL_NOTE)
    if cancelled is not None:
        return compensate.end(state, contract, "cancelled", "cancelled", cancelled.reason)
    changed = state.note(CHANGED_NOTE)
    if changed is not None:
        return compensate.end(state, contract, "failed", CHANGED_NOTE, changed.reason)
    return waits.due(state, now_ns)


def _paused(state: State) -> Decision | None:
    """A task that was paused is left alone, unless it is to end."""
    return Wait(_PAUSE) if state.paused and state.note(CANCEL_NOTE) is None else None


def _wake_at_ns(state: State) -> int:
    """When somebody has to look at a task that waits though nothing has come in; zero: never."""
    questions = [a.asked.expires_ns for a in approve.open_questions(state)]
    return min([*questions, *filter(None, [waits.wake_at_ns(state)])], default=0)


def _stopped(state: State) -> Decision | None:
    hit = limits.refused(state)
    return limits.stop(state, hit) if hit else None


def _understand(state: State, contract: Contract) -> Decision | None:
    """The question to the on-device tier, asked once; again where a crash took the answer."""
    if not contract.tier0:
        return None
    asked = understand.asked(state)
    if asked is None:
        return CallModel(understand.request(state, contract))
    cut_off = asked.settled is None or asked.settled.status in ("crashed", "client_gone")
    lost = asked.ok and asked.content is None
    if (cut_off or lost) and asked.tries < _MAX_QUESTIONS:
        return CallModel(understand.request(state, contract), key=asked.key)
    return None
