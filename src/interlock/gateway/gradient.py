"""Adaptive concurrency: per deployment, a limit on concurrent calls that follows its latency, so that calls do not just queue at the vendor.

Above: admit, health. Below: the standard library. The idea is that of TCP Vegas (Brakmo and Peterson, 1995), Netflix's concurrency-limits
(Gradient2, github.com/Netflix/concurrency-limits) and Envoy's adaptive concurrency filter: when latency has grown to a multiple of what it is without load,
the calls queue upstream, and fewer at once bring the same throughput sooner. Three things differ, since answers of models take from a tenth of a
second to minutes. Latency is taken per token (`STEADY_TOKENS`), so that a change of mix is no congestion; of a stream it is the time to its first
piece, after which it holds no place. Only calls begun since the limit last changed count, so that each step is judged by its own effect. And a
lowered limit that did not make calls faster is taken back: then the vendor is slow by itself, and fewer calls help nobody.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
FIRST_LIMIT = 1_024
"""Before anything is known. What comes within the time of the first answers is let in up to this; then only what has proved well is exceeded."""
PROVED_LIMIT = 256
"""Where a limit stands at least once answers are known, until the first congestion."""
SLOW_START = 4
"""Until the first congestion, so many times the calls that were answered well at once may be under way."""
UNTROUBLED = 1.25
"""Pace over baseline up to which a limit that has seen no congestion grows."""
CLOSE = 0.8
"""A limit that this share of was used did bind."""
LEARNED = 0.05


class Gradient:
    """The limit of one deployment."""

    __slots__ = (
        "_baseline",
        "_before",
        "_changed_s",
        "_crowds",
        "_expected_s",
        "_most",
        "_origin",
        "_proved",
        "_seconds",
        "_short_of_cpu",
        "congested",
        "floor",
        "limit",
        "most",
    )

    def __init__(self, most: int, floor: int, short_of_cpu: Callable[[], bool] | None = None) -> None:
        """Never more than `most` calls at once and never fewer than `floor`. While `short_of_cpu`, slowness is our own and lowers nothing."""
        self._short_of_cpu = short_of_cpu
        self.most = most
        self.floor = min(floor, most)
        self.limit = min(most, FIRST_LIMIT)
        self.congested = False
        """The limit follows the latency; until then it only grows with what is answered well."""
        self._baseline = [0.0, 0.0]
        """Seconds per token without load, of whole answers and of streams' first pieces; zero until something was seen."""
        self._seconds = self._expected_s = 0.0
        """What the calls of the present window took, and would have taken without load."""
        self._crowds: list[float] = []
        self._most = 0
        """Calls under way when the last of them was begun."""
        self._before: tuple[float, float] | None = None
        """(pace over baseline, crowd) at a limit that was used to the full, before it was lowered; until it is known whether that helped."""
        self._origin = self.limit
        """The limit before the present congestion."""
        self._changed_s = -math.inf
        self._proved = False
        """An answer has come that was under way with more than a few."""

    def answered(
        self, began_s: float, now_s: float, output_tokens: int, crowd: int, crowd_now: int, *, stream: bool = False
    ) -> None:
        """A call was answered that had `crowd` calls under way, itself among them, when it was begun, and has `crowd_now` at its end."""
        seconds, weight, kind = now_s - began_s, output_tokens + STEADY_TOKENS, int(stream)
        baseline = self._baseline[kind]
        if crowd <= self.floor or not baseline:  # no limit above the floor could have made it faster
            pace = seconds / weight
            if not baseline:
                self._baseline[kind] = pace
            elif crowd_now <= self.floor or pace < baseline:  # else others that came after it may have slowed it down
                self._baseline[kind] += LEARNED * (pace - baseline)
            return
        if not self._proved:
            self._proved = True
            self.limit = min(self.limit, max(PROVED_LIMIT, crowd_now))
        if began_s < self._changed_s:
            return
        self._seconds += seconds
        self._expected_s += weight * baseline
        self._crowds.append((crowd + crowd_now) / 2)
        self._most = max(self._most, crowd)
        if len(self._crowds) < WINDOW:
            return
        ratio, typical, most = self._seconds / self._expected_s, median(self._crowds), self._most
        self._forget()
        if ratio <= TOLERANCE:
            self._went_well(ratio, typical, most, now_s)
        elif self._short_of_cpu is None or not self._short_of_cpu():
            self._too_many(ratio, typical, now_s)

    def refused(self, now_s: float, at_once: int) -> None:
        """The deployment said that it had no room, and named no time at which it would: one step down."""
        if at_once > self.floor and now_s - self._changed_s > 0.1:
            self._before = None
            if not self.congested:
                self.congested, self._origin = True, self.limit
            self._set(max(self.floor, int(min(self.limit, at_once) * 0.9)), now_s)

    def _went_well(self, ratio: float, crowd: float, most: int, now_s: float) -> None:
        self._before = None
        if ratio < 1.0:  # faster than was thought possible
            self._baseline = [each * max(0.8, ratio) for each in self._baseline]
        if not self.congested and ratio <= UNTROUBLED and SLOW_START * most > self.limit:
            self._set(min(self.most, SLOW_START * most), now_s)
        elif self.congested and crowd >= CLOSE * self.limit and self.limit < self.most:
            self._set(min(self.most, self.limit + max(1, math.isqrt(self.limit))), now_s)

    def _too_many(self, ratio: float, crowd: float, now_s: float) -> None:
        steady = crowd >= CLOSE * self.limit
        before = self._before
        if steady and before is not None and ratio > HELPED * before[0] and crowd <= 0.9 * before[1]:
            self._before, self.congested = None, False
            self._baseline = [each * ratio for each in self._baseline]
            self._set(min(self._origin, 2 * self.limit), now_s)
            return
        if not self.congested:
            self.congested, self._origin = True, self.limit
        self._before = (ratio, crowd) if steady else None
        step = max(LOWEST_STEP, min(LOWERED, TOLERANCE / ratio))
        self._set(max(self.floor, int(min(self.limit, crowd) * step)), now_s)

    def _set(self, limit: int, now_s: float) -> None:
        self.limit = limit
        self._changed_s = now_s
        self._forget()

    def _forget(self) -> None:
        self._seconds = self._expected_s = 0.0
        self._most = 0
        self._crowds.clear()
