"""Connections to one PostgreSQL: a single writing one, readers beside it, bounded waits, and errors that say what to do.

Above: this folder's store. Below: psycopg (psycopg.org/psycopg3/docs). A connection that broke is replaced at its next use. What the server may
wait for is bounded at the server too, so a process that stands still holds up nobody else for long.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal, LiteralString

import psycopg
from psycopg import sql
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from psycopg.types.string import StrBinaryDumper, StrDumper

from interlock.core.errors import StoreUnavailable
from interlock.core.tenancy import EVERYBODY, acting_for
from interlock.storage.session import Answer
from interlock.storage.statements import migration_files, statements

Connection = psycopg.Connection[tuple[Any, ...]]
Purpose = Literal["write", "read", "listen"]
Isolation = Literal["READ COMMITTED", "REPEATABLE READ"]
TENANT = "interlock.tenant"
"""The setting that row-level security goes by (`migrations/0006_tenants.sql`)."""
CONNECT_S = 5
IDLE_READERS = 4
STATEMENT_MS = 30_000
"""Longest single statement."""
IDLE_TRANSACTION_MS = 5_000
"""How long a process that stands still within a transaction may keep its locks."""

_HINTS: tuple[tuple[str, str], ...] = (
    ("53100", "The server's disk is full: free some space on it; nothing is lost, writing is tried again."),
    ("53300", "The server takes no further connection: raise its max_connections, or put a pool in front of it."),
    ("53", "The server is short of memory or room: look at its log; nothing is lost, writing is tried again."),
    ("25006", "The server is a standby or read-only: point `store:` at the primary."),
    ("28", "The server refuses this user: see the name and the password in `store:`, and the server's pg_hba.conf."),
    ("3D000", "There is no such database: create it (`createdb NAME`), or point `store:` at another one."),
    ("42501", "This user may not do that: it needs to own its tables, or CREATE on the schema for the first start."),
    ("40", "Two transactions were in each other's way: nothing is lost, it is tried again."),
    ("55P03", "Another transaction holds what is needed: nothing is lost, it is tried again."),
    ("57014", "It took longer than is allowed: nothing is lost, it is tried again."),
    ("57", "The server is being stopped or started: nothing is lost, it is tried again when it is there."),
    ("58", "The server could not use its disk: look at its log."),
)
_AWAY = "See that the server runs and can be reached; nothing is lost, it is tried again."


class _Text(StrDumper):
    """PostgreSQL's texts cannot hold NUL: it becomes the sign for what cannot be shown."""

    def dump(self, obj: str) -> bytes | bytearray | memoryview | None:
        return super().dump(_holdable(obj))


class _BinaryText(StrBinaryDumper):
    """The same as bytes: in lists of long texts (`%b`), since a list as text has every quotation mark in it looked at one by one."""

    def dump(self, obj: str) -> bytes | bytearray | memoryview | None:
        return super().dump(_holdable(obj))


def _holdable(text: str) -> str:
    return text.replace("\0", "\ufffd") if "\0" in text else text


