"""Connections to one SQLite file: a single writer, readers beside it, bounded waits, and errors that say what to do.

Above: the aggregates of this room. Below: `sqlite3`. The file is in WAL mode: readers never wait for the writer.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Literal

from interlock.core.errors import StoreUnavailable
from interlock.core.sketch import added, packed, summed

from .ahead import Ahead
from .laid import Laid
from .migrate import prepare
from .statements import statements

Synchronous = Literal["full", "normal"]
IDLE_READERS = 4
WRITER_KIB = 8192
"""Pages that the writing connection keeps: indexes are written to all over, and SQLite's own two megabytes hold too few of them."""
WAL_PAGES = 4000
"""Written before they are moved into the file: pages that every commit changes are moved once for sixteen megabytes of log."""
OPENING_TRIES = 100
OPENING_PAUSE_S = 0.02
"""Together two seconds."""

_HINTS = {
    "SQLITE_BUSY": "Another process holds the database: let it finish or stop it; nothing is lost, writing is tried again.",
    "SQLITE_LOCKED": "Another connection holds the table: nothing is lost, writing is tried again.",
    "SQLITE_FULL": "The disk or its quota is full: free some space on it; nothing is lost, writing is tried again.",
    "SQLITE_IOERR": "The disk failed or is full: look at the system's log and free space.",
    "SQLITE_CANTOPEN": "See that the folder exists and that this user may write in it.",
    "SQLITE_READONLY": "See that this user may write the file and its folder.",
    "SQLITE_PERM": "See that this user may write the file and its folder.",
    "SQLITE_NOTADB": "The file is no SQLite database: point `store:` at another path, or move the file away.",
    "SQLITE_CORRUPT": "The file is damaged: put a backup in its place, or rescue it with `sqlite3 FILE .recover`.",
}


class Database:
    """One file. `transaction` for writing, `reading` for everything else; both may be used from any thread."""

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_s: float,
        synchronous: Synchronous,
        prepared: Callable[[sqlite3.Connection, str], object] = prepare,
    ) -> None:
        """Opens or makes the file; `prepared` sees to its schema. Raises StoreUnavailable."""
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._synchronous = synchronous
        self._writing = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self.ahead = Ahead()
        """Of the writing connection: for whoever is inside a transaction."""
        self._laid = Laid(path)
        with explained(path, "open the database"):
            _private(path)
            self._writer = self._connect()
            self._writer.execute(f"PRAGMA cache_size = -{WRITER_KIB}")
            self._writer.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
            self._into_wal()
            prepared(self._writer, str(path))

    def sql(self, noun: str) -> Mapping[str, str]:
        return statements(noun)

    def transaction(self, doing: str) -> AbstractContextManager[sqlite3.Connection]:
        """The writing connection inside `BEGIN IMMEDIATE`; commits at the end, rolls back on any exception.

        Raises:
            StoreUnavailable: it could not be done within the bounded wait; `doing` is named in the message.
        """
        return _Transaction(self, doing)

    def begin(self) -> sqlite3.Connection:
        self._writing.acquire()
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._writing.release()
            raise
        return self._writer

    def end(self, *, well: bool) -> None:
        """Commits what was begun, or undoes it."""
        writer, done = self._writer, False
        try:
            if well:
                self._laid.lay()
                writer.execute("COMMIT")
                done = True
        finally:
            if not done:
                self.ahead.forget()
            # A failed statement may have rolled back by itself; only a transaction that is still open is undone.
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            self._writing.release()

    @contextmanager
    def reading(self, doing: str) -> Generator[sqlite3.Connection]:
        """A connection that sees what was committed before and is refused every write."""
        with explained(self.path, doing):
            reader = self._idle.pop() if self._idle else self._reader()
            try:
                yield reader
            finally:
                if self._closed or len(self._idle) >= IDLE_READERS:
                    reader.close()
                else:
                    self._idle.append(reader)

    @contextmanager
    def snapshot(self, doing: str) -> Generator[sqlite3.Connection]:
        """The same, for several statements that have to see one state."""
        with self.reading(doing) as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("COMMIT")

    def checkpoint(self) -> bool:
        """Moves what was written out of the write-ahead log and empties it; False while somebody reads an older state."""
        with self._writing, explained(self.path, "empty the write-ahead log"):
            (busy, *_) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def close(self) -> None:
        """Closes every connection. What was committed stays."""
        with self._writing:
            self._closed = True
            while self._idle:
                self._idle.pop().close()
            self._writer.close()
            self._laid.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA secure_delete = 1")  # scrubbed content leaves no trace in free pages
        connection.create_function("merge_latency", 2, _merge_latency, deterministic=True)
        connection.create_aggregate("merged_latency", 1, _Latencies)  # pyright: ignore[reportArgumentType]
        connection.create_aggregate("segment_calls", 2, _Calls)  # pyright: ignore[reportArgumentType]
        connection.create_aggregate("segment_contents", 2, _Contents)  # pyright: ignore[reportArgumentType]
        return connection

    def _reader(self) -> sqlite3.Connection:
        reader = self._connect()
        reader.row_factory = sqlite3.Row
        reader.execute("PRAGMA query_only = 1")
        return reader

    def _into_wal(self) -> None:
        """WAL mode, for good. SQLite does not wait here when another process makes the file at the same moment, so we do."""
        pause = threading.Event()
        for left in range(OPENING_TRIES, -1, -1):
            try:
                self._writer.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not left:
                    raise
            pause.wait(OPENING_PAUSE_S)


