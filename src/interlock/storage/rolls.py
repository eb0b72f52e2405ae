"""What a batch of calls adds to the hours' roll-ups.

Above: writes. Below: core. Pure: values in, sums out. A batch holds many calls of few kinds, so shares are gathered by kind first
and each column is summed once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct, structs

from interlock.core.events import ApprovalAsked, Finished, Record, Settled
from interlock.core.lots import Lot
from interlock.core.money import BUCKETS, Price, Usage, bucket_costs
from interlock.core.shares import parts_of
from interlock.core.sketch import Counts, bucket_of, packed
from interlock.core.store import LINES

NS_PER_HOUR = 3_600_000_000_000
END_OF_TIME = 1 << 40
"""In hours: no roll-up is later."""

PriceOfVersion = Callable[[str], Price | None]
RollKey = tuple[int, str, str, str, str, str, str, str, int, str, str]
"""Hour, tenant, workflow, role, kind, name, deployment, tier, simulated, cache, status."""
_SIMULATED = 8
"""Place of `simulated` in a key."""
_OTHER = len(BUCKETS)
"""Place of `other` among the lines."""
_INPUT, _OUTPUT = BUCKETS.index("input"), BUCKETS.index("output")
_FEW = 24
"""Calls up to which a `Counter` costs more than it counts."""
_UNUSED = Usage()
Share = tuple[Usage, int]
"""Usage and nano-dollars of one call, or of one of its attempts."""


class RollSum:
    """What one batch adds to one roll-up row."""

    __slots__ = ("counts", "latency", "lines", "n", "saved", "usage")

    def __init__(self, n: int = 0, latency: Counts | None = None) -> None:
        self.n = n
        self.saved = 0
        self.counts = [0, 0]
        """Real and simulated nano-dollars."""
        self.usage = [0] * len(BUCKETS)
        self.lines = [0] * len(LINES)
        self.latency: Counts = {} if latency is None else latency

    def took(self, duration_us: int) -> None:
        bucket = bucket_of(duration_us)
        self.latency[bucket] = self.latency.get(bucket, 0) + 1

    def took_all(self, durations_us: Sequence[int]) -> None:
        latency, buckets = self.latency, map(bucket_of, durations_us)
        if len(durations_us) > _FEW:
            for bucket, n in Counter(buckets).items():
                latency[bucket] = latency.get(bucket, 0) + n
        else:
            for bucket in buckets:
                latency[bucket] = latency.get(bucket, 0) + 1

    def row(self, key: RollKey) -> tuple[Any, ...]:
        """The parameters of `roll.merge`."""
        return (*key, self.n, *self.counts, self.saved, *self.usage, *self.lines, packed(self.latency))


class Kinds(Struct, frozen=True):
    """The calls of a batch, those of one kind together."""

    usual: dict[tuple[RollKey, str], list[Settled]]
    """Nearly all: at most one try, and that the one which answered. By their roll-up and price."""
    others: list[tuple[str, Settled]]
    """The rest, each with its tenant."""
    lots: list[tuple[RollKey, str, Lot]]
    """Usual ones by the lot, likewise with roll-up and price."""
    asked: list[tuple[int, str, ApprovalAsked]] = []
    """Questions to people, each with its hour and tenant."""
    ended: list[tuple[int, str, Finished]] = []
    """Likewise ends of tasks."""


def kinds_of(records: Iterable[Record], lots: Sequence[Lot] = ()) -> Kinds:
    """The calls among `records`, and those of lots that began in one hour each."""
    kinds = Kinds({}, [], [(*_kind_of_lot(lot), lot) for lot in lots])
    sort_into(kinds, records)
    return kinds


def sort_into(kinds: Kinds, records: Iterable[Record]) -> None:
    """Adds the calls among `records` to those that are there."""
    usual = kinds.usual
    for record in records:
        call = record.event
        if not isinstance(call, Settled):
            if isinstance(call, ApprovalAsked):
                kinds.asked.append((record.at_ns // NS_PER_HOUR, record.tenant, call))
            elif isinstance(call, Finished):
                kinds.ended.append((record.at_ns // NS_PER_HOUR, record.tenant, call))
            continue
        tries, version = call.attempts, call.price
        if tries:
            if not one_try(call):
                kinds.others.append((record.tenant, call))
                continue
            version = tries[0].price or version
        kind = (key_of(record.tenant, call), version)
        if (calls := usual.get(kind)) is None:
            usual[kind] = [call]
        else:
            calls.append(call)


def sums_of(
    kinds: Kinds, price_of: PriceOfVersion, beside: Callable[[RollKey, Sequence[Settled]], None]
) -> dict[RollKey, RollSum]:
    """What calls add to the roll-ups.

    `beside` is handed the usual calls of each kind while the processor has them at hand: fetching them anew costs more than what is done with them.
    """
    shares: dict[tuple[RollKey, str], list[Share]] = {}
    sums: dict[RollKey, RollSum] = defaultdict(RollSum)
    for tenant, call in kinds.others:
        _add_parts(shares, sums, tenant, call)
    for (key, version), parts in shares.items():
        _add(sums[key], parts, key[_SIMULATED], price_of(version) if version else None)
    for (key, version), calls in kinds.usual.items():
        into = sums[key]
        into.saved += sum([call.saved_nano_usd for call in calls])
        into.took_all([call.duration_us for call in calls])
        parts = [(call.usage, call.cost_nano_usd) for call in calls]
        _add(into, parts, key[_SIMULATED], price_of(version) if version else None)
        beside(key, calls)
    for key, version, lot in kinds.lots:
        _, _, took_us, inputs, outputs, costs, *_ = zip(*lot.briefs, strict=True)
        into = sums[key]
        into.took_all(took_us)
        columns = ((_INPUT, inputs), (_OUTPUT, outputs))
        _add_columns(into, costs, columns, key[_SIMULATED], price_of(version) if version else None)
    return sums


def one_try(call: Settled) -> bool:
    """Whether the whole of a call was one try at the most, and that the one which answered: by tools, which name no deployment, or by the call's own."""
    if not call.attempts:
        return True
    own = call.attempts[0]
    return (
        len(call.attempts) == 1
        and own.status == "ok"
        and not own.purpose
        and own.simulated == call.simulated
        and (own.deployment == call.deployment or (not call.deployment and call.status == "ok"))
    )


