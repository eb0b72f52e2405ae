"""Hearing at once that a task has become due, in whichever process that happened.

Above: this folder's store. Below: database. Statements that make a task due send a notification with their commit (PostgreSQL manual, NOTIFY); it
says only that there is something to look for, so one that is lost costs no more than the wait until the next look.
"""

from __future__ import annotations

import threading

from interlock.core.errors import StoreUnavailable

from .database import Connection, Database

CHANNEL = "interlock_due"
AGAIN_S = 1.0
"""Before a connection that cannot be made is tried again."""


class Waker:
    """`core.due.Waker`; `wait` belongs to one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._closed = threading.Event()

    def wait(self, timeout_s: float) -> bool:
        if self._closed.is_set():
            return False
        try:
            with self._database.explained("listen for tasks that become due"):
                fresh = self._connection is None or self._connection.closed
                if self._connection is None or fresh:
                    self._connection = self._database.connect("listen")
                    self._connection.execute(f"LISTEN {CHANNEL}".encode())
                    return True  # what came before it listened, it has not heard of
                heard = [*self._connection.notifies(timeout=timeout_s, stop_after=1)]
                return bool(heard)
        except StoreUnavailable:
            self._closed.wait(min(timeout_s, AGAIN_S))
            return False

    def close(self) -> None:
        self._closed.set()
        if self._connection is not None:
            self._connection.close()
