"""Usage in token buckets, dated rates, and cost in integer nano-dollars.

A bucket is disjoint from every other one: cached input is not inside `input`, reasoning is not inside `output`.
Providers normalise their vendor's own counting at the edge, so that nothing above them can count a token twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, structs

NANO_PER_USD = 1_000_000_000
TOKENS_PER_RATE = 1_000_000
MS_PER_HOUR = 3_600_000


class Usage(Struct, frozen=True, gc=False, omit_defaults=True):
    """What one call consumed. Tokens, except where the name says otherwise; every bucket is disjoint."""

    input: int = 0
    """Text input that was neither read from nor written to the vendor's prompt cache."""
    cache_read: int = 0
    cache_write: int = 0
    """Input written to the vendor's cache with its default lifetime."""
    cache_write_1h: int = 0
    output: int = 0
    """Visible text output, reasoning excluded."""
    reasoning: int = 0
    input_image: int = 0
    input_audio: int = 0
    output_image: int = 0
    output_audio: int = 0
    compute_ms: int = 0
    """Milliseconds of own compute, for models that are priced by the hour instead of by the token."""

    @property
    def input_total(self) -> int:
        return (
            self.input + self.cache_read + self.cache_write + self.cache_write_1h + self.input_image + self.input_audio
        )

    @property
    def output_total(self) -> int:
        return self.output + self.reasoning + self.output_image + self.output_audio

    @property
    def plain(self) -> bool:
        """Nothing but uncached text and visible output, as of nearly every call."""
        return not (
            self.cache_read
            or self.reasoning
            or self.cache_write
            or self.cache_write_1h
            or self.input_image
            or self.input_audio
            or self.output_image
            or self.output_audio
            or self.compute_ms
        )

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(a + b for a, b in zip(structs.astuple(self), structs.astuple(other), strict=True)))


BUCKETS: tuple[str, ...] = Usage.__struct_fields__
"""The buckets' names, in the order of `Usage`."""


class Rates(Struct, frozen=True, gc=False, omit_defaults=True):
    """Nano-dollars per million tokens of each bucket; `compute_ms` holds nano-dollars per hour of compute."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    input_image: int = 0
    input_audio: int = 0
    output_image: int = 0
    output_audio: int = 0
    compute_ms: int = 0


class Price(Struct, frozen=True, gc=False, omit_defaults=True):
    """What one model costs in one tier, with where the figures come from."""

    model: str
    """`provider/model` as the ledger names it."""
    rates: Rates
    source: str
    """The price list or document the rates were taken from."""
    since: str
    """The date from which they hold, ISO 8601; empty when the source gives none."""
    version: str
    """Content hash of all of the above; rides on every settled event."""
    tier: str = "standard"
    above_input: int = 0
    """The rates hold for calls whose whole input exceeds this many tokens (vendors' long-context cliffs)."""
    estimated: bool = False
    """True where no source lists the model and the rates are a stand-in; every face says so."""


def cost_of(rates: Rates, usage: Usage) -> int:
    """Nano-dollars that `usage` costs at `rates`: each bucket rounded up, then summed, so that lines add up exactly."""
    if usage.plain:
        return -(-usage.input * rates.input // TOKENS_PER_RATE) - (-usage.output * rates.output // TOKENS_PER_RATE)
    total = 0
    for name, amount, rate in zip(BUCKETS, structs.astuple(usage), structs.astuple(rates), strict=True):
        if amount and rate:
            total += bucket_cost(name, rate, amount)
    return total


def bucket_cost(name: str, rate: int, amount: int) -> int:
    """Nano-dollars of one bucket, rounded up to the nano-dollar."""
    unit = MS_PER_HOUR if name == "compute_ms" else TOKENS_PER_RATE
    return -(-amount * rate // unit)


def bucket_costs(name: str, rate: int, amounts: Sequence[int]) -> int:
    """The same of several calls, each rounded up by itself, summed."""
    unit = MS_PER_HOUR if name == "compute_ms" else TOKENS_PER_RATE
    return -sum([-amount * rate // unit for amount in amounts])


class Totals(Struct, frozen=True):
    """The same sums taken three ways; they are equal, or the ledger is broken."""

    events_nano_usd: int
    tasks_nano_usd: int
    rolls_nano_usd: int
    events_simulated_nano_usd: int
    tasks_simulated_nano_usd: int
    rolls_simulated_nano_usd: int
