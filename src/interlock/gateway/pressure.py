"""Is this process itself short of CPU? Then a slow answer says nothing about the vendor.

Above: health, gradient. Below: the operating system. Linux counts, per process, the time on a CPU and the time of waiting for one; elsewhere only the former is known.
Source: docs.kernel.org/scheduler/sched-stats.html (/proc/PID/schedstat).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

BUSY_SHARE = 0.6
"""Of the time between two looks, spent on a CPU or waiting for one, from which this process counts as short of it."""
APART_S = 0.05
NS_PER_S = 1_000_000_000


class Pressure:
    """Looks at most twenty times a second; between two looks it says the same."""

    __slots__ = ("_looked_s", "_now_s", "_said", "_spent_s", "_used_s")

    def __init__(self, now_s: Callable[[], float] = time.monotonic, used_s: Callable[[], float] | None = None) -> None:
        self._now_s = now_s
        self._used_s = used_s or scheduled_s
        self._looked_s, self._spent_s = now_s(), self._used_s()
        self._said = False

    def __call__(self) -> bool:
        """Whether this process was short of CPU since the last look."""
        now_s = self._now_s()
        if now_s - self._looked_s >= APART_S:
            spent_s = self._used_s()
            self._said = spent_s - self._spent_s >= BUSY_SHARE * (now_s - self._looked_s)
            self._looked_s, self._spent_s = now_s, spent_s
        return self._said


def scheduled_s() -> float:
    """Seconds that the calling thread has run or wanted to run."""
    with suppress(OSError, ValueError, IndexError):
        handle = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        try:
            ran, waited = os.read(handle, 128).split()[:2]
        finally:
            os.close(handle)
        return (int(ran) + int(waited)) / NS_PER_S
    return time.thread_time()
