"""What became of tasks held against the labels of their input file (`expected`), after the fact: no task ever sees its label.

Above: `run`. Below: core. Whether an answer holds what its label asks for is judged by the agents when a task finishes; here that
judgement becomes the words of a summary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from .palette import BAD_ENDS

Verdict = Literal["right", "wrong", "missed", "simulated", "unfinished"]
"""As labelled · not as labelled · left to a person though the label has an answer · a simulated model answered · not over."""

TO_A_PERSON = ("handed_to_human", "denied")


def verdict(expected: Mapping[str, Any], outcome: str, success: bool | None) -> Verdict:
    """How one task compares with its label; `success` is what the agents found when they compared the answer with it."""
    wanted = expected.get("outcome") or "resolved"
    if outcome == "simulated":
        return "simulated"
    if not outcome or outcome in BAD_ENDS:
        return "unfinished"
    if outcome != wanted:
        return "missed" if wanted == "resolved" and outcome in TO_A_PERSON else "wrong"
    return "right" if outcome != "resolved" or success else "wrong"
