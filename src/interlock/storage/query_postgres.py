"""Checked queries on somebody's PostgreSQL, in read-only transactions, with timeouts, a bare search path and a cost cap.

Above: `app`. Below: `core.query`, psycopg. The second wall is the role in the address: give it SELECT on the granted tables and nothing else.
Sources: PostgreSQL 15 manual 20.11 (client defaults), 53.2 (protocol); psycopg.org/psycopg3/docs.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from interlock.core.errors import ToolError
from interlock.core.query import Query, QueryLimits, Rows
from interlock.core.time import Clock, Deadline

from .capped import capped

if TYPE_CHECKING:
    import psycopg

CONNECT_S = 5.0
FETCH = 100


class PostgresQueries:
    """Runs checked queries; at most `at_once` at a time, each on a connection that is kept for the next one."""

    def __init__(self, url: str, clock: Clock, *, at_once: int = 4) -> None:
        self._url = url
        self._clock = clock
        self._free = asyncio.Semaphore(at_once)
        self._idle: list[psycopg.AsyncConnection[tuple[Any, ...]]] = []

    async def run(self, query: Query, limits: QueryLimits, deadline: Deadline) -> Rows:
        """See `QueryRunner.run`."""
        import psycopg

        timeout_s = min(limits.timeout_s, deadline.left_s(self._clock))
        try:
            async with asyncio.timeout(max(0.0, timeout_s) + 1.0), self._free:
                connection = await self._connection()
                try:
                    rows = await self._rows(connection, query, limits, timeout_s)
                except BaseException:
                    await connection.close()
                    raise
                self._idle.append(connection)
                return rows
        except (TimeoutError, psycopg.errors.QueryCanceled) as late:
            message = f"the query took longer than {limits.timeout_s:g} s"
            raise ToolError("query_timeout", message, hint="Ask for less: fewer rows or joins.") from late
        except psycopg.OperationalError as failed:
            raise ToolError("database_unreachable", "the database does not answer", retryable=True) from failed
        except psycopg.Error as failed:
            said = failed.diag.message_primary or type(failed).__name__
            raise ToolError("query_failed", said, hint="Correct the query.") from failed

    async def close(self) -> None:
        """Ends the idle connections."""
        while self._idle:
            await self._idle.pop().close()

    async def _connection(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        import psycopg

        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and not connection.broken:
                return connection
        fixed = "-c default_transaction_read_only=on -c search_path= -c lock_timeout=1000 -c idle_in_transaction_session_timeout=30000"
        return await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=int(CONNECT_S), options=fixed
        )

    async def _rows(
        self, connection: psycopg.AsyncConnection[tuple[Any, ...]], query: Query, limits: QueryLimits, timeout_s: float
    ) -> Rows:
        import psycopg

        async with connection.transaction(force_rollback=True):
            await connection.execute("SET TRANSACTION READ ONLY")
            await connection.execute(b"SET LOCAL statement_timeout = %d" % max(1, int(timeout_s * 1000)))
            if limits.max_cost:
                await self._affordable(connection, query, limits)
            cursor = psycopg.AsyncRawServerCursor(connection, "interlock_query")
            async with cursor:
                await cursor.execute(query.sql.encode(), query.parameters)
                columns = tuple(each.name for each in cursor.description or ())
                rows: list[tuple[Any, ...]] = []
                size = 0
                while len(rows) <= limits.max_rows and size <= limits.max_bytes:
                    more = await cursor.fetchmany(FETCH)
                    rows.extend(more)
                    size += sum(len(value) for row in more for value in row if isinstance(value, (str, bytes)))
                    if len(more) < FETCH:
                        break
        return capped(columns, rows, limits)

    async def _affordable(
        self, connection: psycopg.AsyncConnection[tuple[Any, ...]], query: Query, limits: QueryLimits
    ) -> None:
        import psycopg

        async with psycopg.AsyncRawCursor(connection) as cursor:
            await cursor.execute(b"EXPLAIN (FORMAT JSON) " + query.sql.encode(), query.parameters)
            row = await cursor.fetchone()
        plan = cast("list[dict[str, dict[str, float]]]", row[0] if row else [])
        cost = plan[0]["Plan"]["Total Cost"] if plan else 0.0
        if cost > limits.max_cost:
            message = f"the query is estimated to cost more than the {limits.max_cost:.0f} that is possible"
            raise ToolError("query_too_costly", message, hint="Narrow it down: fewer joins, a tighter condition.")
