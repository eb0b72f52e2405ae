"""How many calls a deployment takes at once before they only wait for each other there: a limit that follows its latency.

Above: admit, health. Below: the standard library. The idea is that of TCP Vegas (Brakmo and Peterson, 1995), Netflix's concurrency-limits
(Gradient2, github.com/Netflix/concurrency-limits) and Envoy's adaptive concurrency filter: when latency has grown to a multiple of what it is without load,
the calls queue upstream, and fewer at once bring the same throughput sooner. Three things differ, since answers of models take from a tenth of a
second to minutes. Latency is taken per token (`pace`), so that a change of mix is no congestion. Only calls that were begun under the present limit
and close to it are looked at: they show what the limit does, and below it there is nothing to decide. And a lowered limit that did
not make calls faster is taken back: then the vendor is slow by itself, and fewer calls help nobody.
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
FIRST_LIMIT = 256
"""Where a limit starts; it grows fourfold with each round of answers until the first congestion."""
SLOW_START = 4
CLOSE = 0.8
"""A call that began with this share of the limit under way was begun close to it."""
LEARNED = 0.05


def pace_of(seconds: float, output_tokens: int) -> float:
    """Seconds per token, the fixed part of a call counted as `STEADY_TOKENS`."""
    return seconds / (output_tokens + STEADY_TOKENS)


class Gradient:
    """The limit of one deployment."""

    __slots__ = ("_before", "_changed_s", "_congested", "_paces", "baseline", "floor", "limit", "most")

    def __init__(self, most: int, floor: int) -> None:
        """Never more than `most` calls at once and never fewer than `floor`."""
        self.most = most
        self.floor = min(floor, most)
        self.limit = min(most, FIRST_LIMIT)
        self.baseline = 0.0
        """Seconds per token without load; zero until something was seen."""
        self._paces: list[float] = []
        self._before: tuple[int, float] | None = None
        """(limit, pace) before the limit was last lowered, until it is known whether that helped."""
        self._changed_s = -math.inf
        self._congested = False

    def answered(self, began_s: float, now_s: float, output_tokens: int, crowd: int, crowd_now: int) -> None:
        """A call was answered that had `crowd` calls under way, itself among them, when it was begun, and has `crowd_now` at its end."""
        pace = pace_of(now_s - began_s, output_tokens)
        if crowd <= self.floor:  # no limit above the floor could have made it faster
            if not self.baseline:
                self.baseline = pace
            elif crowd_now <= self.floor:
                self.baseline += LEARNED * (pace - self.baseline)
            else:  # others came after it, and may have slowed it down
                self.baseline = min(self.baseline, pace)
        elif began_s >= self._changed_s and crowd >= CLOSE * self.limit:
            self._paces.append(pace)
            if len(self._paces) >= WINDOW:
                self._decide(median(self._paces), now_s)

    def refused(self, now_s: float, at_once: int) -> None:
        """The deployment said that it had no room, and named no time at which it would: one step down."""
        if at_once > self.floor and now_s - self._changed_s > 0.1:
            self._before, self._congested = None, True
            self._set(max(self.floor, int(min(self.limit, at_once) * 0.9)), now_s)

    def _decide(self, pace: float, now_s: float) -> None:
        if not self.baseline or pace < self.baseline:
            self.baseline = pace
        if pace <= TOLERANCE * self.baseline:
            self._before = None
            more = max(1, math.isqrt(self.limit)) if self._congested else (SLOW_START - 1) * self.limit
            self._set(min(self.most, self.limit + more), now_s)
            return
        self._congested = True
        if self._before is not None and pace > HELPED * self._before[1]:
            limit, self._before, self.baseline = self._before[0], None, pace
            self._set(limit, now_s)
            return
        step = max(LOWEST_STEP, min(LOWERED, TOLERANCE * self.baseline / pace))
        self._before = (self.limit, pace)
        self._set(max(self.floor, int(self.limit * step)), now_s)

    def _set(self, limit: int, now_s: float) -> None:
        self.limit = limit
        self._changed_s = now_s
        self._paces.clear()
