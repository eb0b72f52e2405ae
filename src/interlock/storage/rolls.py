"""What a batch of calls adds to the hours' roll-ups.

Above: writes. Below: core. Pure: values in, sums out. A batch holds many calls of few kinds, so shares are gathered by kind first
and each column is summed once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import structs

from interlock.core.events import Record, Settled
from interlock.core.money import BUCKETS, Price, bucket_cost
from interlock.core.sketch import Counts, bucket_of, packed
from interlock.core.store import LINES, CostPart, parts_of

NS_PER_HOUR = 3_600_000_000_000

PriceOfVersion = Callable[[str], Price | None]
RollKey = tuple[int, str, str, str, str, str, str, str, int, str, str]
"""Hour, tenant, workflow, role, kind, name, deployment, tier, simulated, cache, status."""
_OTHER = len(BUCKETS)
"""Place of `other` among the lines."""


class RollSum:
    """What one batch adds to one roll-up row."""

    __slots__ = ("counts", "latency", "lines", "n", "saved", "usage")

    def __init__(self) -> None:
        self.n = 0
        self.saved = 0
        self.counts = [0, 0]
        """Real and simulated nano-dollars."""
        self.usage = [0] * len(BUCKETS)
        self.lines = [0] * len(LINES)
        self.latency: Counts = {}

    def took(self, duration_us: int) -> None:
        bucket = bucket_of(duration_us)
        self.latency[bucket] = self.latency.get(bucket, 0) + 1

    def row(self, key: RollKey) -> tuple[Any, ...]:
        """The parameters of `roll.merge`."""
        return (*key, self.n, *self.counts, self.saved, *self.usage, *self.lines, packed(self.latency))


def roll_sums(records: Iterable[Record], price_of: PriceOfVersion) -> dict[RollKey, RollSum]:
    """What the calls among `records` add to the roll-ups."""
    shares: dict[tuple[RollKey, str], list[CostPart]] = defaultdict(list)
    sums: dict[RollKey, RollSum] = defaultdict(RollSum)
    for record in records:
        call = record.event
        if not isinstance(call, Settled):
            continue
        hour, workflow = call.started_ns // NS_PER_HOUR, call.caller.workflow
        for part in parts_of(call):
            whole = part.role == "call"
            key: RollKey = (
                hour,
                record.tenant,
                workflow,
                part.role,
                call.kind,
                call.name,
                part.deployment,
                part.tier,
                int(part.simulated),
                call.cache if whole else "",
                part.status,
            )
            shares[key, part.price].append(part)
            if whole:
                into = sums[key]
                into.saved += call.saved_nano_usd
                into.took(call.duration_us)
    for (key, version), parts in shares.items():
        _add(sums[key], parts, price_of(version) if version else None)
    return sums


def _add(into: RollSum, parts: Sequence[CostPart], price: Price | None) -> None:
    """Adds up shares of one kind at one price; what the price does not explain of their money is `other`."""
    cost = sum([part.cost_nano_usd for part in parts])
    into.n += len(parts)
    into.counts[parts[0].simulated] += cost
    into.lines[_OTHER] += cost
    rates = (0,) * len(BUCKETS) if price is None else structs.astuple(price.rates)
    columns = zip(*[structs.astuple(part.usage) for part in parts], strict=True)
    for place, (name, rate, column) in enumerate(zip(BUCKETS, rates, columns, strict=True)):
        amount = sum(column)
        if not amount:
            continue
        into.usage[place] += amount
        if rate:
            explained = sum([bucket_cost(name, rate, each) for each in column])
            into.lines[place] += explained
            into.lines[_OTHER] -= explained
