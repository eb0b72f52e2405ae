"""Masking in a streamed text: finds are replaced as pieces come, and at most a bounded tail is held back, wherever the pieces are cut.

Above: veil. Below: redact, scan.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .redact import replaced
from .scan import Scanner

HOLD = 256
"""Characters at the end of what has come that may still become part of a find."""
LONGEST = 20_000
"""Characters that are held back at most, inside of a private key say; then they go out redacted."""
_GOES_ON = re.compile(r"^[\w+/=.~-]*")


class Covering:
    """What a scanner finds in one text, replaced as it comes."""

    __slots__ = ("_before", "_instead", "_scanner", "_swallowing", "_tail")

    def __init__(self, scanner: Scanner, instead: Callable[[str, str], str]) -> None:
        """`instead`: (kind, value) → what goes out in its place."""
        self._scanner, self._instead = scanner, instead
        self._tail = ""
        self._before = ""
        """The end of what has gone out, for the words that have to stand before a number."""
        self._swallowing = False

    def feed(self, piece: str) -> str:
        """What may go out now."""
        if self._swallowing:
            piece = self._swallowed(piece)
        text = self._tail + piece
        opened = text.rfind("-----BEGIN")
        unended = opened >= 0 and "-----END" not in text[opened:]
        if len(text) <= HOLD or (unended and len(text) <= LONGEST):
            self._tail = text
            return ""
        return self._out(text, len(text) - HOLD)

    def end(self) -> str:
        """The rest."""
        return self._out(self._tail, len(self._tail))

    def _out(self, text: str, cut: int) -> str:
        """Everything before `cut`, or before the find that reaches over it; one that is longer than may be held goes out now."""
        lead = len(self._before)
        found = [
            each._replace(start=max(0, each.start - lead), end=each.end - lead)
            for each in self._scanner.find(self._before + text)
            if each.end > lead
        ]
        for each in found:
            if each.start < cut < each.end:
                if len(text) - each.start < LONGEST and each.start > 0:
                    cut = each.start
                else:
                    cut, self._swallowing = each.end, each.end == len(text)
        done = [each for each in found if each.end <= cut]
        self._tail = text[cut:]
        self._before = (self._before + text[:cut])[-64:]
        return replaced(text[:cut], done, [self._instead(each.kind, text[each.start : each.end]) for each in done])

    def _swallowed(self, piece: str) -> str:
        """What is left of a piece after the rest of the credential that has gone out as one find."""
        rest = piece[_GOES_ON.match(piece).end() :]  # pyright: ignore[reportOptionalMemberAccess] - it matches the empty text
        self._swallowing = not rest
        return rest
