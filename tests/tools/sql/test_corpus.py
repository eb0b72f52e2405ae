"""The governed SQL tool against real databases: hostile queries learn nothing, ordinary ones lose nothing."""

import asyncio
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from interlock.core.errors import ToolError
from interlock.core.query import Query, QueryLimits, QueryRunner
from interlock.core.time import Deadline, SystemClock
from interlock.storage.query_mysql import MysqlQueries
from interlock.storage.query_postgres import PostgresQueries
from interlock.storage.query_sqlite import SqliteQueries
from interlock.tools.sql.check import parsed
from interlock.tools.sql.policy import Dialect
from interlock.tools.sql.rewrite import governed
from tests.servers import mariadb_programs, mariadb_server, postgres_server
from tests.tools.sql.world import TABLES, WORLDS, fill_sqlite, policy

HERE = Path(__file__).parent
CLOCK = SystemClock()
SQLITE: Dialect = "sqlite"
POSTGRES: Dialect = "postgres"
WORDS = ("CANARY", "rival", "zeta")


def corpus(name: str, dialect: str) -> list[str]:
    """The paragraphs of a corpus that are for `dialect`."""
    found: list[str] = []
    for paragraph in (HERE / name).read_text(encoding="utf-8").split("\n\n")[1:]:
        first, _, rest = paragraph.partition("\n")
        marked = first in ("-- sqlite", "-- postgres", "-- mysql")
        if not marked or first == f"-- {dialect}":
            found.append(rest if marked else paragraph)
    return [each.strip() for each in found]


@pytest.fixture(scope="module")
def sqlite_worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("worlds")
    for world in WORLDS:
        fill_sqlite(folder / f"{world}.db", world)
    return {world: folder / f"{world}.db" for world in WORLDS}


@pytest.fixture(scope="module")
def postgres() -> Iterator[dict[str, str]]:
    """One database per world, in a server of its own."""
    with postgres_server() as url:
        for world, tables in WORLDS.items():
            with psycopg.connect(url, autocommit=True) as db:
                db.execute(f"CREATE DATABASE world_{world}".encode())
            with psycopg.connect(f"{url.rpartition('/')[0]}/world_{world}", autocommit=True) as db:
                db.execute(TABLES.encode())
                with db.cursor() as cursor:
                    for table, lines in tables.items():
                        places = ",".join(["%s"] * len(lines[0]))
                        cursor.executemany(f"INSERT INTO {table} VALUES ({places})".encode(), lines)
        yield {world: f"{url.rpartition('/')[0]}/world_{world}" for world in WORLDS}


@pytest.fixture(scope="module")
def mariadb() -> Iterator[dict[str, str]]:
    """One database per world, in a server of its own."""
    if mariadb_programs() is None:
        pytest.skip(
            "MariaDB is not installed (apt install mariadb-server), so the MySQL dialect is not run for real here"
        )
    with mariadb_server() as url:
        port = int(url.rpartition(":")[2].rstrip("/"))
        for world, tables in WORLDS.items():
            db = pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True)
            with db, db.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE world_{world}")
                cursor.execute(f"USE world_{world}")
                for statement in TABLES.replace("sku TEXT", "sku VARCHAR(20)").strip().split(";\n"):
                    cursor.execute(statement)
                for table, lines in tables.items():
                    cursor.executemany(f"INSERT INTO {table} VALUES ({','.join(['%s'] * len(lines[0]))})", lines)
        yield {world: f"{url}world_{world}" for world in WORLDS}


async def asked(runner: QueryRunner, dialect: Dialect, sql: str) -> tuple[Any, ...]:
    """Everything that the tool tells about one query."""
    terms = policy(dialect)
    try:
        query = governed(parsed(sql, terms), terms, {"tenant": "acme", "user": ""})
        rows = await runner.run(query, terms.limits, Deadline.after(CLOCK, 60))
    except ToolError as refused:
        return (refused.code, refused.message)
    return ("rows", rows.columns, rows.rows, rows.truncated)