def key_of(tenant: str, call: Settled) -> RollKey:
    """Where the whole of a usual call is summed up."""
    caller = call.caller
    return (
        call.started_ns // NS_PER_HOUR,
        tenant,
        caller.workflow,
        caller.purpose or "call",
        call.kind,
        call.name,
        call.deployment,
        call.tier,
        int(call.simulated),
        call.cache,
        call.status,
    )


def _kind_of_lot(lot: Lot) -> tuple[RollKey, str]:
    sample = lot.form.sample
    key = key_of(sample.caller.tenant, structs.replace(sample, started_ns=lot.briefs[0].started_ns))
    return key, (sample.attempts[0].price if sample.attempts else "") or sample.price


def _add_parts(
    shares: dict[tuple[RollKey, str], list[Share]], sums: dict[RollKey, RollSum], tenant: str, call: Settled
) -> None:
    """The same for a call that is made up of several attempts, or of one that gave no answer."""
    hour, workflow = call.started_ns // NS_PER_HOUR, call.caller.workflow
    for part in parts_of(call):
        whole = part.role == "call"
        key: RollKey = (
            hour,
            tenant,
            workflow,
            (call.caller.purpose or "call") if whole else part.role,
            call.kind,
            call.name,
            part.deployment,
            part.tier,
            int(part.simulated),
            call.cache if whole else "",
            part.status,
        )
        shares.setdefault((key, part.price), []).append((part.usage, part.cost_nano_usd))
        if whole:
            sums[key].saved += call.saved_nano_usd
            sums[key].took(call.duration_us)


def _add(into: RollSum, parts: Sequence[Share], simulated: int, price: Price | None) -> None:
    """Adds up shares of one kind at one price."""
    used = [structs.astuple(usage) for usage, _ in parts if usage != _UNUSED]  # calls of tools use nothing
    columns = enumerate(zip(*used, strict=True))
    _add_columns(into, [each for _, each in parts], columns, simulated, price)


def _add_columns(
    into: RollSum,
    costs: Sequence[int],
    columns: Iterable[tuple[int, Sequence[int]]],
    simulated: int,
    price: Price | None,
) -> None:
    """Adds up calls of one kind at one price, by their tokens of each bucket; what the price does not explain of their money is `other`."""
    cost = sum(costs)
    into.n += len(costs)
    into.counts[simulated] += cost
    into.lines[_OTHER] += cost
    rates = (0,) * len(BUCKETS) if price is None else structs.astuple(price.rates)
    for place, column in columns:
        amount = sum(column)
        if not amount:
            continue
        into.usage[place] += amount
        rate = rates[place]
        if rate:
            explained = bucket_costs(BUCKETS[place], rate, column)
            into.lines[place] += explained
            into.lines[_OTHER] -= explained
