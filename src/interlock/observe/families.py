"""Metrics as values: families of samples, before they are put on any wire.

Above: instruments make them; prometheus and otlp_metrics write them. Below: the sketch of the roll-ups. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from interlock.core.sketch import Counts, value_of

BOUNDS_S: tuple[float, ...] = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Upper edges of the buckets of durations, those that OpenTelemetry's GenAI conventions advise for operations."""

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[str, ...]
"""Values, in the order of the family's label names."""


class Histogram(Struct, frozen=True):
    """How values are spread: how many fell into each bucket, the last of which has no upper edge."""

    counts: tuple[int, ...]
    """One more than `bounds`; not cumulative."""
    bounds: tuple[float, ...]
    total: float
    """Sum of the values. That of durations is off by 2 % at most, as their sketch is."""

    @property
    def count(self) -> int:
        return sum(self.counts)


class Family(Struct, frozen=True):
    """One metric with all its label values."""

    name: str
    """Without `_total`, which counters get where they are written."""
    help: str
    kind: Kind
    labels: tuple[str, ...]
    samples: Mapping[Labels, float | Histogram]
    unit: str = ""
    """`seconds`, `usd`, `tokens`; already part of the name."""


def spread(durations: Counts) -> Histogram:
    """A sketch of microseconds as a histogram of seconds."""
    pairs = [(value_of(bucket) / 1e6, n) for bucket, n in durations.items()]
    return spread_of(pairs, BOUNDS_S)


def spread_of(pairs: Iterable[tuple[float, int]], bounds: tuple[float, ...]) -> Histogram:
    """(value, how often) as a histogram; a value on an edge belongs to the bucket below it."""
    counts = [0] * (len(bounds) + 1)
    total = 0.0
    for value, n in pairs:
        counts[next((place for place, edge in enumerate(bounds) if value <= edge), len(bounds))] += n
        total += value * n
    return Histogram(tuple(counts), bounds, total)


def added(kind: Kind, one: float | Histogram, other: float | Histogram) -> float | Histogram:
    """Two samples as one, where a label that told them apart is left out."""
    if isinstance(one, Histogram) and isinstance(other, Histogram):
        counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
        return Histogram(counts, one.bounds, one.total + other.total)
    assert isinstance(one, int | float)
    assert isinstance(other, int | float)
    return max(one, other) if kind == "gauge" else one + other
