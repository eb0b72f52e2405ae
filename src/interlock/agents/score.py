"""Judging finished tasks by what their input lines said should become of them. The runtime never looks at it before.

Above: `service`, `batch`. Below: `state`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from interlock.core.events import OutcomeSeen

from .state import State
from .understand import understanding_of


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
    """One line for each label that does not hold; empty when all do. `intent` and `article` may list several that are right."""
    wrong: list[str] = []
    outcome = state.finished.outcome if state.finished else "waiting_approval"
    if expected.get("outcome") not in (None, "", outcome):
        wrong.append(f"outcome {outcome}, expected {expected['outcome']}")
    intent = _intent(state)
    if expected.get("intent") and intent not in _listed(expected["intent"]):
        wrong.append(f"intent {intent or 'none'}, expected {_or(expected['intent'])}")
    cited: list[Any] = state.answer.get("citations") or []
    if expected.get("article") and not set(_listed(expected["article"])) & set(cited):
        wrong.append(f"cited {', '.join(map(str, cited)) or 'nothing'}, expected {_or(expected['article'])}")
    said = _plain(str(state.answer.get("answer") or ""))
    wanted = _listed(expected.get("contains") or [])
    wrong += [f"the answer lacks {piece!r}" for piece in wanted if _plain(str(piece)) not in said]
    return wrong


def _plain(text: str) -> str:
    """Lower case, white space run together: a line break in an answer is not a fault."""
    return " ".join(text.lower().split())


def _listed(label: Any) -> list[Any]:
    return cast("list[Any]", label) if isinstance(label, list) else [label]


def _or(label: Any) -> str:
    return " or ".join(str(each) for each in _listed(label))


def _intent(state: State) -> str:
    output = state.answer.get("output")
    if isinstance(output, dict) and "intent" in output:
        return str(cast("dict[str, Any]", output)["intent"])
    understood = understanding_of(state)
    return understood.intent if understood else ""
