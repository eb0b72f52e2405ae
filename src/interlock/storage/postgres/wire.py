"""`core.wires.Wire` over LISTEN and NOTIFY (PostgreSQL manual, NOTIFY): nothing is written to a table, and nothing waits for those who listen.

Above: this folder's store. Below: database. One channel for each tenant.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

from interlock.core.errors import StoreUnavailable
from interlock.core.wires import NOTHING

from .database import Connection, Database

AGAIN_S = 1.0
"""Before a connection that cannot be made is tried again."""


class PostgresWire:
    """`wait` belongs to one thread, `send` to whichever comes, one at a time. Its connections are made at their first use."""

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._channel = f"interlock_live_{hashlib.sha256(tenant.encode()).hexdigest()[:16]}"
        self._listening: Connection | None = None
        self._sending: Connection | None = None
        self._one_sends = threading.Lock()
        self._closed = threading.Event()

    def send(self, messages: Sequence[str]) -> None:
        with self._one_sends, self._database.explained("tell other processes"):
            if self._sending is None or self._sending.closed:
                self._sending = self._database.connect("listen")
            for message in messages:
                self._sending.execute("SELECT pg_notify(%s, %s)", (self._channel, message))

    def wait(self, timeout_s: float) -> Sequence[str]:
        if self._closed.is_set():
            return ()
        try:
            with self._database.explained("listen to other processes"):
                if self._listening is None or self._listening.closed:
                    self._listening = self._database.connect("listen")
                    self._listening.execute(f"LISTEN {self._channel}".encode())
                    return (NOTHING,)  # what came before it listened, it has not heard
                return [each.payload for each in self._listening.notifies(timeout=timeout_s, stop_after=1)]
        except StoreUnavailable:
            self._closed.wait(min(timeout_s, AGAIN_S))
            return ()

    def close(self) -> None:
        self._closed.set()
        for each in (self._listening, self._sending):
            if each is not None:
                each.close()
