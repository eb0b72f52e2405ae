"""Whether a client takes the answers that lie ready for it: one that takes nothing for a while is cut off, which ends its call.

Above: protocol. Below: asyncio. Without it, a client that stops reading would hold a call, its place and its reservation for as long as it likes.
"""

from __future__ import annotations

import asyncio

TAKE_S = 60.0
"""How long a client may take nothing of what is ready; however little it takes, it may go on."""


class Taking:
    """Of one connection, while more is ready for its client than the transport wants to hold."""

    __slots__ = ("_left_bytes", "_loop", "_timer", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._left_bytes = 0
        """What was still to be taken when that was last looked at."""
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """From now on; until `enough`."""
        if self._timer is None:
            self._look_again(self._transport.get_write_buffer_size())

    def enough(self) -> None:
        """It has taken enough for now, or has gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_again(self, left_bytes: int) -> None:
        self._left_bytes = left_bytes
        self._timer = self._loop.call_later(TAKE_S, self._look)

    def _look(self) -> None:
        self._timer = None
        left_bytes = self._transport.get_write_buffer_size()
        if left_bytes >= self._left_bytes:
            self._transport.abort()
        else:
            self._look_again(left_bytes)