class Lent:
    """`session.Session` on a connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Answer:
        return self.connection.execute(sql.encode(), parameters or None)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> None:
        rows = list(parameters)
        if rows:
            with self.connection.cursor() as cursor:
                cursor.executemany(sql.encode(), rows)


class Database:
    """One database. `transaction` for writing, `reading` for everything else; both may be used from any thread."""

    def __init__(self, dsn: str, *, busy_timeout_s: float) -> None:
        """Connects nowhere yet."""
        self._dsn = dsn
        self._busy_timeout_s = busy_timeout_s
        self.name = shown(dsn)
        """Its address without the password."""
        self._writing = threading.Lock()
        self._writer: Connection | None = None
        self._idle: list[Connection] = []
        self._closed = False
        self._knows = len(migration_files("postgres"))
        """Told to the server, so that whoever takes something away from the schema sees who still needs it."""

    def sql(self, noun: str) -> Mapping[str, str]:
        return statements(noun, "postgres")

    @contextmanager
    def transaction(self, doing: str) -> Generator[Lent]:
        """The writing connection inside a transaction (READ COMMITTED); commits at the end, rolls back on any exception.

        Raises:
            StoreUnavailable: it could not be done within the bounds; `doing` is named in the message.
        """
        with self._writing, self.explained(doing):
            writer = self._writer
            if writer is None or writer.closed:
                writer = self._writer = self.connect("write")
            with writer.transaction():
                yield Lent(writer)

    @contextmanager
    def at_once(self, doing: str) -> Generator[Lent]:
        """The writing connection for one statement, which is a transaction by itself: one way to the server and back instead of three.

        Raises:
            StoreUnavailable: as `transaction`.
        """
        with self._writing, self.explained(doing):
            writer = self._writer
            if writer is None or writer.closed:
                writer = self._writer = self.connect("write")
            yield Lent(writer)

    @contextmanager
    def reading(self, doing: str) -> Generator[Lent]:
        """A connection that sees what was committed before, as far as it is the tenant's for whom it is asked, and is refused every write."""
        with self._reader(doing, "READ COMMITTED") as db:
            yield db

    @contextmanager
    def snapshot(self, doing: str) -> Generator[Lent]:
        """The same, and every statement sees the same state."""
        with self._reader(doing, "REPEATABLE READ") as db:
            yield db

    @contextmanager
    def _reader(self, doing: str, isolation: Isolation) -> Generator[Lent]:
        """The tenant is said for the transaction alone: whoever has the connection next, a pool's other clients among them, says their own."""
        with self.explained(doing):
            reader = self._idle.pop() if self._idle else self.connect("read")
            try:
                reader.execute(_begin(isolation, acting_for()), prepare=False)
                yield Lent(reader)
                reader.execute("COMMIT")
            finally:
                if reader.info.transaction_status != TransactionStatus.IDLE and not reader.closed:
                    with suppress(psycopg.Error):
                        reader.execute("ROLLBACK")
                if self._closed or reader.closed or len(self._idle) >= IDLE_READERS:
                    reader.close()
                else:
                    self._idle.append(reader)

    def connect(self, purpose: Purpose) -> Connection:
        """A connection of its own, for the caller to close; each statement is a transaction until one is begun."""
        settings: dict[str, str | int] = {
            "jit": "off",
            "lock_timeout": round(self._busy_timeout_s * 1000),
            "statement_timeout": STATEMENT_MS,
            "idle_in_transaction_session_timeout": IDLE_TRANSACTION_MS,
            "default_transaction_isolation": "read\\ committed",
            "default_transaction_read_only": "on" if purpose == "read" else "off",
        }
        if purpose == "write":
            settings[TENANT] = EVERYBODY  # a group of records is many tenants'
            settings["plan_cache_mode"] = (
                "force_generic_plan"  # what is written is found by keys: planning would take longer than doing
            )
            settings["enable_bitmapscan"] = "off"  # nor may it think that a short list is best read whole and sorted
        known = conninfo_to_dict(self._dsn)
        options = " ".join([str(known.get("options") or ""), *(f"-c {key}={value}" for key, value in settings.items())])
        bounded = make_conninfo(
            self._dsn,
            options=options.strip(),
            connect_timeout=known.get("connect_timeout") or CONNECT_S,
            application_name=known.get("application_name") or f"interlock {purpose} {self._knows}",
            tcp_user_timeout=known.get("tcp_user_timeout") or STATEMENT_MS,
        )
        connection = psycopg.connect(bounded, autocommit=True)
        _adapt(connection.adapters)
        return connection

    def close(self) -> None:
        """Closes every connection. What was committed stays."""
        with self._writing:
            self._closed = True
            while self._idle:
                self._idle.pop().close()
            if self._writer is not None:
                self._writer.close()

    @contextmanager
    def explained(self, doing: str) -> Generator[None]:
        """Turns errors about the server into `StoreUnavailable`; faults of a statement or a value pass through."""
        try:
            yield
        except psycopg.Error as error:
            state = error.sqlstate or ""
            away = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) or state in ("25P03", "25006")
            hint = next((hint for prefix, hint in _HINTS if state.startswith(prefix)), _AWAY if away else "")
            if not hint:
                raise
            said = str(error).strip().partition("\n")[0]
            raise StoreUnavailable(f"{self.name}: could not {doing}: {said} ({state or 'away'}).", hint=hint) from error


def _begin(isolation: Isolation, tenant: str) -> sql.Composed:
    """One message for both, since each reading begins with it."""
    text: LiteralString = "BEGIN READ ONLY ISOLATION LEVEL " + isolation
    return sql.SQL(text + "; SELECT set_config({}, {}, true)").format(TENANT, tenant)


def _adapt(adapters: AdaptersMap) -> None:
    """One type for every number, so that a statement is prepared once; texts that any row can hold."""
    for dumper in (Int8Dumper, Int8BinaryDumper):
        adapters.register_dumper(int, dumper)
    for dumper in (_Text, _BinaryText):
        adapters.register_dumper(str, dumper)


def shown(dsn: str) -> str:
    """The address as people may see it. Raises StoreUnavailable where it is none."""
    try:
        known = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise StoreUnavailable(
            "the address of the store is no PostgreSQL address (it is not shown, since it may hold a password).",
            hint="Write it like postgresql://user:password@host:5432/database, with %40 for an @ in the password.",
        ) from None
    host = known.get("host") or known.get("hostaddr") or "localhost"
    port = f":{known['port']}" if known.get("port") else ""
    return f"postgresql://{host}{port}/{known.get('dbname') or ''}"
