"""What the answer itself says of its confidence: a field `confidence` of its JSON, or a line `Confidence: 80%`.

Above: found by name. Below: `core`. Models report too much of it; alone it is weak, in the fitted combination it is calibrated.
"""

from __future__ import annotations

import re

import msgspec

from interlock.core.verify import Answered, Finding, Needs, Verifier

NEEDS: Needs = "answer"
_SAID = re.compile(r"\bconfidence\b[^\d\n]{0,20}(\d{1,3}(?:\.\d+)?)\s*(%|/\s*100|/\s*10)?", re.IGNORECASE)
_WORDS = re.compile(r"\bconfidence\b\W{0,5}(very high|high|medium|moderate|low|very low)\b", re.IGNORECASE)
_MOST = 100
WORDS = {"very high": 0.95, "high": 0.85, "medium": 0.6, "moderate": 0.6, "low": 0.3, "very low": 0.1}


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`routing.verifiers.self_reported`."""

    field: str = "confidence"
    """Of a JSON answer."""


class SelfReported:
    """The verifier."""

    def __init__(self, settings: Settings) -> None:
        self._field = settings.field

    def check(self, answered: Answered) -> Finding:
        said = self._said(answered)
        if said is None:
            return Finding()
        return Finding(said, {"said": said}, "" if said >= 1 else f"the answer reports a confidence of {said:.2f}")

    def _said(self, answered: Answered) -> float | None:
        value = answered.value
        if isinstance(value, dict) and self._field in value:
            said: object = value[self._field]  # pyright: ignore[reportUnknownVariableType]
            if isinstance(said, (int, float)) and not isinstance(said, bool):
                return _share(said, "" if said <= 1 else "%")
        text = answered.response.text
        if match := _SAID.search(text):
            return _share(float(match.group(1)), (match.group(2) or "").replace(" ", ""))
        if match := _WORDS.search(text):
            return WORDS.get(match.group(1).lower())  # none: `hıgh` matches too
        return None


def build(settings: Settings) -> Verifier:
    """The verifier."""
    return SelfReported(settings)


def _share(number: float, unit: str) -> float | None:
    if not 0 <= number <= _MOST:  # a whole number may be too large to divide
        return None
    if unit in ("%", "/100") or (not unit and number > 1):
        number /= 100
    elif unit == "/10":
        number /= 10
    return number if number <= 1 else None
