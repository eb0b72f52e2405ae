"""Clocks and deadlines, passed in as values so that a test can move time.

Above: every room. Below: nothing but the standard library.
"""

from __future__ import annotations

import time
from typing import Protocol

from msgspec import Struct

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """Where a component gets the time from."""

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch; may jump when the machine's clock is set."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that only ever grow; for durations and deadlines."""
        ...


class SystemClock:
    """The machine's own clocks."""

    wall_ns = staticmethod(time.time_ns)
    monotonic_s = staticmethod(time.monotonic)


class Deadline(Struct, frozen=True, gc=False):
    """One instant by which a call must be over; it is passed down whole, so what remains only shrinks."""

    at_s: float
    """Monotonic seconds of the instant."""
    total_s: float
    """Seconds that were allowed when the deadline was made; for error messages."""

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        return cls(at_s=clock.monotonic_s() + seconds, total_s=seconds)

    def left_s(self, clock: Clock) -> float:
        """Seconds that remain, never below zero."""
        return max(0.0, self.at_s - clock.monotonic_s())

    def passed(self, clock: Clock) -> bool:
        return clock.monotonic_s() >= self.at_s

    def sooner(self, clock: Clock, seconds: float) -> Deadline:
        """The earlier of this deadline and `seconds` from now."""
        at_s = clock.monotonic_s() + seconds
        return self if at_s >= self.at_s else Deadline(at_s=at_s, total_s=seconds)
