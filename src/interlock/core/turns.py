"""Reads pending socket data before a timeout is acted on.

Above: net, gateway. Below: asyncio. An event loop that stood still finds both at once: the bytes that came meanwhile, and timers that are long due. Whoever
acts on the timer first leaves bytes unread that had come in time.
"""

from __future__ import annotations

import asyncio

TURNS = 3
"""A step that is due runs before what the same look at the sockets brings, so the second turn has all that lay in them at the first; and whoever
writes into them from this process may be a step that is due, too."""


async def read_in() -> None:
    """Returns when what lies in the sockets now has been handed to its readers."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
