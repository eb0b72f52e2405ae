"""Judging finished tasks by what their input lines said should become of them. The runtime never looks at it before.

Above: `service`, `batch`. Below: `state`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from interlock.core.events import OutcomeSeen

from .state import State
from .understand import understanding_of

FIELDS = ("outcome", "intent", "article", "contains")


def score(state: State, expected: Mapping[str, Any]) -> OutcomeSeen | None:
    """What the labels say about a finished task: a success is a resolved task of which every label holds.

    A task that ended as labelled without being resolved (handed over, denied) is no success, and the note says that it was right.
    """
    finished = state.finished
    if finished is None or not expected:
        return None
    wrong = mismatches(state, expected)
    note = f"not as expected: {'; '.join(wrong)}" if wrong else f"as expected: {finished.outcome}"
    return OutcomeSeen(not wrong and finished.outcome == "resolved", "expected", note)


def mismatches(state: State, expected: Mapping[str, Any]) -> list[str]:
    """One line for each label that does not hold; empty when all do."""
    wrong: list[str] = []
    outcome = state.finished.outcome if state.finished else "waiting_approval"
    if expected.get("outcome") not in (None, "", outcome):
        wrong.append(f"outcome {outcome}, expected {expected['outcome']}")
    intent = _intent(state)
    if expected.get("intent") not in (None, "", intent):
        wrong.append(f"intent {intent or 'none'}, expected {expected['intent']}")
    cited: list[Any] = state.answer.get("citations") or []
    if expected.get("article") and expected["article"] not in cited:
        wrong.append(f"cited {', '.join(map(str, cited)) or 'nothing'}, expected {expected['article']}")
    said = str(state.answer.get("answer") or "").lower()
    wanted: Any = expected.get("contains") or []
    pieces = cast("list[Any]", wanted) if isinstance(wanted, list) else [wanted]
    wrong += [f"the answer lacks {piece!r}" for piece in pieces if str(piece).lower() not in said]
    return wrong


def _intent(state: State) -> str:
    output = state.answer.get("output")
    if isinstance(output, dict) and "intent" in output:
        return str(cast("dict[str, Any]", output)["intent"])
    understood = understanding_of(state)
    return understood.intent if understood else ""
