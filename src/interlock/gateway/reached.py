"""The errors of limits that have no room. Above: quota. Below: `core.limits`."""

from __future__ import annotations

from collections.abc import Sequence

from interlock.core.errors import QuotaReached
from interlock.core.limits import CONCURRENCY, MONEY, REQUESTS, Ask, Standing, Vector
from interlock.core.time import NS_PER_S

RUNNING_RETRY_S = 1.0
"""When a call may be worth another try that found too many under way."""
_WORDS = ("requests", "input tokens", "output tokens", "tokens", "", "calls at the same time")


def reached(standing: Standing) -> QuotaReached:
    """The error for whoever asked; vendors have headers for requests and tokens, not for money."""
    limit, place = standing.limit, standing.place
    period = f"per {limit.period}" if limit.period else ""
    kind = "requests" if place in (REQUESTS, CONCURRENCY) else "tokens"
    return QuotaReached(
        limit.name,
        " ".join(filter(None, (_WORDS[place], period))),
        used=standing.used,
        asked=standing.asked,
        maximum=standing.maximum,
        retry_after_s=standing.reset_s,
        headers=() if place == MONEY else ((kind, standing.maximum, standing.remaining, standing.reset_s),),
        at_ns=standing.at_ns,
        money=place == MONEY,
    )


def of_shared(ask: Ask, used: Sequence[int], now_ns: int) -> Standing:
    """How the shared count stands at which `ask` found no room; `used`: by place."""
    amounts: Vector = ask.amounts
    place, most = next(
        ((place, most) for place, most in ask.limit.caps if amounts[place] and used[place] + amounts[place] > most),
        ask.limit.caps[0],
    )
    running = ask.limit.period is None
    reset_s = RUNNING_RETRY_S if running else max(0.0, (ask.window.ends_ns - now_ns) / NS_PER_S)
    return Standing(ask.limit, place, used[place], most, amounts[place], reset_s, now_ns)