def told_nothing(sql: str, one: tuple[Any, ...], two: tuple[Any, ...]) -> str:
    """What is wrong with what two worlds answered; empty where the answers do not depend on what is hidden."""
    if one != two:
        return f"{sql!r} tells the worlds apart: {str(one)[:200]} / {str(two)[:200]}"
    if one[0] == "rows" and any(word in str(one[2]) and word not in sql for word in WORDS):
        return f"{sql!r} shows a canary: {str(one)[:200]}"
    return ""


@pytest.mark.requirement("TL-11")
async def test_no_hostile_query_learns_anything_from_sqlite(sqlite_worlds: dict[str, Path]):
    runners = [SqliteQueries(sqlite_worlds[world], CLOCK) for world in ("one", "two")]
    queries = corpus("hostile.sql", "sqlite")

    leaks = [told_nothing(sql, *[await asked(runner, "sqlite", sql) for runner in runners]) for sql in queries]

    assert len(queries) >= 150
    assert [leak for leak in leaks if leak] == []


@pytest.mark.requirement("TL-11")
async def test_no_hostile_query_learns_anything_from_postgres(postgres: dict[str, str]):
    runners = [PostgresQueries(postgres[world], CLOCK) for world in ("one", "two")]
    queries = corpus("hostile.sql", "postgres")

    leaks = [told_nothing(sql, *[await asked(runner, "postgres", sql) for runner in runners]) for sql in queries]
    for runner in runners:
        await runner.close()

    assert len(queries) >= 150
    assert [leak for leak in leaks if leak] == []


@pytest.mark.requirement("TL-11")
async def test_no_hostile_query_learns_anything_from_mysql(mariadb: dict[str, str]):
    runners = [MysqlQueries(mariadb[world], CLOCK) for world in ("one", "two")]
    queries = corpus("hostile.sql", "mysql")

    leaks = [told_nothing(sql, *[await asked(runner, "mysql", sql) for runner in runners]) for sql in queries]

    assert len(queries) >= 150
    assert [leak for leak in leaks if leak] == []


@pytest.mark.requirement("TL-11")
async def test_ordinary_analytics_on_mysql_answer_as_if_there_were_nothing_to_hide(mariadb: dict[str, str]):
    queries = [sql for sql in corpus("legitimate.sql", "mysql") if not foreign_to_mysql(sql)]
    runner = MysqlQueries(mariadb["one"], CLOCK)
    changed: list[str] = []
    ran = 0
    port = int(mariadb["one"].rpartition(":")[2].partition("/")[0])
    db = pymysql.connect(host="127.0.0.1", port=port, user="root", database="world_one", autocommit=True)
    with db, db.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS visible")
        for table, grant in policy("mysql").tables.items():
            where = f"WHERE {grant.where.replace(':tenant', chr(39) + 'acme' + chr(39))}" if grant.where else ""
            cursor.execute(
                f"CREATE VIEW visible.{table} AS SELECT {', '.join(grant.columns)} FROM world_one.{table} {where}"
            )
        cursor.execute("USE visible")
        for sql in queries:
            try:
                cursor.execute(sql)
            except pymysql.ProgrammingError:
                continue  # words that are names elsewhere are reserved in MySQL
            expected, ran = plain(cursor.fetchall()), ran + 1
            answer = await asked(runner, "mysql", sql)
            if answer[0] != "rows" or plain(answer[2]) != expected:
                changed.append(f"{sql}: {str(answer)[:300]} instead of {expected[:3]}")

    assert ran >= 45
    assert changed == []


def foreign_to_mysql(sql: str) -> bool:
    """What MySQL itself reads in another way: quoted names, `||`, FILTER, casts to INTEGER, names in another case."""
    return any(word in sql for word in ('"', "||", "FILTER", "AS INTEGER", "Orders", "NULLS")) or sql.startswith(
        "WITH orders AS"
    )


