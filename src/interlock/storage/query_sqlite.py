"""Checked queries on somebody's SQLite file, read-only, with the database's own authorizer as a second wall.

Above: `app`. Below: `core.query`, sqlite3. Sources: sqlite.org/c3ref/set_authorizer.html, sqlite.org/security.html, sqlite.org/limits.html.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from interlock.core.errors import ToolError
from interlock.core.query import Query, QueryLimits, Rows
from interlock.core.time import Clock, Deadline

from .capped import capped

MAX_VALUE_BYTES = 1_000_000
STEPS_BETWEEN_LOOKS = 5_000
"""Instructions of SQLite's machine between two looks at the clock; well under a millisecond."""


class SqliteQueries:
    """Runs checked queries; each opens its own connection, which costs a fraction of a millisecond and keeps no state."""

    def __init__(self, path: Path, clock: Clock, *, at_once: int = 4) -> None:
        self._path = path
        self._clock = clock
        self._free = asyncio.Semaphore(at_once)

    async def run(self, query: Query, limits: QueryLimits, deadline: Deadline) -> Rows:
        """See `QueryRunner.run`."""
        try:
            async with asyncio.timeout(max(0.0, deadline.left_s(self._clock))):
                await self._free.acquire()
        except TimeoutError as late:
            raise _too_long(limits) from late
        ends_s = self._clock.monotonic_s() + min(limits.timeout_s, deadline.left_s(self._clock))
        work = asyncio.get_running_loop().run_in_executor(None, self._run, query, limits, ends_s)
        work.add_done_callback(lambda _: self._free.release())
        return await asyncio.shield(work)  # a cancelled caller does not free the place before the database is done

    async def close(self) -> None:
        """Nothing is kept open."""

    def _run(self, query: Query, limits: QueryLimits, ends_s: float) -> Rows:
        try:
            with closing(
                sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
            ) as db:
                _fence(db, query, lambda: self._clock.monotonic_s() > ends_s)
                cursor = db.execute(query.sql, query.parameters)
                columns = tuple(str(each[0]) for each in cursor.description)
                return capped(columns, cursor, limits)
        except sqlite3.OperationalError as failed:
            if "interrupted" in str(failed):
                raise _too_long(limits) from failed
            if "unable to open" in str(failed):
                raise ToolError("database_unreachable", f"{self._path} cannot be opened", retryable=True) from failed
            raise ToolError("query_failed", str(failed), hint="Correct the query.") from failed
        except sqlite3.Error as failed:
            raise ToolError("query_failed", str(failed), hint="Correct the query.") from failed


def _too_long(limits: QueryLimits) -> ToolError:
    return ToolError(
        "query_timeout", f"the query took longer than {limits.timeout_s:g} s", hint="Ask for less: fewer rows or joins."
    )


def _fence(db: sqlite3.Connection, query: Query, late: Callable[[], bool]) -> None:
    """What the connection may do from here on."""
    db.execute("PRAGMA query_only = ON")
    db.execute("PRAGMA trusted_schema = OFF")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    db.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 0)
    db.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 200)
    db.setlimit(sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 50)
    db.set_progress_handler(lambda: int(late()), STEPS_BETWEEN_LOOKS)
    reads = {table.lower(): {column.lower() for column in columns} for table, columns in query.reads.items()}

    def allow(action: int, first: str | None, second: str | None, _database: str | None, _inner: str | None) -> int:
        if action == sqlite3.SQLITE_SELECT:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ:
            columns = reads.get((first or "").lower())
            return (
                sqlite3.SQLITE_OK
                if columns is not None and (second or "").lower() in {*columns, ""}
                else sqlite3.SQLITE_DENY
            )
        if action == sqlite3.SQLITE_FUNCTION:
            return sqlite3.SQLITE_OK if (second or "").lower() in query.functions else sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_DENY

    db.set_authorizer(allow)
