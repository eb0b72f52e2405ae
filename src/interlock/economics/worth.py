"""What a workflow's results are worth and what its owner promised, as `pnl` needs it.

Above: app makes these from the contracts. Below: nothing.
"""

from __future__ import annotations

from msgspec import Struct


class Worth(Struct, frozen=True):
    """One workflow's `value:` block and its latency goal."""

    revenue_nano_usd: int = 0
    """For each success."""
    human_minute_nano_usd: int = 0
    human_minutes: float = 0.0
    """That one hand-over to a person takes."""
    slo_ms: float | None = None
    """95 of 100 tasks should take no longer."""
