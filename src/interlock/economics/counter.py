"""What would have been paid otherwise: with the best model for everything, and without any cache.

Above: pnl. Below: core. Pure. The same tokens at other rates: nobody can know how many tokens another model would have needed, so these are orders of
magnitude with exact arithmetic, and said to be that.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from interlock.core.money import BUCKETS, Price, bucket_cost
from interlock.core.ports import ON_DEVICE
from interlock.core.store import RollRow


class Otherwise(Struct, frozen=True):
    """Nano-dollars that the period's model calls would have come to, real and simulated alike."""

    actual_nano_usd: int = 0
    """What they did come to: answers, failed tries, checks, everything."""
    premium: str = ""
    """The deployment that would have answered everything; empty where none is known."""
    all_premium_nano_usd: int | None = None
    """The answers' tokens at its rates, without escalations, checks and judges. Answers of caches and of this machine stay what they are."""
    no_cache_nano_usd: int = 0
    """With every hit paid for, and every token that vendors read from their caches at the rate of the other tokens."""


def otherwise(rolls: Sequence[RollRow], premium: Price | None) -> Otherwise:
    """Of the roll-ups of one workflow."""
    models = [row for row in rolls if row.kind == "model" and not row.deployment.startswith(f"{ON_DEVICE}/")]
    actual = sum(_money(row) for row in models)
    saved = sum(row.saved_nano_usd for row in rolls if row.kind == "model")
    dearer = sum(_without_prompt_cache(row) for row in models)
    whole = None
    if premium is not None:
        whole = sum(_at(row, premium) for row in models if row.role == "call" and row.status == "ok" and not row.cache)
    return Otherwise(actual, premium.model if premium else "", whole, actual + saved + dearer)


def _money(row: RollRow) -> int:
    return row.cost_nano_usd + row.simulated_nano_usd


def _at(row: RollRow, price: Price) -> int:
    return sum(bucket_cost(name, getattr(price.rates, name), getattr(row.usage, name)) for name in BUCKETS)


def _without_prompt_cache(row: RollRow) -> int:
    """What cached input cost less than the rest of the same row did by token; what it cost more to write comes off."""
    usage, lines = row.usage, row.lines_nano_usd
    cached = usage.cache_read + usage.cache_write + usage.cache_write_1h
    if not cached or not usage.input or not lines.get("input"):
        return 0
    plain = round(cached * lines["input"] / usage.input)
    return plain - sum(lines.get(name, 0) for name in ("cache_read", "cache_write", "cache_write_1h"))
