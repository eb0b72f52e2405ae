"""A clock that a test moves, and the sleep that moves it."""

from __future__ import annotations

import asyncio


class FakeClock:
    """Stands still until it is told to go on."""

    def __init__(self, wall_ns: int = 1_790_000_000_000_000_000, monotonic_s: float = 1_000.0) -> None:
        self._wall_ns = wall_ns
        self._monotonic_s = monotonic_s
        self.slept: list[float] = []

    def wall_ns(self) -> int:
        return self._wall_ns

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Moves both clocks on."""
        self._wall_ns += int(seconds * 1e9)
        self._monotonic_s += seconds

    async def sleep(self, seconds: float) -> None:
        """Takes no time, moves the clock, lets others run once."""
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)
