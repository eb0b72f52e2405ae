"""One call's transaction on somebody's SQLite file, in which only statements run that were written down beforehand.

Above: `app/doors`. Below: sqlite3. Everything here blocks; one thread at a time. Sources: sqlite.org/lang_transaction.html, sqlite.org/wal.html,
sqlite.org/c3ref/set_authorizer.html.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from interlock.core.errors import ToolError

BUSY_TIMEOUT_S = 5.0
MAX_ROWS = 1_000
MAX_VALUE_BYTES = 1_000_000
STEPS = 10_000
"""Of SQLite's machine between two looks whether somebody wants the statement ended."""
_NEVER = frozenset((sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA, sqlite3.SQLITE_TRANSACTION))
Prepare = Callable[[sqlite3.Connection, Path], None]


def prepared(file: Path, prepare: Prepare | None, workspace: Path) -> None:
    """Makes and fills the file where it has no table, in one transaction, whoever else does so at the same time.

    Raises:
        OSError, sqlite3.Error: it cannot be opened or written.
    """
    if prepare is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as db:
        if _has_tables(db):
            return
        db.execute("PRAGMA journal_mode = WAL")  # readers and a writer do not wait for each other
        db.execute("BEGIN IMMEDIATE")
        try:
            if not _has_tables(db):
                prepare(db, workspace)
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


def _has_tables(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' LIMIT 1").fetchone() is not None


class SqliteDoor:
    """One transaction; made when the first question comes."""

    def __init__(self, file: Path, statements: Mapping[str, str], bound: Mapping[str, Any], *, writes: bool) -> None:
        """`bound` are the values that the host gives, whatever is asked.

        Raises:
            ToolError: the file is not there, or somebody else has held it for longer than `BUSY_TIMEOUT_S`.
        """
        self._statements = statements
        self._bound = dict(bound)
        self._interrupted = False
        try:
            self._db = sqlite3.connect(
                f"{file.resolve().as_uri()}?mode=rw",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.OperationalError as failed:
            raise ToolError("database_unreachable", f"{file.name} cannot be opened", retryable=True) from failed
        try:
            self._begin(writes=writes)
        except sqlite3.Error as failed:
            self._db.close()
            raise _told(failed) from failed

    def ask(self, name: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of a statement, each by its columns' names.

        Raises:
            ToolError: no such statement is open to the tool, its values do not fit, or the database says no.
        """
        sql = self._statements.get(name)
        if sql is None:
            raise ToolError("not_open", f"{name!r} is none of the statements that this tool declares")
        self._held()
        try:
            cursor = self._db.execute(sql, {**_plain(values), **self._bound})
            columns = [each[0] for each in cursor.description or ()]
            rows = cursor.fetchmany(MAX_ROWS + 1)
        except (sqlite3.Error, OverflowError) as failed:
            raise _told(failed) from failed
        if len(rows) > MAX_ROWS:
            raise ToolError("too_many_rows", f"{name} gives more than {MAX_ROWS} rows")
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def end(self, *, keep: bool) -> None:
        """Commits, or takes everything back. Raises ToolError: it could not be committed, and nothing was changed."""
        with closing(self._db):
            self._db.set_authorizer(None)
            if keep:
                self._held()
                try:
                    self._db.execute("COMMIT")
                except sqlite3.Error as failed:
                    raise _told(failed) from failed

    def interrupt(self) -> None:
        """Ends a statement that is running or about to, from another thread; nothing is asked after it."""
        self._interrupted = True
        self._db.interrupt()

    def _held(self) -> None:
        """Raises ToolError: the transaction is over, and what would be asked now would stand for itself. SQLite takes all of it back after some errors."""
        if not self._db.in_transaction:
            raise ToolError("transaction_over", "the database has taken back what this call did; nothing was changed")

    def _begin(self, *, writes: bool) -> None:
        db = self._db
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA synchronous = EXTRA")
        db.execute(f"PRAGMA query_only = {'OFF' if writes else 'ON'}")
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        db.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        db.set_authorizer(_allowed)
        db.set_progress_handler(lambda: self._interrupted, STEPS)


def _allowed(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_DENY if action in _NEVER else sqlite3.SQLITE_OK


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Raises ToolError: a value is none that SQL knows."""
    wrong = [name for name, value in values.items() if not isinstance(value, str | int | float | None)]
    if wrong:
        raise ToolError("bad_value", f"{', '.join(wrong)}: give text, a number or null")
    return dict(values)


def _told(failed: Exception) -> ToolError:
    busy = "locked" in str(failed) or "busy" in str(failed)
    return ToolError("database_busy" if busy else "statement_failed", str(failed), retryable=busy)
