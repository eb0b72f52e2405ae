"""Answers held against the labels of an input file (`expected`), after the fact: no task ever sees its label.

Above: `run`. Below: nothing. A label may name the outcome, the intent, the article and phrases that the answer has to hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from .text import compact

Verdict = Literal["right", "wrong", "missed", "simulated", "unfinished"]
"""As labelled · not as labelled · left to a person though the label has an answer · a simulated model answered · not over."""

_TO_A_PERSON = ("handed_to_human", "denied")
_STOPPED = ("failed", "limit_reached", "cancelled")


class Score(Struct, frozen=True):
    """How one task compares with its label."""

    verdict: Verdict
    expected: str
    """The outcome on the label, `resolved` where it names none."""
    why: str = ""


def score(
    expected: Mapping[str, Any], *, outcome: str, answer: Any, citations: Sequence[str], intent: str = ""
) -> Score:
    """The verdict on one task, and what speaks against it."""
    wanted = str(expected.get("outcome") or "resolved")
    if outcome == "simulated":
        return Score("simulated", wanted)
    if outcome in _STOPPED:
        return Score("unfinished", wanted, f"it ended {outcome}")
    if outcome != wanted:
        if wanted == "resolved" and outcome in _TO_A_PERSON:
            return Score("missed", wanted, "a person has to answer")
        return Score("wrong", wanted, f"expected {wanted}, it was {outcome}")
    against = faults(expected, answer=answer, citations=citations, intent=intent) if outcome == "resolved" else []
    return Score("wrong", wanted, "; ".join(against)) if against else Score("right", wanted)


def faults(expected: Mapping[str, Any], *, answer: Any, citations: Sequence[str], intent: str) -> list[str]:
    """Everything on the label that a finished answer does not satisfy."""
    found: list[str] = []
    intents = listed(expected.get("intent"))
    if intents and intent and intent not in intents:
        found.append(f"expected intent {' or '.join(intents)}, it was {intent}")
    articles = listed(expected.get("article"))
    if articles and not set(articles) & set(citations):
        found.append(f"expected article {' or '.join(articles)}, cited {', '.join(citations) or 'none'}")
    text = plain(answer)
    found.extend(
        f"the answer lacks {phrase!r}" for phrase in listed(expected.get("contains")) if phrase.casefold() not in text
    )
    return found


def plain(answer: Any) -> str:
    """An answer's text without differences of case and spacing."""
    return " ".join(compact(answer).casefold().split())


def listed(value: Any) -> list[str]:
    """One string, or several, or none, as a list."""
    if value is None or value == "":
        return []
    values: list[Any] = list(value) if isinstance(value, list | tuple) else [value]  # pyright: ignore[reportUnknownArgumentType]
    return [" ".join(str(each).split()) for each in values]
