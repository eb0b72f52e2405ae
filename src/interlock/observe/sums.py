"""What the hours' roll-ups and meters add up to since the ledger began, by the labels of each instrument.

Above: instruments. Below: `core`. Hours that nobody adds to any more are summed once and kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy
from typing import Protocol

from interlock.core.meters import MeterRow
from interlock.core.money import BUCKETS
from interlock.core.sketch import Counts, merged
from interlock.core.store import WHOLE_CALLS, RollFilter, RollRow

from .families import Labels

NS_PER_HOUR = 3_600_000_000_000
SETTLED_HOURS = 26
"""Calls are booked in the hour in which they began; none is under way for longer than a day."""
MOST_VALUES = 500
"""Values of one label that get series of their own; callers may name workflows as they like, so there has to be an end."""
REST = "(other)"

Sums = dict[str, dict[Labels, int]]
Spreads = dict[str, dict[Labels, Counts]]


class Source(Protocol):
    """The store, as far as metrics need it."""

    def rolls(self, which: RollFilter) -> list[RollRow]: ...
    def meters(self, which: RollFilter) -> list[MeterRow]: ...


class Total:
    """Everything up to an hour, and what is added to it. One thread at a time."""

    def __init__(self) -> None:
        self.sums: Sums = defaultdict(lambda: defaultdict(int))
        self.spreads: Spreads = defaultdict(dict)

    def add(self, rolls: Iterable[RollRow], meters: Iterable[MeterRow], names: Names) -> None:
        for row in rolls:
            if row.role == "task":
                self._task(row, names)
            else:
                self._call(row, names)
        for meter in meters:
            labels = (meter.tenant, names.known("workflow", meter.workflow), names.known(meter.meter, meter.label))
            self.sums[meter.meter][labels] += meter.n

    def _task(self, row: RollRow, names: Names) -> None:
        workflow = names.known("workflow", row.workflow)
        self.sums["tasks"][row.tenant, workflow, row.status, row.tier, _flag(row.simulated)] += row.n
        self._spread("task_duration", (row.tenant, workflow, row.status), row.latency)

    def _call(self, row: RollRow, names: Names) -> None:
        workflow, name = names.known("workflow", row.workflow), names.known("name", row.name)
        simulated = _flag(row.simulated)
        common = (row.tenant, workflow, row.kind, name, row.deployment)
        outcome = (*common, row.tier, row.status, row.cache, simulated)
        self.sums["calls" if row.role in WHOLE_CALLS else "attempts"][outcome] += row.n
        for bucket in BUCKETS:
            if amount := getattr(row.usage, bucket):
                self.sums["tokens"][*common, bucket, simulated] += amount
        for line, cost in row.lines_nano_usd.items():
            self.sums["cost"][*common, line, simulated] += cost
        if row.saved_nano_usd:
            self.sums["saved"][row.tenant, workflow, row.cache] += row.saved_nano_usd
        if row.role in WHOLE_CALLS:
            self._spread("call_duration", (*common, row.status), row.latency)

    def _spread(self, name: str, labels: Labels, latency: Counts) -> None:
        known = self.spreads[name]
        known[labels] = merged((known[labels], latency)) if labels in known else dict(latency)


class Names:
    """Keeps the number of label values bounded: those seen first keep their names."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._most = most
        self._seen: dict[str, set[str]] = defaultdict(set)

    def known(self, label: str, value: str) -> str:
        seen = self._seen[label]
        if value in seen:
            return value
        if len(seen) >= self._most:
            return REST
        seen.add(value)
        return value


class Running:
    """The totals of now: old hours are read once, the last `SETTLED_HOURS` each time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = Names()
        self._old = Total()
        self._from_hour = 0
        self.first_hour = 0
        """The first hour with anything in it."""

    def total(self, now_ns: int) -> Total:
        """May raise StoreUnavailable."""
        which = RollFilter(since_ns=self._from_hour * NS_PER_HOUR)
        rolls, meters = self._source.rolls(which), self._source.meters(which)
        self.first_hour = self.first_hour or min((row.hour for row in rolls), default=0)
        first_open = now_ns // NS_PER_HOUR - SETTLED_HOURS
        if first_open > self._from_hour:
            self._old.add(
                [row for row in rolls if row.hour < first_open],
                [row for row in meters if row.hour < first_open],
                self._names,
            )
            self._from_hour = first_open
            rolls = [row for row in rolls if row.hour >= first_open]
            meters = [row for row in meters if row.hour >= first_open]
        now = deepcopy(self._old)
        now.add(rolls, meters, self._names)
        return now


def _flag(value: bool) -> str:
    return "true" if value else "false"
