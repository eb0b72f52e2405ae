"""What a process keeps open whatever its files come to say: the store, the recorder of calls, connections to vendors.

Above: compose. Below: stores, ledger, net. Versions of a workspace that a process serves one after the other stand on one ground; the last to leave closes it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack

from interlock.config.schema import Settings
from interlock.config.workspace import Workspace
from interlock.core.errors import Fault
from interlock.core.money import Price
from interlock.core.time import Clock
from interlock.economics.prices import PriceBook
from interlock.ledger import Recorder, RecorderLimits
from interlock.ledger.circuits import CircuitLog
from interlock.net.client import PooledClient
from interlock.net.pool import PoolLimits

from .sealing import seal_of
from .stores import open_store

BOOKS_KEPT = 64
"""Price books of versions that calls may still have begun with."""


class Ground:
    """Open from `open` until as many have left as have entered."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self.opened_with = workspace.settings
        self._books: deque[PriceBook] = deque(maxlen=BOOKS_KEPT)
        self._inside = 0
        self._crowd = workspace.settings.resilience.admission.max_concurrent
        self._workspace = workspace
        self._clock = clock
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Opens the store and settles what a crash left behind. Raises StoreUnavailable."""
        async with AsyncExitStack() as opened:  # what was opened is closed again where a later part fails
            self.store = await asyncio.to_thread(open_store, self._workspace)
            opened.callback(self.store.close)
            self.recorder = Recorder(
                self.store,
                self._clock,
                path=self._workspace.store,
                price_of_version=self._price,
                limits=RecorderLimits(calls=max(RecorderLimits().calls, 2 * self._crowd)),
                seal=seal_of(self._workspace),
            )
            self.recorder.start()
            opened.push_async_callback(self.recorder.close)
            self.circuits = CircuitLog(self.recorder, self._clock, self._workspace.settings.tenant)
            opened.push_async_callback(self.circuits.close)
            connections = max(PoolLimits().connections, self._crowd)
            self.http = PooledClient(self._clock, limits=PoolLimits(connections=connections))
            opened.push_async_callback(self.http.close)
            self._stack = opened.pop_all()

    def enter(self, prices: PriceBook) -> None:
        """One more stands here; settled calls may name its prices from now on."""
        self._inside += 1
        self._books.append(prices)

    async def leave(self) -> None:
        """The last one closes it."""
        self._inside -= 1
        if not self._inside:
            await self._stack.aclose()

    def _price(self, version: str) -> Price | None:
        return next((found for book in reversed(self._books) if (found := book.known(version))), None)


def unmovable(before: Settings, after: Settings, file: str) -> list[Fault]:
    """What may not change while a process stands on a ground that was opened with `before`; empty where nothing of it has."""
    held = [
        ("store", before.store.reveal() == after.store.reveal()),
        ("encryption", before.encryption == after.encryption),
        *((f"server.{name}", getattr(before.server, name) == getattr(after.server, name)) for name in _AT_THE_DOOR),
        ("resilience.admission", _crowd(after) <= _crowd(before)),
    ]
    return [
        Fault(file, 0, 0, key, "it cannot change while the server runs", "Put it back, or restart the server.")
        for key, same in held
        if not same
    ]


_AT_THE_DOOR = ("host", "port", "workers", "tls_cert", "tls_key")


def _crowd(settings: Settings) -> int:
    """Calls that the journal, the connections and the door were opened for; fewer fit as well."""
    return settings.resilience.admission.max_concurrent + settings.resilience.admission.max_waiting
