"""Looks at how an answer ends and how long it is: cut off, empty, repeating itself, far from the usual length.

Above: found by name. Below: `core`.
"""

from __future__ import annotations

import math

import msgspec

from interlock.core.verify import Answered, Finding, Needs, Verifier

NEEDS: Needs = "answer"
RESULT_WORDS = 3


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`routing.verifiers.length`."""

    min_chars: int = 1
    max_chars: int = 200_000


class Length:
    """The verifier."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def check(self, answered: Answered) -> Finding:
        response = answered.response
        text = response.text.strip()
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        repeated = len(lines) - len(set(lines))
        signals = {
            "log_chars": math.log1p(len(text)),
            "log_lines": math.log1p(len(lines)),
            "longest_line": math.log1p(max(map(len, lines), default=0)),
            "cut": float(response.finish == "length"),
            "repeated": float(min(repeated, 10)),
            "ends_open": float(_ends_open(lines[-1] if lines else "")),
            "unclosed": float(
                any(text.count(left) > text.count(right) for left, right in ("()", "[]", "{}", ("<<", ">>")))
            ),
            "log_ratio": math.log1p(len(text)) - math.log1p(len(answered.question)),
        }
        why = self._why(response.finish, len(text), repeated, len(lines), bool(response.tool_calls))
        return Finding(0.0 if why else 1.0, signals, why)

    def _why(self, finish: str, chars: int, repeated: int, lines: int, calls: bool) -> str:
        if finish == "length":
            return "the answer was cut off at the output limit"
        if finish == "content_filter":
            return "the vendor's content filter ended the answer"
        if chars < self._settings.min_chars and not calls:
            return f"the answer has {chars} characters, fewer than {self._settings.min_chars}"
        if chars > self._settings.max_chars:
            return f"the answer has {chars} characters, more than {self._settings.max_chars}"
        if lines >= 6 and repeated * 2 > lines:  # a loop, not a refrain
            return f"{repeated} of {lines} lines repeat an earlier one"
        return ""


def _ends_open(line: str) -> bool:
    """The last line neither ends as a sentence does, nor is it a bare result such as `#### 12`."""
    return bool(line) and line[-1] not in ".!?)]}\"'`|*$" and len(line.split()) > RESULT_WORDS


def build(settings: Settings) -> Verifier:
    """The verifier."""
    return Length(settings)
