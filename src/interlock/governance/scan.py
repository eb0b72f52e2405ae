"""Where personal data and credentials stand in a text. Clean text costs one pass of a set matcher; a kind is looked for only where its sign occurs.

Above: redact, veil, streams. Below: folding, kinds, signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple, Protocol

from .folding import folded, span
from .kinds import Kind
from .signs import Part, Signs

TOKEN = re.compile(r"\[([a-z][a-z_]{1,19}):([a-z2-7]{11,1680})\]")
"""What stands for a value that was taken out, see `tokens`; nothing is looked for inside."""


class Find(NamedTuple):
    """One stretch of a text."""

    start: int
    end: int
    kind: str


class Detector(Protocol):
    """Somebody else's eyes, Presidio's say. Called for each text, on the event loop: it has to be quick."""

    def find(self, text: str) -> Iterable[tuple[int, int, str]]:
        """(start, end, kind) in characters of `text`; kinds in lower case."""
        ...


class Scanner:
    """Made once for some kinds."""

    def __init__(self, kinds: Sequence[Kind], detectors: Sequence[Detector] = (), shared: Part | None = None) -> None:
        """`shared`: a matcher of the kinds' signs that others use, too."""
        self._kinds = tuple(kinds)
        self._detectors = tuple(detectors)
        self._shared = shared

    @property
    def by_signs(self) -> bool:
        """A text without any of `signs` holds nothing: there are no detectors."""
        return not self._detectors

    @property
    def signs(self) -> Sequence[str]:
        """Patterns (RE2) of which one occurs wherever there is something."""
        return [kind.sign for kind in self._kinds]

    def over(self, shared: Part) -> Scanner:
        """The same by a matcher of `signs` that others use, too."""
        return Scanner(self._kinds, self._detectors, shared)

    @cached_property
    def _signs(self) -> Signs | Part:
        return self._shared or Signs(self.signs)

    def ready(self) -> None:
        """Does now what the first text would have to wait for."""
        self._signs.of("")

    def find(self, text: str) -> list[Find]:
        """What is there, in its order, without overlaps."""
        if not text:
            return []
        plain, places = folded(text)
        present = self._signs.of(plain)
        if not present and not self._detectors:
            return []
        found: list[tuple[int, int, int, str]] = []
        for index in present:
            kind = self._kinds[index]
            found += [(-kind.rank, *span(places, start, end), kind.name) for start, end in kind.find(plain)]
        for detector in self._detectors:
            found += [(0, start, end, name) for start, end, name in detector.find(text)]
        return _apart(text, found) if found else []


def _apart(text: str, found: list[tuple[int, int, int, str]]) -> list[Find]:
    """The higher rank first, of equals the longer one; what touches a token is left."""
    taken = [found.span() for found in TOKEN.finditer(text)] if "[" in text else []
    kept: list[Find] = []
    for _, start, end, name in sorted(found, key=lambda each: (each[0], each[1] - each[2], each[1])):
        if all(end <= other or start >= stop for other, stop in taken):
            taken.append((start, end))
            kept.append(Find(start, end, name))
    return sorted(kept)
