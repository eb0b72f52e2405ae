"""Recurring schedules: five fields as in crontab(5), in UTC, or a fixed interval.

Above: config reads them, app follows them. Below: time. Pure. Source: POSIX.1-2017, crontab; where both a day of the month and a weekday are named, either is enough.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from .time import NS_PER_S

_BOUNDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_NAMES = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "weekday": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
_LOOK_AHEAD_DAYS = 8 * 366
"""29 February comes round within eight years."""


class Cron(Struct, frozen=True):
    """The minutes at which it is due."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    """Both kinds of day are named, and one of them is enough."""

    def next_after(self, at_ns: int) -> int:
        """The first whole minute after `at_ns` at which it is due, in nanoseconds since the epoch; zero for never (30 February)."""
        when = datetime.fromtimestamp(at_ns // NS_PER_S, UTC).replace(second=0) + timedelta(minutes=1)
        last = when + timedelta(days=_LOOK_AHEAD_DAYS)
        while when < last:
            if not self._on(when):
                when = (when + timedelta(days=1)).replace(hour=0, minute=0)
            elif when.hour not in self.hours:
                when = when.replace(minute=0) + timedelta(hours=1)
            elif when.minute not in self.minutes:
                when += timedelta(minutes=1)
            else:
                return int(when.timestamp()) * NS_PER_S
        return 0

    def _on(self, day: datetime) -> bool:
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (of_month or of_week if self.either else of_month and of_week)


def parse_cron(text: str) -> Cron:
    """Reads `minute hour day month weekday`, e.g. `*/15 8-18 * * mon-fri`.

    Raises:
        ValueError: which field cannot be read, and what it may hold.
    """
    fields = text.split()
    if len(fields) != len(_BOUNDS):
        raise ValueError(f"expected five fields (minute hour day month weekday), found {len(fields)}")
    found = [_field(each, *bounds) for each, bounds in zip(fields, _BOUNDS, strict=True)]
    weekdays = frozenset(day % 7 for day in found[4])
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    cron = Cron(found[0], found[1], found[2], found[3], weekdays, either)
    if not cron.next_after(0):
        raise ValueError("no such day ever comes")
    return cron


def every(seconds: float, at_ns: int) -> int:
    """The first whole multiple of `seconds` since the epoch after `at_ns`: the same instant in every process."""
    step = round(seconds * NS_PER_S)
    return (at_ns // step + 1) * step


def _field(text: str, name: str, low: int, high: int) -> frozenset[int]:
    values: set[int] = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (_number(first, name), _number(last if dash else first, name))
        if step and not dash and span != "*":
            end = high
        width = _number(step, "step") if step else 1
        if not (low <= begin <= end <= high) or width < 1:
            raise ValueError(f"{name}: {part!r} is not within {low}-{high}")
        values.update(range(begin, end + 1, width))
    return frozenset(values)


def _number(text: str, name: str) -> int:
    names = _NAMES.get(name, ())
    if text in names:
        return names.index(text) + (1 if name == "month" else 0)
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        raise ValueError(f"{name}: {text!r} is no number")
    return int(text)
