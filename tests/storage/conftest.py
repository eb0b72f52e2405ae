"""The stores that have to behave alike: another one joins by its factory here."""

from pathlib import Path

import pytest

from interlock.storage import SqliteStore

STORES = {"sqlite": lambda folder: SqliteStore.open(folder / "store.db", busy_timeout_s=0.05, synchronous="normal")}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path):
    made = STORES[request.param](tmp_path)
    yield made
    made.close()
