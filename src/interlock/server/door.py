"""The indirection that makes reloads possible: which version of the configuration answers new requests, and when an older one is drained.

Above: serve, reload. Below: protocol, asgi, the faces. The socket, the connections and their protocol stay; what answers them changes. A request is
answered by the version that was there when it began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import cast

from msgspec import Struct

from .asgi import ColdApp, Message, Receive, Scope, Send
from .exchange import HotHandler, ShortWay
from .protocol import HotProtocol

LOOK_S = 0.1
"""How often a version that was followed is looked at: whether its last request has ended."""
COLD_S = 30.0
"""How long streams of the cold side (progress of tasks, live pages) may go on with a version that was followed; then they end, and their readers
come again."""
LAST_S = 1.0
"""After the last request: what its end has left to be settled."""


class Served(Struct, frozen=True, eq=False):
    """One version, as the door knows it."""

    hot: Mapping[bytes, HotHandler]
    short: Mapping[HotHandler, ShortWay]
    cold: ColdApp
    streams: set[asyncio.Task[object]]
    """Requests of the cold side that are being answered."""
    cut: set[asyncio.Task[object]]
    """Those of them that are told to end."""
    begun: set[asyncio.Task[object]] = set()
    """Those of them whose reader has seen a first piece and waits for more. The others are asked for one answer, which takes its time as a call does."""


class Door:
    """What stands behind the protocol. It belongs to the event loop that serves."""

    def __init__(self, first: Served) -> None:
        self._now = first
        self.hot: dict[bytes, HotHandler] = dict(first.hot)
        self.short: dict[HotHandler, ShortWay] = dict(first.short)
        self.connections: Iterable[object] = ()
        """The server's own set, once it is open."""
        self.tasks: Iterable[asyncio.Task[object]] = ()

    def turn(self, following: Served) -> Served:
        """From now on `following` answers what begins; returns what did so until now."""
        before, self._now = self._now, following
        self.hot.clear()
        self.hot.update(following.hot)
        self.short.clear()
        self.short.update(following.short)
        for each in self._hot_connections():
            each.forget_head()
        return before

    async def emptied(self, before: Served) -> None:
        """Returns when nothing is left of what `before` answers. Streams of the cold side are ended after a while; calls never are,
        and neither is a request whose answer has not begun: its client would see a connection that breaks, and not know what was done.
        """
        at_hand = [task for task in self.tasks if not task.done()]
        handlers = frozenset(before.hot.values())
        loop = asyncio.get_running_loop()
        cut_s = loop.time() + COLD_S
        while True:
            if before.begun and loop.time() >= cut_s:
                for task in before.begun - before.cut:
                    before.cut.add(task)
                    task.cancel()
            at_hand = [task for task in at_hand if not task.done() and task not in self._now.streams]
            if not (before.streams or at_hand or any(each.holds(handlers) for each in self._hot_connections())):
                break
            await asyncio.sleep(LOOK_S)
        await asyncio.sleep(LAST_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The cold side, as an ASGI app."""
        served = self._now
        task = cast("asyncio.Task[object]", asyncio.current_task())

        async def noted(message: Message) -> None:
            goes_on = message["type"] != "http.response.body" or message.get("more_body", False)
            (served.begun.add if goes_on else served.begun.discard)(task)
            await send(message)

        served.streams.add(task)
        try:
            await served.cold(scope, receive, noted)
        except asyncio.CancelledError:
            if task not in served.cut:
                raise
            task.uncancel()  # it was asked to end in good order
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            for each in (served.streams, served.begun, served.cut):
                each.discard(task)

    def _hot_connections(self) -> list[HotProtocol]:
        return [each for each in tuple(self.connections) if isinstance(each, HotProtocol)]
