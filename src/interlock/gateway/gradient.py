"""How many calls a deployment takes at once before they only wait for each other there: a limit that follows its latency.

Above: admit, health. Below: the standard library. The idea is that of TCP Vegas (Brakmo and Peterson, 1995), Netflix's concurrency-limits
(Gradient2, github.com/Netflix/concurrency-limits) and Envoy's adaptive concurrency filter: when latency has grown to a multiple of what it is without load,
the calls queue upstream, and fewer at once bring the same throughput sooner. Three things differ, since answers of models take from a
tenth of a second to minutes. Latency is taken per token (`pace`), so that a change of mix is no congestion. Only calls that were begun after
the limit last changed are counted, so that each change is judged by its own effect. And a lowered limit that did not make calls
faster by about as much is taken back at once: then the vendor is slow by itself, and fewer calls help nobody.
"""

from __future__ import annotations

import math
from statistics import median

TOLERANCE = 2.0
"""Pace over baseline above which calls are taken to queue: as many waiting there as being worked on."""
LOWERED = 0.7
"""A limit is lowered to at most this share, so that the effect stands out from the noise."""
LOWEST_STEP = 0.5
HELPED = 0.85
"""A pace above this share of the former one says that lowering did not help."""
WINDOW = 24
"""Calls that are looked at together."""
STEADY_TOKENS = 32
"""Output tokens whose time is about that of a call without any."""
FORGET = 1.005
"""Growth of the baseline with each window that was under no load, so that an old minimum does not hold for ever."""
LEARNED = 0.05


def pace_of(seconds: float, output_tokens: int) -> float:
    """Seconds per token, the fixed part of a call counted as `STEADY_TOKENS`."""
    return seconds / (output_tokens + STEADY_TOKENS)


class Gradient:
    """The limit of one deployment."""

    __slots__ = ("_before", "_changed_s", "_full", "_paces", "_seen_s", "baseline", "floor", "limit", "most")

    def __init__(self, most: int, floor: int) -> None:
        """`most` calls at once to begin with and at most, never fewer than `floor`."""
        self.most = most
        self.floor = min(floor, most)
        self.limit = most
        self.baseline = 0.0
        """Seconds per token without load; zero until something was seen."""
        self._paces: list[float] = []
        self._before: tuple[int, float] | None = None
        """(limit, pace) before the limit was last lowered, until it is known whether that helped."""
        self._changed_s = -math.inf
        self._full = False
        self._seen_s = 0.0

    def answered(self, began_s: float, now_s: float, output_tokens: int, at_once: int) -> None:
        """A call was answered, and `at_once` calls were under way with it."""
        pace = pace_of(now_s - began_s, output_tokens)
        if at_once <= self.floor:  # no limit above the floor could have made it faster
            self.baseline = pace if not self.baseline else self.baseline + LEARNED * (pace - self.baseline)
            return
        if began_s < self._changed_s:
            return
        self._full = self._full or at_once >= self.limit
        if now_s - self._seen_s > 60.0:
            self._paces.clear()
        self._seen_s = now_s
        self._paces.append(pace)
        if len(self._paces) >= WINDOW:
            typical = median(self._paces)
            self._paces.clear()
            self._decide(typical, at_once, now_s)

    def refused(self, now_s: float, at_once: int) -> None:
        """The deployment said that it had no room, and named no time at which it would: one step down."""
        if at_once > self.floor and now_s - self._changed_s > 0.1:
            self._set(max(self.floor, min(self.limit, int(at_once * 0.9))), now_s)
            self._before = None

    def _decide(self, pace: float, at_once: int, now_s: float) -> None:
        if not self.baseline or pace < self.baseline:
            self.baseline = pace
        full, self._full = self._full, False
        if pace <= TOLERANCE * self.baseline:
            self._before = None
            if full and self.limit < self.most:
                self._set(min(self.most, self.limit + max(1, math.isqrt(self.limit))), now_s)
            elif not full:
                self.baseline *= FORGET
            return
        if self._before is not None and pace > HELPED * self._before[1]:
            limit, _ = self._before
            self._before, self.baseline = None, pace
            self._set(limit, now_s)
            return
        step = max(LOWEST_STEP, min(LOWERED, TOLERANCE * self.baseline / pace))
        self._before = (self.limit, pace)
        self._set(max(self.floor, int(min(self.limit, at_once) * step)), now_s)

    def _set(self, limit: int, now_s: float) -> None:
        self.limit = limit
        self._changed_s = now_s
