"""What one follower of a task has not read yet of what its model writes: bounded, so that a slow reader costs no more than a quick one.

Above: `taskdesk`. Below: `core.live`. Pieces that follow on one another become one; where there is no room the oldest go, and the reader sees by the positions what it lacks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from msgspec.structs import replace

from interlock.core.live import Calling, Live, Said

MOST_CHARS = 65_536
"""That wait for one reader."""
MOST_PIECES = 1_000
PIECE_CHARS = 4_096
"""Of one piece that others have become one with."""


class Unread:
    """For one reader; `hear` and `take` belong to one event loop."""

    def __init__(self) -> None:
        self._pieces: deque[Live] = deque()
        self._chars = 0
        self._came = asyncio.Event()

    def hear(self, piece: Live) -> None:
        """One more piece."""
        last = self._pieces[-1] if self._pieces else None
        joined = None if last is None else _joined(last, piece)
        if joined is None:
            self._pieces.append(piece)
        else:
            self._pieces[-1] = joined
        self._chars += _chars(piece)
        while len(self._pieces) > 1 and (self._chars > MOST_CHARS or len(self._pieces) > MOST_PIECES):
            self._chars -= _chars(self._pieces.popleft())
        self._came.set()

    def take(self) -> list[Live]:
        """All that waits."""
        taken = list(self._pieces)
        self._pieces.clear()
        self._chars = 0
        self._came.clear()
        return taken

    async def wait(self, timeout_s: float) -> None:
        """Until something waits, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._came.wait()


def _joined(last: Live, piece: Live) -> Live | None:
    """Two pieces of one text as one; `None` where they are not neighbours, or together too long."""
    if isinstance(last, Said) and isinstance(piece, Said):
        neighbours = True
    elif isinstance(last, Calling) and isinstance(piece, Calling):
        neighbours = last.call == piece.call
    else:
        return None
    same = (last.step, last.attempt, last.end) == (piece.step, piece.attempt, piece.start)
    if not (neighbours and same) or len(last.text) > PIECE_CHARS:
        return None
    return replace(last, text=last.text + piece.text)


def _chars(piece: Live) -> int:
    return len(piece.text) if isinstance(piece, Said | Calling) else 0
