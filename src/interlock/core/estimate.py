"""Confidence intervals: for shares, and for the cost of a success.

Above: observe, economics. Below: the standard library. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

ONE_SIDED_95 = 1.645
TWO_SIDED_95 = 1.96
FEWEST_SUCCESSES = 5
"""Below these, nothing is said of money by success."""


class Interval(Struct, frozen=True):
    """Where the figure that is meant lies, 95 times of 100."""

    low: float
    high: float


def wilson(hits: int, n: int, *, z: float = TWO_SIDED_95) -> Interval:
    """The share behind `hits` of `n` (Wilson 1927); nothing is known of none. Either end by itself is `ONE_SIDED_95`'s at that `z`."""
    if n <= 0:
        return Interval(0.0, 1.0)
    share, square = hits / n, z * z
    middle = (share + square / (2 * n)) / (1 + square / n)
    reach = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return Interval(0.0 if not hits else max(0.0, middle - reach), 1.0 if hits == n else min(1.0, middle + reach))


def per_success(costs: Sequence[int], good: Sequence[bool]) -> Interval | None:
    """Factors for the cost of a success that was seen: the one that is meant lies between `low` and `high` times it.

    `costs` and `good` belong to single tasks; each task is taken to be independent of the others. The logarithm of a
    ratio of two means, by the delta method (Cochran 1977, section 6.3). `None` for fewer than `FEWEST_SUCCESSES`, or where nothing was spent.
    """
    seen, successes, spent = len(costs), sum(good), sum(costs)
    if successes < FEWEST_SUCCESSES or not spent or seen < 2:
        return None
    cost, share = spent / seen, successes / seen
    variance = sum((c / cost - g / share) ** 2 for c, g in zip(costs, good, strict=True)) / (seen - 1)
    reach = math.exp(TWO_SIDED_95 * math.sqrt(variance / seen))
    return Interval(1 / reach, reach)
