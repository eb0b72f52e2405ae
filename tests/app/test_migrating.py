"""Schemas change in two phases around an upgrade: what each refuses, what versions of before and after may do in between."""

import json
import sqlite3
import time
from collections.abc import Callable, Generator
from pathlib import Path

import psycopg
import pytest

from interlock.app.keeping import examined
from interlock.app.migrating import migrate, state
from interlock.app.stores import open_store
from interlock.cli.main import main
from interlock.config.load import load
from interlock.core.errors import InvalidRequest, StoreUnavailable
from interlock.ledger.flight import Flight, flight_path
from interlock.storage import schema
from interlock.storage.postgres.database import Database
from interlock.storage.postgres.migrate import bring
from interlock.storage.statements import migration_files
from tests.ledger.kit import started
from tests.postgres import Postgres
from tests.servers import postgres_programs

ADDS = "-- phase: pre\nALTER TABLE tasks ADD COLUMN note TEXT NOT NULL DEFAULT 'none';\n"
TAKES = "-- phase: post\nALTER TABLE tasks DROP COLUMN note;\n"
LATER = "-- phase: pre\nCREATE TABLE later (id INTEGER PRIMARY KEY);\n"
Versions = Callable[..., None]


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> Versions:
    """Makes this a version that knows further scripts."""

    def knows(*further: str) -> None:
        def files(database: str = "") -> list[tuple[str, str]]:
            real = migration_files(database)
            return [*real, *((f"{len(real) + n:04d}_more.sql", sql) for n, sql in enumerate(further, 1))]

        monkeypatch.setattr(schema, "migration_files", files)
        monkeypatch.setattr("interlock.storage.postgres.database.migration_files", files)

    return knows


@pytest.fixture(scope="module")
def server() -> Generator[Postgres]:
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with Postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    store = "shop.db" if request.param == "sqlite" else request.getfixturevalue("server").fresh()
    (tmp_path / "interlock.yaml").write_text(f"workspace: shop\nstore: '{store}'\n")
    return tmp_path


def opened(root: Path, *, by_hand: bool = False) -> None:
    """A process starts, writes a task, and ends."""
    workspace = load(root)
    if by_hand:
        (root / "by-hand.yaml").write_text((root / "interlock.yaml").read_text() + "migrate_at_start: false\n")
        workspace = load(root / "by-hand.yaml")
    store = open_store(workspace)
    assert store.write([[started(f"t{len(store.tasks.runnable(2**62, limit=1000))}")]]) == [None]
    store.close()


@pytest.mark.requirement("OP-06")
def test_old_and_new_versions_take_turns_between_pre_and_post(shop: Path, version: Versions):
    opened(shop)
    whole = state(load(shop)).knows

    version(ADDS, TAKES, LATER)  # the new version
    assert [len(state(load(shop)).pre), len(state(load(shop)).post)] == [2, 1]
    assert migrate(load(shop), "pre") == [f"{whole + 1:04d}_more.sql", f"{whole + 3:04d}_more.sql"]
    assert migrate(load(shop), "pre") == []
    opened(shop)
    version()  # the old one still starts and writes
    opened(shop)
    version(ADDS, TAKES, LATER)
    opened(shop)
    assert migrate(load(shop), "post") == [f"{whole + 2:04d}_more.sql"]
    assert state(load(shop)).schema == whole + 2
    opened(shop)
    kept = open_store(load(shop))
    assert len(kept.tasks.runnable(2**62, limit=10)) == 5
    kept.close()

    version()
    with pytest.raises(StoreUnavailable, match=rf"schema {whole + 2}, written by a newer Interlock.*Upgrade"):
        opened(shop)
    version(ADDS, TAKES)  # an older one that knows all that shuts out
    opened(shop)


@pytest.mark.requirement("OP-06")
def test_a_version_that_may_not_change_the_schema_refuses_an_old_one_and_names_the_command(
    shop: Path, version: Versions
):
    opened(shop)
    version(ADDS, TAKES)
    with pytest.raises(
        StoreUnavailable, match=r"lacks what this Interlock needs: \d{4}_more.sql.*interlock migrate --pre"
    ):
        opened(shop, by_hand=True)
    migrate(load(shop), "pre")
    opened(shop, by_hand=True)


