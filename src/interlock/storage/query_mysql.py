"""Checked queries on somebody's MySQL or MariaDB, in read-only transactions with a time limit.

Above: `app`. Below: `core.query`, PyMySQL. The driver is synchronous, so queries run in threads. The second wall is the user in the address: give it SELECT
on the granted tables and nothing else. Sources: dev.mysql.com/doc/refman/8.4/en (START TRANSACTION, MAX_EXECUTION_TIME); mariadb.com/kb (max_statement_time).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from interlock.core.errors import ToolError
from interlock.core.query import PLACE, Query, QueryLimits, Rows
from interlock.core.time import Clock, Deadline

from .capped import capped

if TYPE_CHECKING:
    import pymysql

CONNECT_S = 5
INTERRUPTED = frozenset({1317, 1969, 3024})
"""Query execution was interrupted; max_statement_time (MariaDB) and maximum statement execution time (MySQL) exceeded."""
# Backslashes escape and double quotes are strings, as the check read them; whatever the server's own mode says.
MODE = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY'"


class MysqlQueries:
    """Runs checked queries; each opens its own connection."""

    def __init__(self, url: str, clock: Clock, *, at_once: int = 4) -> None:
        self._url = url
        self._clock = clock
        self._free = asyncio.Semaphore(at_once)

    async def run(self, query: Query, limits: QueryLimits, deadline: Deadline) -> Rows:
        """See `QueryRunner.run`."""
        timeout_s = min(limits.timeout_s, deadline.left_s(self._clock))
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                await self._free.acquire()
        except TimeoutError as late:
            raise _too_long(limits) from late
        work = asyncio.get_running_loop().run_in_executor(None, self._run, query, limits, timeout_s)
        work.add_done_callback(lambda _: self._free.release())
        return await asyncio.shield(work)  # a cancelled caller does not free the place before the database is done

    async def close(self) -> None:
        """Nothing is kept open."""

    def _run(self, query: Query, limits: QueryLimits, timeout_s: float) -> Rows:
        import pymysql

        try:
            connection = self._connection(timeout_s)
        except pymysql.MySQLError as failed:
            raise ToolError("database_unreachable", "the database does not answer", retryable=True) from failed
        try:
            with connection.cursor(pymysql.cursors.SSCursor) as cursor:
                _bounded(cursor, timeout_s)
                cursor.execute("START TRANSACTION READ ONLY")
                cursor.execute(query.sql.replace("%", "%%").replace(PLACE, "%s"), query.parameters)
                columns = tuple(str(each[0]) for each in cursor.description or ())
                return capped(columns, iter(cursor.fetchone, None), limits)
        except pymysql.MySQLError as failed:
            code, said = (*failed.args, "", "")[:2]
            if code in INTERRUPTED:
                raise _too_long(limits) from failed
            raise ToolError("query_failed", str(said) or type(failed).__name__, hint="Correct the query.") from failed
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> pymysql.Connection[Any]:
        import pymysql

        parts = urlsplit(self._url)
        return pymysql.connect(
            host=parts.hostname or "localhost",
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=parts.path.lstrip("/"),
            charset="utf8mb4",
            connect_timeout=CONNECT_S,
            read_timeout=timeout_s + 1,
            local_infile=False,
            init_command=MODE,
        )


def _bounded(cursor: Any, timeout_s: float) -> None:
    """A time limit in the words of the server at hand."""
    cursor.execute("SELECT VERSION()")
    version = str(cursor.fetchone()[0])
    cursor.fetchall()
    seconds = max(0.05, timeout_s)
    if "mariadb" in version.lower():
        cursor.execute("SET SESSION max_statement_time = %s", (seconds,))
    else:
        cursor.execute("SET SESSION MAX_EXECUTION_TIME = %s", (int(seconds * 1000),))


def _too_long(limits: QueryLimits) -> ToolError:
    message = f"the query took longer than {limits.timeout_s:g} s"
    return ToolError("query_timeout", message, hint="Ask for less: fewer rows or joins.")
