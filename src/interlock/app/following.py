"""A task's records as they come, for a reader who may have gone away and come back: none lost, none twice.

Above: `taskdesk`. Below: the ledger's traces. Records do not come in the order of their numbers: a call that was announced at 7 may settle after another one at 8. So
what a reader has is the highest number that was sent and the gaps below it: `8-7`.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from interlock.ledger.read import TracedStep

MOST_GAPS = 1_000


class Place(Struct, frozen=True):
    """What a reader has."""

    last: int = -1
    missing: frozenset[int] = frozenset()
    """Below `last`, not sent."""

    def __str__(self) -> str:
        return "-".join(map(str, (self.last, *sorted(self.missing))))

    def has(self, number: int) -> bool:
        return number <= self.last and number not in self.missing

    def after(self, number: int) -> Place:
        """With one more record."""
        if number <= self.last:
            return Place(self.last, self.missing - {number})
        return Place(number, self.missing | frozenset(range(self.last + 1, number)))


class Came(Struct, frozen=True):
    """One record, and the place behind it."""

    step: TracedStep
    place: Place


def place_of(text: str) -> Place:
    """The place that a reader names; the beginning where it is none of ours."""
    parts = text.split("-")[: MOST_GAPS + 1]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        return Place()
    last, *missing = map(int, parts)
    return Place(last, frozenset(number for number in missing if number < last))


def news(steps: Sequence[TracedStep], place: Place) -> list[Came]:
    """What is new to a reader, and where it stands after each."""
    found: list[Came] = []
    for step in steps:
        if not place.has(step.step):
            place = place.after(step.step)
            found.append(Came(step, place))
    return found
