"""The hand-over to a person: what the queue shows, so that nobody has to ask the customer twice.

Above: `decide`. Below: `state`. The content stays readable until the person has closed the task, whatever `store_prompts` says.
"""

from __future__ import annotations

from typing import Any

from interlock.core.events import Finished

from .actions import Entry, Finish
from .state import Action, State
from .understand import understanding_of


def hand_over(state: State, error: str, reason: str, notes: tuple[Entry, ...] = ()) -> Finish:
    """The end in a person's queue, with everything that was gathered."""
    understood = understanding_of(state)
    finished = Finished(
        "handed_to_human",
        confidence=understood.confidence if understood else None,
        escalations=state.escalations,
        error=error,
        message=reason,
    )
    return Finish(finished, {"answer": None, "handover": {"reason": reason, **gathered(state)}}, notes)


def gathered(state: State) -> dict[str, Any]:
    """What is known: the input, what was understood, the slots found, what the tools said and did."""
    known: dict[str, Any] = {"input": state.input}
    understood = understanding_of(state)
    if understood is not None:
        known["understood"] = {
            "intent": understood.intent,
            "confidence": understood.confidence,
            "accepted": understood.accepted,
            "runner_up": understood.runner_up,
        }
        if understood.passage is not None:
            known["passage"] = understood.passage
    left = state.note("left_flow")
    if left is not None:
        known |= {key: value for key, value in left.content.items() if key in ("slots", "missing")}
    calls = [_call(action) for action in state.actions if action.kind == "tool"]
    if calls:
        known["tools"] = calls
    return known


def _call(action: Action) -> dict[str, Any]:
    shown: dict[str, Any] = {"tool": action.name, "arguments": action.arguments, "step": action.step}
    if action.ok:
        return {**shown, "result": action.result}
    content = action.content or {}
    status = action.settled.status if action.settled else "unknown"
    return {**shown, "status": status, **({"error": content["error"]} if "error" in content else {})}
