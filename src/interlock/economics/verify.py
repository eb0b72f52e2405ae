"""The ledger held against a vendor's own bill, by day and model: what agrees, what does not, and what that is likely to come from.

Above: app, cli. Below: exports, `core`. Values to values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from interlock.core.money import NANO_PER_USD, Usage
from interlock.core.store import RollRow

from .exports import Export, plain

SECONDS_PER_HOUR = 3600
WELL = frozenset(("ok", "cache_hit"))


class Side(Struct, frozen=True):
    """What one of the two says of one day and model; `None`: it does not say."""

    requests: int | None
    input_tokens: int | None
    cached_tokens: int | None
    """Read from the vendor's prompt cache; part of the input."""
    output_tokens: int | None
    cost_nano_usd: int | None


class Line(Struct, frozen=True):
    """One day and model."""

    day: str
    model: str
    ledger: Side
    vendor: Side
    broken: int
    """Tries of the ledger that broke off: what they used may be an estimate."""
    agrees: bool
    causes: tuple[str, ...] = ()
    """What a difference is likely to come from, the likeliest first."""


class Verdict(Struct, frozen=True):
    """The whole comparison."""

    vendor: str
    providers: tuple[str, ...]
    agrees: bool
    lines: tuple[Line, ...]


class _Sum:
    """What adds up for one day and model."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.requests = self.cost = self.broken = 0
        self.counted = self.counts_requests = self.priced = False

    def side(self) -> Side:
        usage = self.usage if self.counted else None
        return Side(
            self.requests if self.counts_requests else None,
            None if usage is None else usage.input_total,
            None if usage is None else usage.cache_read,
            None if usage is None else usage.output_total,
            self.cost if self.priced else None,
        )


def verified(export: Export, rolls: Iterable[RollRow], providers: Sequence[str], *, tolerance: float = 0.0) -> Verdict:
    """`export` against what the ledger says of `providers`; figures agree within the share `tolerance`."""
    vendor = _of_vendor(export)
    days = {day for day, _ in vendor}
    by_model = any(model for _, model in vendor)
    ledger = _of_ledger(rolls, providers, days, by_model=by_model)
    lines = [_line(day, model, ledger, vendor, tolerance) for day, model in sorted({*vendor, *ledger})]
    return Verdict(export.vendor, tuple(providers), all(line.agrees for line in lines), tuple(lines))


def _of_vendor(export: Export) -> dict[tuple[str, str], _Sum]:
    found: dict[tuple[str, str], _Sum] = defaultdict(_Sum)
    for line in export.lines:
        if line.usage is not None and not line.requests and not line.usage.input_total and not line.usage.output_total:
            continue
        total = found[line.day, line.model]
        if line.usage is not None:
            total.usage, total.counted = total.usage + line.usage, True
        if line.requests is not None:
            total.requests, total.counts_requests = total.requests + line.requests, True
        if line.cost_nano_usd is not None:
            total.cost, total.priced = total.cost + line.cost_nano_usd, True
    return found


def _of_ledger(
    rolls: Iterable[RollRow], providers: Sequence[str], days: set[str], *, by_model: bool
) -> dict[tuple[str, str], _Sum]:
    found: dict[tuple[str, str], _Sum] = defaultdict(_Sum)
    for row in rolls:
        provider, _, model = row.deployment.partition("/")
        day = datetime.fromtimestamp(row.hour * SECONDS_PER_HOUR, UTC).date().isoformat()
        billed = row.usage.input_total or row.usage.output_total or row.status in WELL
        if (
            row.kind != "model"
            or row.simulated
            or row.cache
            or provider not in providers
            or day not in days
            or not billed
        ):
            continue
        total = found[day, plain(model) if by_model else ""]
        total.usage = total.usage + row.usage
        total.requests += row.n
        total.cost += row.cost_nano_usd
        total.broken += 0 if row.status in WELL else row.n
        total.counted = total.counts_requests = total.priced = True
    return found


def _line(
    day: str,
    model: str,
    ledger: dict[tuple[str, str], _Sum],
    vendor: dict[tuple[str, str], _Sum],
    tolerance: float,
) -> Line:
    ours, theirs = ledger.get((day, model)), vendor.get((day, model))
    mine, other = (ours or _none()).side(), (theirs or _none()).side()
    broken = ours.broken if ours else 0
    pairs = [(getattr(mine, name), getattr(other, name)) for name in Side.__struct_fields__]
    agrees = all(_close(a, b, tolerance) for a, b in pairs if a is not None and b is not None)
    agrees = agrees and ours is not None and theirs is not None
    return Line(day, model, mine, other, broken, agrees, () if agrees else tuple(_causes(ours, theirs, mine, other)))


def _none() -> _Sum:
    return _Sum()


def _close(ours: int, theirs: int, tolerance: float) -> bool:
    return abs(ours - theirs) <= tolerance * max(ours, theirs)


def _causes(ours: _Sum | None, theirs: _Sum | None, mine: Side, other: Side) -> Iterable[str]:
    """What the difference is likely to come from."""
    if ours is None:
        yield "the ledger knows of no call: it did not go through Interlock, or under another provider (--provider)"
        return
    if theirs is None:
        yield "the vendor bills nothing: its export is not complete yet, or leaves this model or key out"
        return
    more_requests = _more(other.requests, mine.requests)
    if more_requests > 0:
        yield f"{more_requests} requests of the vendor's did not go through Interlock: look who else has the key"
    if more_requests < 0:
        yield f"{-more_requests} requests are not in the export: it is not complete yet, or the vendor counts no failed ones"
    if ours.broken:
        yield f"{ours.broken} tries broke off, and what they used is an estimate where the vendor did not say"
    same_tokens = (mine.input_tokens, mine.output_tokens) == (other.input_tokens, other.output_tokens)
    if same_tokens and mine.cached_tokens != other.cached_tokens:
        yield "the input is the same but for how much of it was cached"
    if mine.cost_nano_usd != other.cost_nano_usd and other.cost_nano_usd is not None:
        share = other.cost_nano_usd / mine.cost_nano_usd if mine.cost_nano_usd else 0.0
        yield (
            f"the vendor's cost is {share:.3f} of the ledger's (${(mine.cost_nano_usd or 0) / NANO_PER_USD:.6f}): another "
            "price, a batch or tier discount, tools that are billed by use, or rounding"
        )
    elif not more_requests and not ours.broken and not same_tokens:
        yield "as many requests, other tokens: the export's day may begin in another time zone, or calls span its end"


def _more(theirs: int | None, ours: int | None) -> int:
    return 0 if theirs is None or ours is None else theirs - ours
