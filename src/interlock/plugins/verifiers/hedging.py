"""Finds answers that refuse or take themselves back: "I cannot help with that", "it is not clear", "as an AI".

Above: found by name. Below: `core`. English phrases; further ones can be given.
"""

from __future__ import annotations

import re

import msgspec

from interlock.core.verify import Answered, Finding, Needs, Verifier

NEEDS: Needs = "answer"
REFUSALS = (
    r"\bI(?:'m| am) (?:sorry|unable|not able|afraid)\b",
    r"\bI (?:cannot|can't|can not|won't|am not allowed to) (?:help|assist|answer|provide|do|determine|give|access|tell)\b",
    r"\bas an AI\b",
    r"\b(?:cannot|can't|can not|impossible to) be (?:determined|answered|calculated)\b",
    r"\b(?:not|no) (?:enough|sufficient) information\b",
    r"\binsufficient information\b",
)
HEDGES = (
    r"\b(?:perhaps|maybe|possibly|presumably)\b",
    r"\bI(?:'m| am) not (?:sure|certain)\b",
    r"\bI (?:think|believe|guess|assume)\b",
    r"\bit(?:'s| is) (?:not clear|unclear|ambiguous|hard to say|difficult to say)\b",
    r"\b(?:assuming|assume|if we assume|let's assume)\b",
    r"\b(?:wait|actually|correction|however, (?:this|that|we)|mistake|let me (?:re-?check|try again))\b",
    r"\b(?:approximately|roughly|about|around)\b",
)
HEDGES_SHOWN = 6
MAX_CHARS = 10_000
"""Text beyond this is not looked at."""


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`routing.verifiers.hedging`."""

    refusals: tuple[str, ...] = ()
    """Further phrases (plain text) that make an answer a refusal."""
    tolerated: int = 2
    """Hedging words before the score sinks."""


class Hedging:
    """The verifier."""

    def __init__(self, settings: Settings) -> None:
        self._tolerated = settings.tolerated
        phrases = [*REFUSALS, *(re.escape(each) for each in settings.refusals)]
        self._refusal = re.compile("|".join(phrases), re.IGNORECASE)
        self._hedge = re.compile("|".join(HEDGES), re.IGNORECASE)

    def check(self, answered: Answered) -> Finding:
        text = answered.response.text[:MAX_CHARS]
        refused = answered.response.refusal or next(iter(self._refusal.findall(text)), "")
        hedges = self._hedge.findall(text)
        signals = {"refused": float(bool(refused)), "hedges": float(min(len(hedges), HEDGES_SHOWN))}
        if refused:
            return Finding(0.0, signals, f"the answer refuses: {str(refused)[:60]!r}")
        over = max(0, len(hedges) - self._tolerated)
        if not over:
            return Finding(1.0, signals)
        return Finding(1.0 / (1 + over), signals, f"{len(hedges)} hedging words, such as {hedges[0]!r}")


def build(settings: Settings) -> Verifier:
    """The verifier."""
    return Hedging(settings)
