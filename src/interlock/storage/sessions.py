"""Sessions as rows: one JSON object each, changed under a lock of its own.

Above: the stores' `sessions`. Below: a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from interlock.core.sessions import SessionTooLarge, Values, changed

from .session import Database

SWEPT = 1_000
"""Sessions that have ended, removed at a time."""


class Sessions:
    """Blocking; the ledger's face of it does not."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("sessions")

    def read(self, tenant: str, session: str, now_ns: int) -> Values:
        with self._database.reading("read a session") as db:
            row = db.execute(self._sql["read"], (tenant, session, now_ns)).fetchone()
        return {} if row is None else _values(row[0])

    def change(
        self, tenant: str, session: str, values: Mapping[str, Any], *, now_ns: int, ends_ns: int, max_bytes: int
    ) -> Values:
        """See `core.sessions.SessionStore.change`."""
        with self._database.transaction("change a session") as db:
            db.execute(self._sql["ensure"], (tenant, session, ends_ns))
            text, ended_ns = db.execute(self._sql["hold"], (tenant, session)).fetchone()
            after = changed(_values(text) if ended_ns > now_ns else {}, values)
            held = encoded(after, max_bytes)
            db.execute(self._sql["put"], (held, ends_ns, tenant, session))
        return after

    def forget(self, tenant: str, session: str, now_ns: int) -> bool:
        with self._database.transaction("end a session") as db:
            return db.execute(self._sql["forget"], (tenant, session, now_ns)).rowcount > 0

    def forget_all(self, tenant: str, prefix: str) -> int:
        with self._database.transaction("end sessions") as db:
            return int(db.execute(self._sql["forget_all"], (tenant, prefix, prefix)).rowcount)

    def sweep(self, now_ns: int) -> int:
        """Removes some of those that have ended; how many."""
        with self._database.transaction("remove sessions that have ended") as db:
            return int(db.execute(self._sql["sweep"], (now_ns, SWEPT)).rowcount)


def encoded(values: Values, max_bytes: int) -> str:
    """As JSON. Raises SessionTooLarge."""
    text = msgspec.json.encode(values)
    if len(text) > max_bytes:
        raise SessionTooLarge(len(text), max_bytes)
    return text.decode()


def _values(text: str) -> Values:
    return msgspec.json.decode(text, type=dict[str, Any])
