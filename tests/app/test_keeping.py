"""Drills: a store is copied while it is in use and put back, and nothing differs; and what `doctor --storage` finds."""

import json
import random
import subprocess
import threading
from pathlib import Path

import pytest

from interlock.app.keeping import backup, examined, restore
from interlock.cli.main import main
from interlock.config.load import load
from interlock.core.errors import InvalidRequest, StoreUnavailable
from interlock.core.store import Store
from interlock.core.time import SystemClock
from interlock.ledger import Recorder
from interlock.storage import SqliteStore
from interlock.storage.postgres import PostgresStore
from tests.ledger.kit import PRICE, record, started
from tests.postgres import Postgres
from tests.servers import postgres_programs
from tests.storage.test_alike import history, seen
from tests.storage.test_lone import call


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A workspace with a past."""
    (tmp_path / "interlock.yaml").write_text("workspace: shop\ntenant: acme\nstore: interlock.db\n")
    store = SqliteStore.open(tmp_path / "interlock.db")
    fill(store)
    store.close()
    return tmp_path


def fill(store: Store) -> None:
    for group in history(random.Random(5)):
        store.write([group], [PRICE])


def shown(path: Path) -> dict[str, object]:
    store = SqliteStore.open(path)
    try:
        return seen(store)
    finally:
        store.close()


@pytest.mark.requirement("OP-06")
def test_a_backup_that_is_put_back_shows_what_the_store_showed(shop: Path):
    before = shown(shop / "interlock.db")
    assert main(["backup", "-w", str(shop), str(shop / "copy.db")]) == 0
    assert (shop / "copy.db").stat().st_mode & 0o777 == 0o600
    store = SqliteStore.open(shop / "interlock.db")
    store.write([[started("later")]])
    store.close()
    assert main(["restore", "-w", str(shop), str(shop / "copy.db")]) == 0
    assert shown(shop / "interlock.db") == before
    kept = SqliteStore.open(shop / "interlock.db.before-restore-1")
    assert kept.tasks.get("later") is not None, "what stood there is not lost"
    kept.close()


@pytest.mark.requirement("OP-06")
def test_a_backup_of_a_store_that_is_being_written_is_whole(shop: Path):
    store = SqliteStore.open(shop / "interlock.db", busy_timeout_s=10)
    stopping, written = threading.Event(), [0]

    def write():
        while not stopping.is_set():
            store.write([[record(call(f"tsk_w{written[0]:06}"))], [started(f"w{written[0]:06}")]], [PRICE])
            written[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    for number in range(3):
        backup(load(shop), shop / f"copy{number}.db")
    stopping.set()
    writer.join()
    live = store.totals()
    for number in range(3):
        copy = SqliteStore.open(shop / f"copy{number}.db")
        totals = copy.totals()
        assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd <= live.events_nano_usd
        there = [n for n in range(written[0]) if copy.tasks.get(f"w{n:06}")]
        assert there == list(range(len(there))), "what one moment saw: nothing later without everything earlier"
        copy.close()
    store.close()


def test_a_store_in_use_is_not_replaced_and_neither_is_one_by_a_damaged_backup(shop: Path):
    backup(load(shop), shop / "copy.db")
    with pytest.raises(InvalidRequest, match="there already"):
        backup(load(shop), shop / "copy.db")
    store = SqliteStore.open(shop / "interlock.db")
    recorder = Recorder(store, SystemClock(), path=shop / "interlock.db")
    recorder.start()
    with pytest.raises(InvalidRequest, match="a process works on"):
        restore(load(shop), shop / "copy.db")
    recorder.close_now()
    store.close()
    before = (shop / "interlock.db").read_bytes()
    damaged = bytearray((shop / "copy.db").read_bytes())
    damaged[5000:9000] = bytes(4000)
    (shop / "damaged.db").write_bytes(damaged)
    with pytest.raises(StoreUnavailable, match="damaged"):
        restore(load(shop), shop / "damaged.db")
    (shop / "text.db").write_text("not a store at all " * 100)
    with pytest.raises(StoreUnavailable):
        restore(load(shop), shop / "text.db")
    assert (shop / "interlock.db").read_bytes() == before


@pytest.mark.requirement("OP-06")
def test_a_dump_of_postgres_in_another_server_shows_what_the_first_one_showed(tmp_path: Path):
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with Postgres() as one, Postgres() as other:
        store = PostgresStore.open(one.address())
        fill(store)
        before, place = seen(store), store.tail.read("", 20)[1]
        store.close()
        dump = one.folder / "dump"
        one.run("pg_dump", "-Fc", "-f", str(dump), one.address())
        (other.folder / "dump").write_bytes(dump.read_bytes())
        other.run("pg_restore", "-d", other.address(), str(other.folder / "dump"))
        restored = PostgresStore.open(other.address())
        assert seen(restored) == before
        rest, place = restored.tail.read(place, 1_000)
        assert len(rest) == len(before["followed"]) - 20, "a reader goes on where it was"  # type: ignore[arg-type]
        restored.write([[started("later")]])
        assert [each.task for each in restored.tail.read(place, 10)[0]] == ["later"]
        restored.close()


OWNER = "postgresql://shopkeeper@/shop?host={}"


def with_owner(server: Postgres) -> str:
    """The address of an empty database whose owner is held by the policies on its tables, as docs/scaling.md has it."""
    server.run("psql", "-q", "-c", "CREATE ROLE shopkeeper LOGIN", server.address())
    server.run("createdb", "-O", "shopkeeper", "-h", str(server.folder), "-U", "postgres", "shop")
    return OWNER.format(server.folder)


@pytest.mark.requirement("OP-06", "SG-05")
def test_an_owner_under_row_level_security_dumps_everything_as_the_page_says_and_never_silently_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with Postgres() as one, Postgres() as other:
        address, again = with_owner(one), with_owner(other)
        store = PostgresStore.open(address)
        fill(store)
        before = seen(store)
        store.close()
        with pytest.raises(subprocess.CalledProcessError) as refused:
            one.run("pg_dump", "-Fc", "-f", str(one.folder / "none"), address)
        assert "row-level security" in refused.value.stderr
        monkeypatch.setenv("PGOPTIONS", "-c interlock.tenant=*")
        one.run("pg_dump", "--enable-row-security", "-Fc", "-f", str(one.folder / "dump"), address)
        (other.folder / "dump").write_bytes((one.folder / "dump").read_bytes())
        other.run("pg_restore", "-d", again, str(other.folder / "dump"))
        monkeypatch.delenv("PGOPTIONS")
        restored = PostgresStore.open(again)
        assert seen(restored) == before
        restored.close()
        (tmp_path / "interlock.yaml").write_text(f"workspace: shop\nstore: '{again}'\n")
        tenants = next(each for each in examined(load(tmp_path)) if each.about == "tenants")
        assert (tenants.ok, tenants.warning) == (True, False), tenants.said
        for right, named in (("BYPASSRLS", "BYPASSRLS"), ("SUPERUSER", "superuser")):
            other.run("psql", "-q", "-c", f"ALTER ROLE shopkeeper {right}", other.address())
            tenants = next(each for each in examined(load(tmp_path)) if each.about == "tenants")
            assert (tenants.warning, named in tenants.said, "CREATE ROLE" in tenants.hint) == (True, True, True)


def test_doctor_says_how_a_store_stands_and_what_to_do(shop: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["doctor", "--storage", "--json", "-w", str(shop)]) == 1
    found = {each["about"]: each for each in json.loads(capsys.readouterr().out)["findings"]}
    assert found["file"]["ok"]
    assert found["sums"]["ok"]
    assert not found["tasks"]["ok"], "tasks of the past that run, and nobody works on them"
    assert "interlock worker" in found["tasks"]["hint"]
    assert main(["doctor", "--storage", "-w", str(shop)]) == 1
    assert "NOT WELL" in capsys.readouterr().out


def test_doctor_looks_at_a_postgres_too(tmp_path: Path):
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with Postgres() as server:
        (tmp_path / "interlock.yaml").write_text(f"workspace: shop\nstore: '{server.address()}'\n")
        found = {each.about: each for each in examined(load(tmp_path))}
        assert found["store"].said.startswith("postgresql://")
        assert all(each.ok for each in found.values())
        with pytest.raises(InvalidRequest, match="tools of its own"):
            backup(load(tmp_path), tmp_path / "copy.db")
