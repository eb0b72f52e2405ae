"""Retry policy: whether and when a failed try is repeated (backoff with full jitter, `Retry-After`, a retry budget). Pure functions.

Above: attempt. Below: settings, `core.errors`.
"""

from __future__ import annotations

import random

from msgspec import Struct

from interlock.core.errors import (
    CircuitOpen,
    ConnectFailed,
    Exhausted,
    InterlockError,
    InvalidRequest,
    LimitReached,
    RateLimited,
    Shed,
    UpstreamError,
    UpstreamRefused,
    UpstreamRejected,
)

from .settings import Retrying

PASSES_S = 1.0
"""When a failure that names no time is worth another try."""


class Again(Struct, frozen=True):
    """Try the same candidate again after `wait_s`."""

    wait_s: float


class NoMore(Struct, frozen=True):
    """Leave this candidate."""

    reason: str


def decide(
    error: InterlockError,
    tries: int,
    left_s: float,
    in_hand: float,
    retrying: Retrying,
    rng: random.Random,
) -> Again | NoMore:
    """What to do after try number `tries` of one candidate failed with `left_s` seconds to the deadline.

    `in_hand` is the number of retries the deployment has in hand.
    """
    if not error.retryable:
        return NoMore(f"{error.code}: another try would fail the same way")
    if tries >= retrying.max_tries:
        return NoMore(f"{error.code}: {tries} tries made")
    if in_hand < 1.0:
        return NoMore(f"{error.code}: retry budget used up")
    asked_s = error.retry_after_s if isinstance(error, UpstreamRefused) else None
    wait_s = (
        asked_s if asked_s is not None else rng.uniform(0.0, min(retrying.cap_s, retrying.base_s * 2 ** (tries - 1)))
    )
    if wait_s >= left_s:
        return NoMore(f"{error.code}: the deadline comes before the next try in {wait_s:.1f} s")
    if wait_s > retrying.retry_after_max_s:
        return NoMore(f"{error.code}: the vendor asks to wait {wait_s:.0f} s")
    return Again(wait_s)


def counts_against(error: UpstreamError) -> bool:
    """Whether the failure says something about the deployment's health, so that its breaker must know."""
    return not isinstance(error, (RateLimited, UpstreamRejected, CircuitOpen))


def may_have_run(error: InterlockError) -> bool:
    """Whether a model may have worked for this failed try, so that the vendor may bill it."""
    if isinstance(error, UpstreamError):
        return not isinstance(error, (ConnectFailed, UpstreamRefused, CircuitOpen))
    return not isinstance(error, (InvalidRequest, Shed))


def final(error: InterlockError) -> bool:
    """Whether no other candidate should be asked either: the request itself is at fault, and not merely unknown there; or a limit that
    no candidate changes has been reached.
    """
    if isinstance(error, LimitReached):
        return error.limit not in ("max_cost_nano_usd", "context_window")
    return isinstance(error, UpstreamRejected) and error.upstream_status != 404


def worth_again_s(error: BaseException) -> float:
    """Seconds after which the same call is worth another try; zero for a failure that will not pass."""
    if isinstance(error, Exhausted):
        return min((wait for each in error.errors if (wait := worth_again_s(each))), default=0.0)
    if not isinstance(error, InterlockError) or not error.retryable:
        return 0.0
    asked_s: float | None = getattr(error, "retry_after_s", None)
    return PASSES_S if asked_s is None else max(asked_s, 0.05)
