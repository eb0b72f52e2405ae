"""Texts that give orders: how often signs of injections came, from which source, and whether that is more than it was.

Above: alarms' reader, pages. Below: core's meters. Pure. A sign is no proof (docs/pii.md has the detector's figures); many more of them from one source than in
the weeks before is worth a look.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from msgspec import Struct

from interlock.core.meters import MeterRow

INJECTION = "injection"
REQUESTS = "requests"
"""The source of what callers and users wrote."""
FEWEST = 5
CHANCE = 1e-4
DAYS_BEFORE = 27
_LEAST_A_DAY = 0.2


class Signs(Struct, frozen=True):
    """Of one workflow and source."""

    workflow: str
    source: str
    """A tool's name, or `requests`."""
    day: int
    """Calls with a sign in the last 24 hours."""
    before: float
    """By day in the four weeks before."""
    families: tuple[str, ...]
    """Kinds of signs in the last 24 hours: `override`, `exfiltration`."""
    more: bool
    """More than chance makes of what it was."""


def signs(rows: Iterable[MeterRow], hour: int) -> list[Signs]:
    """By workflow and source, those with the most first; `rows` of the last 28 days, `hour` is now."""
    day: dict[tuple[str, str], int] = {}
    before: dict[tuple[str, str], int] = {}
    kinds: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row.meter != "signals" or not row.label.startswith(INJECTION):
            continue
        sign, _, source = row.label.partition(" from ")
        key = row.workflow, source or REQUESTS
        if hour - row.hour < 24:
            day[key] = day.get(key, 0) + row.n
            kinds.setdefault(key, {})[sign.partition(":")[2] or sign] = None
        else:
            before[key] = before.get(key, 0) + row.n
    found = [
        Signs(*key, n, rate, tuple(kinds.get(key, ())), n >= FEWEST and _at_least(n, max(rate, _LEAST_A_DAY)) < CHANCE)
        for key in {**day, **before}
        for n, rate in ((day.get(key, 0), before.get(key, 0) / DAYS_BEFORE),)
    ]
    return sorted(found, key=lambda each: (-each.day, each.workflow, each.source))


def _at_least(n: int, mean: float) -> float:
    """The chance that a Poisson count of that mean is `n` or more (as a bound for large ones: Chernoff)."""
    if n <= mean:
        return 1.0
    return math.exp(-mean + n - n * math.log(n / mean))
