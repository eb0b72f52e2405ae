"""The stores that have to behave alike: every test that asks for `store` runs on each of them."""

from collections.abc import Callable, Generator
from pathlib import Path

import psycopg
import pytest

from interlock.core.store import Store
from interlock.storage import SqliteStore
from interlock.storage.postgres import PostgresStore
from tests.postgres import Postgres
from tests.servers import postgres_programs

Opened = Callable[[], Store]
"""Opens the same store once more, as another process would."""


@pytest.fixture(scope="session")
def postgres() -> Generator[Postgres]:
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def shared_address(postgres: Postgres) -> str:
    """Of a schema that all tests use in turn: making one takes longer than a test."""
    address = postgres.fresh()
    PostgresStore.open(address).close()
    return address


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Opened]:
    stores: list[Store] = []
    address: str = request.getfixturevalue("shared_address") if request.param == "postgres" else ""
    if address:
        emptied(address)

    def another() -> Store:
        if address:
            stores.append(PostgresStore.open(address, busy_timeout_s=20.0))
        else:
            stores.append(SqliteStore.open(tmp_path / "store.db", busy_timeout_s=20.0, synchronous="normal"))
        return stores[-1]

    yield another
    for each in stores:
        each.close()


def emptied(address: str) -> None:
    """Deletes whatever the test before left there."""
    with psycopg.connect(address) as db:
        db.execute("SET session_replication_role = replica")  # the audit lets nobody delete
        tables = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
        for (table,) in tables:
            if table not in ("schema_version", "schema_ahead", "eras", "body_secret"):
                db.execute(f"DELETE FROM {table}".encode())


@pytest.fixture
def store(opened: Opened) -> Store:
    return opened()
