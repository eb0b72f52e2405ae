"""A queue of callers who wait for a free journal slot; woken in order as calls are committed.

Above: record. Below: nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque

Turn = asyncio.Future[None]


class Line:
    """Futures of any event loop, woken from the writing thread."""

    def __init__(self) -> None:
        self._waiting: deque[Turn] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self) -> Turn:
        """A place at the end, on the running loop; it must be left again."""
        turn: Turn = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append(turn)
        return turn

    def leave(self, turn: Turn) -> None:
        """Gives a place up, woken or not."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)

    def wake(self, count: int | None = None) -> None:
        """Lets the first `count` look again; all of them without one. From any thread."""
        with self._lock:
            going = len(self._waiting) if count is None else min(count, len(self._waiting))
            woken = [self._waiting.popleft() for _ in range(going)]
        for turn in woken:
            with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits there any more
                turn.get_loop().call_soon_threadsafe(_go, turn)


def _go(turn: Turn) -> None:
    if not turn.done():
        turn.set_result(None)