def test_the_hostile_corpus_does_leak_where_nothing_stands_in_its_way(sqlite_worlds: dict[str, Path]):
    def raw(world: str, sql: str) -> str:
        db = sqlite3.connect(sqlite_worlds[world].as_uri() + "?mode=ro", uri=True)
        steps = iter(range(200))
        db.set_progress_handler(lambda: int(next(steps, None) is None), 10_000)
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000)
        try:
            return str(db.execute(sql).fetchmany(100))
        except (sqlite3.Error, sqlite3.Warning) as error:
            return str(error)
        finally:
            db.close()

    leaking = [sql for sql in corpus("hostile.sql", "sqlite") if raw("one", sql) != raw("two", sql)]

    assert len(leaking) >= 60


def plain(rows: Any) -> list[tuple[Any, ...]]:
    """Rows that compare by value: a number is a number, whatever type a driver gives it."""
    return [tuple(float(value) if isinstance(value, (int, float, Decimal)) else value for value in row) for row in rows]


@pytest.mark.requirement("TL-11")
async def test_ordinary_analytics_on_sqlite_answer_as_if_there_were_nothing_to_hide(sqlite_worlds: dict[str, Path]):
    queries = corpus("legitimate.sql", "sqlite")
    runner = SqliteQueries(sqlite_worlds["one"], CLOCK)
    alone = sqlite3.connect(":memory:")
    fill_visible(alone)

    changed: list[str] = []
    for sql in queries:
        answer = await asked(runner, "sqlite", sql)
        expected = plain(alone.execute(sql).fetchall())
        if answer[0] != "rows" or plain(answer[2]) != expected:
            changed.append(f"{sql}: {str(answer)[:300]} instead of {expected[:3]}")
    alone.close()

    assert len(queries) >= 60
    assert changed == []


@pytest.mark.requirement("TL-11")
async def test_ordinary_analytics_on_postgres_answer_as_if_there_were_nothing_to_hide(postgres: dict[str, str]):
    queries = corpus("legitimate.sql", "postgres")
    runner = PostgresQueries(postgres["one"], CLOCK)
    changed: list[str] = []
    with psycopg.connect(postgres["one"], options="-c search_path=visible,public") as alone:
        hide_in_schema(alone)
        for sql in queries:
            answer = await asked(runner, "postgres", sql)
            expected = plain(alone.execute(sql.encode()).fetchall())
            if answer[0] != "rows" or plain(answer[2]) != expected:
                changed.append(f"{sql}: {str(answer)[:300]} instead of {expected[:3]}")
        alone.rollback()
    await runner.close()

    assert len(queries) >= 60
    assert changed == []


def fill_visible(db: sqlite3.Connection) -> None:
    """What the tenant may see, and nothing else."""
    terms = policy("sqlite")
    db.executescript(TABLES)
    columns = {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in terms.tables}
    for table, grant in terms.tables.items():
        lines = [row for row in WORLDS["one"][table] if "tenant_id" not in columns[table] or "acme" in row]
        kept = [columns[table].index(column) for column in grant.columns]
        db.execute(f"DROP TABLE {table}")
        db.execute(f"CREATE TABLE {table} ({', '.join(f'{column} {kind(column)}' for column in grant.columns)})")
        db.executemany(
            f"INSERT INTO {table} VALUES ({','.join('?' * len(kept))})", [[row[at] for at in kept] for row in lines]
        )
    db.execute("DROP TABLE payroll")


def kind(column: str) -> str:
    return (
        "INTEGER"
        if column in ("id", "customer_id", "order_id", "quantity")
        else "NUMERIC"
        if column in ("total", "price")
        else "TEXT"
    )


