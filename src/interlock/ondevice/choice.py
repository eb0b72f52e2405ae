"""How much of what was found to answer with: the best block of an article, or the two best, and how likely the answer is in it.

Below: `logistic`. Above: `passages`. Learned from the articles themselves: each heading is a question that the block under it
answers, and the blocks of all articles that are searched together compete for it, with their own headings kept out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interlock.ondevice.logistic import Floats, Logistic, fit_logistic

ENOUGH = 40  # questions, below which nothing is learned
ALONE = 0.97  # chance from which the best block answers without the second


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One question: the raw scores of the competing blocks, best first, and which of them answered it."""

    raw: Sequence[float]
    right: int
    """Place of the right block among them; beyond the second it is lost."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Curves from the leads of the best blocks to chances, and the floor above which the mean chance keeps a promise."""

    one: Logistic
    two: Logistic
    floor: float

    def of(self, raw: Sequence[float]) -> tuple[int, float, bool]:
        """(how many of the best blocks to answer with, the chance that the answer is in them, whether that is enough)."""
        row = np.array([leads(raw)])
        alone = float(self.one.chances(row)[0])
        if alone >= max(ALONE, self.floor) or len(raw) < 2:
            return 1, alone, alone >= self.floor
        both = float(self.two.chances(row)[0])
        return 2, both, both >= self.floor

    def numbers(self) -> Floats:
        """For `from_numbers`."""
        return np.array([*self.one.slopes, self.one.offset, *self.two.slopes, self.two.offset, self.floor])

    @classmethod
    def from_numbers(cls, numbers: npt.NDArray[np.float64]) -> Choice | None:
        """The choice that `numbers` came from; `None` for none at all."""
        if not len(numbers):
            return None
        a, b, offset, c, d, other, floor = (float(each) for each in numbers)
        return cls(Logistic((a, b), offset), Logistic((c, d), other), floor)


def leads(raw: Sequence[float]) -> tuple[float, float]:
    """How far the best block is ahead of the second, and the second of the third; what is not there scores nothing."""
    first, second, third = (*raw[:3], *(0.0,) * (3 - min(3, len(raw))))
    return first - second, second - third


def learn(questions: Sequence[Rehearsed], promise: float) -> Choice | None:
    """What the rehearsal teaches; `None` where there were too few questions, or nothing ever went wrong or right."""
    if len(questions) < ENOUGH:
        return None
    rows = np.array([leads(each.raw) for each in questions])
    places = np.array([each.right for each in questions])
    weights = np.ones(len(rows))
    one, two = fit_logistic(rows, places < 1, weights), fit_logistic(rows, places < 2, weights)
    return Choice(one, two, _floor(two.chances(rows), promise))


def _floor(chances: Floats, promise: float) -> float:
    """The lowest chance such that the questions at or above it have a mean chance of at least `promise`."""
    falling = np.sort(chances)[::-1]
    kept = np.cumsum(falling) / np.arange(1, len(falling) + 1) >= promise
    return float(falling[int(kept.sum()) - 1]) if kept.any() else 1.01
