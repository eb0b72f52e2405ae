"""What the month will have cost. Above: pages. Below: core. Pure.

What is spent, and for each day that is left the middle of the last full days; how far those days lie apart says how far the sum may be off. Needs
three full days; a month that begins or a workload that changes shows in the interval, not in the middle.
"""

from __future__ import annotations

import calendar
import datetime as dt
import math
from collections.abc import Iterable
from statistics import fmean, stdev

from msgspec import Struct

from interlock.core.estimate import TWO_SIDED_95
from interlock.core.store import RollRow

DAYS = 14
FEWEST = 3
_HOURS = 24


class Forecast(Struct, frozen=True):
    """Of the current month, UTC."""

    spent_nano_usd: int
    expected_nano_usd: int | None
    """At the month's end; `None` with fewer than three full days behind it."""
    low_nano_usd: int | None
    high_nano_usd: int | None
    """95 % of months like the last days end between these."""


def since_hour(hour: int) -> int:
    """From which hour on roll-ups are needed for a forecast at `hour` (of the epoch)."""
    return min(_month(hour)[0], hour // _HOURS * _HOURS - DAYS * _HOURS)


def forecast(rolls: Iterable[RollRow], hour: int) -> Forecast:
    """The forecast at `hour`; `rolls` since `since_hour`."""
    begin, end = _month(hour)
    today = hour // _HOURS
    days = dict.fromkeys(range(today - DAYS, today), 0)
    spent = now = first = 0
    for row in rolls:
        if row.role == "task":
            continue
        day = row.hour // _HOURS
        first = min(first or day, day)
        spent += row.cost_nano_usd if row.hour >= begin else 0
        now += row.cost_nano_usd if day == today else 0
        if day in days:
            days[day] += row.cost_nano_usd
    full = [cost for day, cost in days.items() if first and day >= first]
    if len(full) < FEWEST:
        return Forecast(spent, None, None, None)
    middle, apart = fmean(full), stdev(full)
    left = (end - (today + 1) * _HOURS) / _HOURS + max(0.0, 1 - now / middle if middle else 0.0)
    reach = TWO_SIDED_95 * apart * math.sqrt(left + left * left / len(full))
    expected = spent + round(left * middle)
    return Forecast(spent, expected, max(spent, round(expected - reach)), round(expected + reach))


def _month(hour: int) -> tuple[int, int]:
    """The first hour of the month, and of the next one."""
    now = dt.datetime.fromtimestamp(hour * 3600, dt.UTC)
    first = now.replace(day=1, hour=0)
    begin = int(first.timestamp()) // 3600
    return begin, begin + calendar.monthrange(now.year, now.month)[1] * _HOURS