def hide_in_schema(db: "psycopg.Connection[Any]") -> None:
    """The same as views of a schema that is looked into first, in a transaction that is rolled back."""
    db.execute(b"CREATE SCHEMA visible")
    for table, grant in policy("postgres").tables.items():
        where = f"WHERE {grant.where.replace(':tenant', chr(39) + 'acme' + chr(39))}" if grant.where else ""
        db.execute(
            f"CREATE VIEW visible.{table} AS SELECT {', '.join(grant.columns)} FROM public.{table} {where}".encode()
        )


@pytest.mark.requirement("TL-11")
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM payroll",
        "SELECT tax_number FROM main.customers",
        "SELECT load_extension('x')",
        "DELETE FROM orders",
        "PRAGMA table_info(orders)",
        "ATTACH ':memory:' AS x",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n",
        "SELECT name FROM sqlite_master",
        "SELECT zeroblob(10)",
    ],
)
async def test_what_slips_through_the_check_is_stopped_by_the_database_itself(sql: str, sqlite_worlds: dict[str, Path]):
    unchecked = Query(sql, (), {"orders": frozenset({"id"}), "customers": frozenset({"id"})}, frozenset({"count"}))

    with pytest.raises(ToolError, match=r"not authorized|prohibited|readonly|too many"):
        await SqliteQueries(sqlite_worlds["one"], CLOCK).run(unchecked, QueryLimits(), Deadline.after(CLOCK, 60))


@pytest.mark.requirement("TL-11")
async def test_a_query_that_never_ends_is_stopped_by_the_clock(
    sqlite_worlds: dict[str, Path], postgres: dict[str, str]
):
    endless = "SELECT COUNT(*) FROM orders a, orders b, orders c, orders d, orders e, orders f"
    runners: list[tuple[Dialect, QueryRunner]] = [
        (SQLITE, SqliteQueries(sqlite_worlds["one"], CLOCK)),
        (POSTGRES, PostgresQueries(postgres["one"], CLOCK)),
    ]
    for dialect, runner in runners:
        terms = policy(dialect, timeout_s=0.3)
        query = governed(parsed(endless, terms), terms, {"tenant": "acme"})
        with pytest.raises(ToolError) as late:
            await asyncio.wait_for(runner.run(query, terms.limits, Deadline.after(CLOCK, 60)), 60)
        assert late.value.code == "query_timeout"
        await runner.close()


@pytest.mark.requirement("TL-11")
async def test_rows_bytes_and_cost_are_capped_and_said(sqlite_worlds: dict[str, Path], postgres: dict[str, str]):
    runners: list[tuple[Dialect, QueryRunner]] = [
        (SQLITE, SqliteQueries(sqlite_worlds["one"], CLOCK)),
        (POSTGRES, PostgresQueries(postgres["one"], CLOCK)),
    ]
    for dialect, runner in runners:
        terms = policy(dialect, max_rows=7)
        query = governed(parsed("SELECT id, note FROM orders", terms), terms, {"tenant": "acme"})
        few = await runner.run(query, terms.limits, Deadline.after(CLOCK, 60))
        small = await runner.run(query, QueryLimits(max_rows=7, max_bytes=40), Deadline.after(CLOCK, 60))
        assert (len(few.rows), few.truncated) == (7, True)
        assert small.truncated
        assert len(small.rows) < 7
        await runner.close()
    dear = PostgresQueries(postgres["one"], CLOCK)
    terms = policy("postgres")
    query = governed(parsed("SELECT COUNT(*) FROM orders a, orders b, orders c", terms), terms, {"tenant": "acme"})
    with pytest.raises(ToolError) as refused:
        await dear.run(query, QueryLimits(max_cost=1), Deadline.after(CLOCK, 60))
    await dear.close()
    assert refused.value.code == "query_too_costly"


async def test_a_caller_without_the_value_that_a_row_condition_needs_gets_no_row():
    terms = policy("sqlite")

    with pytest.raises(ToolError, match="this call has none"):
        governed(parsed("SELECT id FROM orders", terms), terms, {"tenant": ""})