def test_a_start_adds_what_it_needs_and_leaves_the_rest(shop: Path, version: Versions):
    opened(shop)
    version(ADDS, TAKES)
    with pytest.raises(InvalidRequest, match="still lacks"):
        migrate(load(shop), "post")
    opened(shop)
    assert (state(load(shop)).pre, len(state(load(shop)).post)) == ((), 1)
    found = {each.about: each for each in examined(load(shop))}
    assert "left for when no older process is" in found["schema"].said


def test_a_new_store_is_made_whole_at_once(shop: Path, version: Versions):
    version(ADDS, TAKES, LATER)
    opened(shop)
    assert (state(load(shop)).pre, state(load(shop)).post) == ((), ())


def test_the_command_says_what_is_pending_and_runs_it(
    shop: Path, version: Versions, capsys: pytest.CaptureFixture[str]
):
    opened(shop)
    version(ADDS, TAKES)
    assert main(["migrate", "--json", "-w", str(shop)]) == 1
    assert len(json.loads(capsys.readouterr().out)["pre"]) == 1
    assert main(["migrate", "--pre", "-w", str(shop)]) == 0
    assert "to be run when no older process is left" in capsys.readouterr().out
    assert main(["migrate", "--post", "--json", "-w", str(shop)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (len(told["done"]), told["post"]) == (1, [])
    assert main(["migrate", "-w", str(shop)]) == 0
    assert "nothing" in capsys.readouterr().out


def test_post_waits_until_no_older_process_is_connected(server: Postgres, tmp_path: Path, version: Versions):
    (tmp_path / "interlock.yaml").write_text(f"workspace: shop\nstore: '{server.fresh()}'\n")
    old = open_store(load(tmp_path))
    version(ADDS, TAKES)
    migrate(load(tmp_path), "pre")
    new = open_store(load(tmp_path))
    with pytest.raises(InvalidRequest, match=r"older Interlock are open \(from this machine\)"):
        migrate(load(tmp_path), "post")
    old.close()
    assert len(once_they_are_gone(tmp_path)) == 1, "the new one may stay"
    new.close()


def once_they_are_gone(root: Path) -> list[str]:
    """What `post` did; a server shows a connection for a moment after it was closed."""
    until_s = time.monotonic() + 60
    while True:
        try:
            return migrate(load(root), "post")
        except InvalidRequest:
            assert time.monotonic() < until_s


def test_post_waits_until_nobody_works_on_the_file(tmp_path: Path, version: Versions):
    (tmp_path / "interlock.yaml").write_text("workspace: shop\nstore: shop.db\n")
    opened(tmp_path)
    version(ADDS, TAKES)
    opened(tmp_path)
    held = Flight(flight_path(tmp_path / "shop.db", "here:1:2"), 4)
    with pytest.raises(InvalidRequest, match="which version they are cannot be seen"):
        migrate(load(tmp_path), "post")
    assert main(["migrate", "--post", "--force", "-w", str(tmp_path)]) == 0
    held.close(remove=True)


def test_a_script_gives_way_to_who_holds_a_table_and_is_tried_again(
    server: Postgres, version: Versions, tmp_path: Path
):
    address = server.fresh()
    (tmp_path / "interlock.yaml").write_text(f"workspace: shop\nstore: '{address}'\n")
    opened(tmp_path)
    version(ADDS)
    database = Database(address, busy_timeout_s=5)
    with psycopg.connect(address) as holder:
        holder.execute("LOCK TABLE tasks IN ACCESS SHARE MODE")
        waits: list[float] = []

        def wait(pause_s: float) -> None:
            waits.append(pause_s)
            holder.rollback()  # whoever held it is through by now

        done = bring(database, schema.BEFORE_SERVING, pause=wait)
    assert (len(done), len(waits)) == (1, 1)
    database.close()


def test_a_script_that_fails_half_way_leaves_nothing(shop: Path, version: Versions):
    opened(shop)
    before = state(load(shop))
    version("-- phase: pre\nCREATE TABLE half (id INTEGER);\nCREATE TABLE half (id INTEGER);\n")
    with pytest.raises((sqlite3.OperationalError, psycopg.Error)):
        opened(shop)
    version(LATER.replace("later", "half"))
    opened(shop)
    assert state(load(shop)).schema == before.schema
