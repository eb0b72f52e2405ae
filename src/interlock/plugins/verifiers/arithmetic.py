"""Works out again the sums that an answer states, and looks at which numbers of the question it used.

Above: found by name. Below: `sums`, `core`. On 659 grade-school answers of a small model, a sum that was wrong meant a wrong answer
twice in three times, against one in three overall (docs/routing.md).
"""

from __future__ import annotations

import re
from fractions import Fraction

import msgspec

from interlock.core.verify import Answered, Finding, Needs, Verifier
from interlock.plugins.sums import Sum, numbers, sums

NEEDS: Needs = "answer"
NAMED = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12,
    "dozen": 12, "twenty": 20, "thirty": 30, "half": 2, "twice": 2, "double": 2, "triple": 3, "third": 3, "quarter": 4,
}  # fmt: skip
"""Number words worth looking for."""
_LESS = re.compile(
    r"\b(?:less|fewer|left|remain\w*|difference|change|more than|discount|save\w*|spen[dt]\w*)\b", re.IGNORECASE
)
_PARTS = re.compile(r"\b(?:average|split|equally|divided?|shared?|per cent|fraction|ratio)\b", re.IGNORECASE)


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`routing.verifiers.arithmetic`."""

    tolerated: int = 0
    """Sums that may be wrong before the score is 0."""


class Arithmetic:
    """The verifier."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def check(self, answered: Answered) -> Finding:
        text = answered.response.text
        stated = sums(text)
        wrong = [each for each in stated if not each.right]
        signals = _signals(answered.question, text, stated, wrong)
        if not stated:
            return Finding(None, signals)
        if len(wrong) <= self._settings.tolerated:
            return Finding(1.0, signals)
        first = wrong[0]
        why = f"{len(wrong)} of {len(stated)} sums are wrong, the first says {_shown(first.stated)} where it is {_shown(first.computed)}"
        return Finding(0.0, signals, why)


def build(settings: Settings) -> Verifier:
    """The verifier."""
    return Arithmetic(settings)


def _signals(question: str, text: str, stated: list[Sum], wrong: list[Sum]) -> dict[str, float]:
    said, given = numbers(text), _given(question)
    results = {each.stated for each in stated} | {each.computed for each in stated}
    worked = {operand for each in stated for operand in each.operands}
    signs = "".join(each.signs for each in stated)
    last = said[-1] if said else None
    unused = [each for each in given if each not in said]
    loose = [each for each in results if each not in worked and each != last]
    return {
        "stated": float(min(len(stated), 20)),
        "wrong": float(min(len(wrong), 5)),
        "any_wrong": float(bool(wrong)),
        "unused": _share(unused, given),
        "unused_count": float(min(len(unused), 5)),
        "foreign": _share([each for each in said if each not in given and each not in results], said),
        "foreign_worked": float(min(5, sum(each not in given and each not in results for each in worked))),
        "loose": float(min(len(loose), 5)),
        "fractions": float(min(5, sum(each.denominator != 1 for each in results))),
        "below_zero": float(any(each < 0 for each in results)),
        "last_whole": float(last is None or last.denominator == 1),
        "last_computed": float(last in {each.stated for each in stated}),
        "last_given": float(last in given),
        "steps_per_number": min(4.0, len(set(stated)) / max(1, len(given))),
        "numbers_given": float(min(len(given), 20)),
        "minus_missing": float("-" not in signs and bool(_LESS.search(question))),
        "divide_missing": float("/" not in signs and bool(_PARTS.search(question))),
        "plus_only": float(bool(signs) and set(signs) == {"+"}),
    }


def _given(question: str) -> list[Fraction]:
    words = {word.strip(".,;:!?").lower() for word in question.split()}
    return list(dict.fromkeys([*numbers(question), *(Fraction(NAMED[word]) for word in sorted(words & NAMED.keys()))]))


def _share(some: list[Fraction], of: list[Fraction]) -> float:
    return len(some) / len(of) if of else 0.0


def _shown(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{float(value):.6g}"