class _Transaction:
    """What `with database.transaction(…)` holds. A class, since each commit goes through it: two generators take five microseconds."""

    __slots__ = ("_database", "_doing")

    def __init__(self, database: Database, doing: str) -> None:
        self._database = database
        self._doing = doing

    def __enter__(self) -> sqlite3.Connection:
        try:
            return self._database.begin()
        except sqlite3.DatabaseError as error:
            raise _said(self._database.path, self._doing, error) from error

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: object) -> None:
        try:
            self._database.end(well=fault is None)
        except sqlite3.DatabaseError as error:
            raise _said(self._database.path, self._doing, error) from error
        if (
            isinstance(fault, sqlite3.DatabaseError)
            and (said := _said(self._database.path, self._doing, fault)) is not fault
        ):
            raise said from fault


@contextmanager
def explained(path: Path, doing: str) -> Generator[None]:
    """Turns SQLite's errors about the file into `StoreUnavailable`; faults of a statement or a value pass through."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if (said := _said(path, doing, error)) is error:
            raise
        raise said from error


def _said(path: Path, doing: str, error: sqlite3.DatabaseError) -> Exception:
    """What is said of SQLite's error: itself, where it is a fault of a statement or a value."""
    name = getattr(error, "sqlite_errorname", "") or ""
    hint = next((hint for prefix, hint in _HINTS.items() if name.startswith(prefix)), "")
    return StoreUnavailable(f"{path}: could not {doing}: {error} ({name}).", hint=hint) if hint else error


def _private(path: Path) -> None:
    """A new file is this user's alone, and so are the log and index that SQLite puts beside it; an old one keeps its mode."""
    with suppress(OSError):  # it is there, or cannot be made: then SQLite says why
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


class _Latencies:
    """An SQL aggregate over distributions at rest."""

    def __init__(self) -> None:
        self._found: list[bytes] = []

    def step(self, latency: bytes) -> None:
        self._found.append(latency)

    def finalize(self) -> bytes:
        return packed(summed(self._found))


class _Contents:
    """An SQL aggregate, for a migration: JSON texts as a list by their places; NULL when there are none."""

    def __init__(self) -> None:
        self._found: list[tuple[int, str | None]] = []

    def step(self, place: int, text: str | None) -> None:
        self._found.append((place, text))

    def joined(self) -> str:
        return f"[{','.join(text or 'null' for _, text in sorted(self._found, key=lambda each: each[0]))}]"

    def finalize(self) -> str | bytes | None:
        return self.joined() if any(text for _, text in self._found) else None


class _Calls(_Contents):
    """The same, compressed."""

    def finalize(self) -> bytes:
        return zlib.compress(self.joined().encode(), level=1)


def _merge_latency(ours: bytes, theirs: bytes) -> bytes:
    return added(ours, theirs)
