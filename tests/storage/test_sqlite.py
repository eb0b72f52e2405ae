"""What only SQLite can get wrong: its file, its locks, its schema."""

import re
import sqlite3
import subprocess
import sys
import threading
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as some

from interlock.core.errors import StoreUnavailable
from interlock.core.sketch import GROWTH, added, bucket_of, counted, merged, packed, percentile_us, unpacked, value_of
from interlock.core.store import RollFilter, TaskFilter
from interlock.storage import SqliteStore
from interlock.storage.schema import scripts
from interlock.storage.statements import statements
from tests.ledger.kit import PRICE, call, finished, locked, record, started


def opened(path, busy_timeout_s=0.05):
    return SqliteStore.open(path, busy_timeout_s=busy_timeout_s, synchronous="normal")


def test_the_folder_is_made_and_the_file_is_in_wal_mode(tmp_path):
    store = opened(tmp_path / "a" / "b" / "store.db")
    store.write([[record(call("t1"))]])
    store.close()
    db = sqlite3.connect(tmp_path / "a" / "b" / "store.db")
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    shutting = max(
        each.number for each in scripts() if each.phase != "pre"
    )  # additions after it shut no older version out
    assert db.execute("PRAGMA user_version").fetchone() == (shutting,)
    db.close()


def test_a_new_store_is_its_users_alone_and_an_old_one_keeps_its_mode(tmp_path):
    path = tmp_path / "store.db"
    store = SqliteStore.open(path)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    store.close()
    path.chmod(0o640)
    SqliteStore.open(path).close()
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "store.db"
    opened(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreUnavailable, match=r"schema 99, written by a newer Interlock.*Upgrade"):
        opened(path)


@pytest.mark.parametrize("content", [b"this is not a database at all, it is text" * 40])
def test_a_file_that_is_no_database_is_refused_with_what_to_do(tmp_path, content):
    path = tmp_path / "store.db"
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable, match="no SQLite database"):
        opened(path)
    assert path.read_bytes() == content


def test_a_folder_in_the_files_place_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(StoreUnavailable, match="could not open the database"):
        opened(tmp_path)


def test_a_locked_file_is_an_error_within_the_stated_wait_and_reading_goes_on(tmp_path):
    path = tmp_path / "store.db"
    store = opened(path)
    store.write([[record(call("t1"))]])
    with locked(path):
        with pytest.raises(StoreUnavailable, match=r"could not write events.*Another process holds"):
            store.write([[record(call("t2"))]])
        assert [row.id for row in store.tasks.list(TaskFilter())] == ["t1"]
    assert store.write([[record(call("t2"))]]) == [None]
    store.close()


def test_a_full_disk_is_an_error_that_leaves_the_file_whole(tmp_path):
    store = opened(tmp_path / "store.db")
    store.write([[record(call("t0"))]])
    pages = store._database._writer.execute("PRAGMA page_count").fetchone()[0]
    store._database._writer.execute(f"PRAGMA max_page_count = {pages + 4}")
    many = [[record(call(f"t{n}"), content={"text": "x" * 2000})] for n in range(1, 100)]
    with pytest.raises(StoreUnavailable, match="free some space"):
        store.write(many)
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd > 0
    store._database._writer.execute("PRAGMA max_page_count = 1000000")
    assert store.write([[record(call("after"))]]) == [None]
    store.close()


def test_two_processes_may_share_one_file(tmp_path):
    one, two = opened(tmp_path / "store.db"), opened(tmp_path / "store.db")
    one.write([[record(call("t1"))]], [PRICE])
    two.write([[record(call("t2"))]])
    (row,) = one.rolls(RollFilter())
    assert row.n == 2
    assert set(row.lines_nano_usd) == {"input", "output"}
    one.close()
    two.close()


def test_many_processes_may_make_the_file_at_the_same_moment(tmp_path):
    code = "import sys; from interlock.storage import SqliteStore; SqliteStore.open(sys.argv[1], busy_timeout_s=60).close()"
    makers = [subprocess.Popen([sys.executable, "-c", code, tmp_path / "store.db"]) for _ in range(6)]
    assert [maker.wait(120) for maker in makers] == [0] * 6


def test_many_threads_may_use_one_store(tmp_path):
    store = opened(tmp_path / "store.db", busy_timeout_s=60)
    failed = []

    def work(name):
        try:
            for n in range(20):
                store.write([[record(call(f"{name}-{n}"))]])
                store.tasks.list(TaskFilter(limit=3))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(store.tasks.list(TaskFilter(limit=1000))) == 80
    store.close()


def test_deleted_content_is_gone_from_the_file(tmp_path):
    path = tmp_path / "store.db"
    store = opened(path)
    secret = "4929-1188-0042-7761"
    store.write([[started("t1"), record(call("t1", 1), content={"text": secret}), finished("t1", 2)]])
    store.scrub("t1", "none", str)
    store.close()
    assert all(secret.encode() not in each.read_bytes() for each in tmp_path.iterdir())


OF_BEFORE = {("cache", "clear_before")}
"""Statements about a table that stands only until `interlock migrate --post`."""


def test_every_statement_says_what_it_does_and_is_valid(tmp_path):
    store = opened(tmp_path / "store.db")
    folder = files("interlock.storage") / "sql"
    for entry in folder.iterdir():
        noun = entry.name.removesuffix(".sql")
        blocks = entry.read_text(encoding="utf-8").split("-- name: ")[1:]
        assert len(blocks) == len(statements(noun))
        for block in blocks:
            name, description, *_ = block.splitlines()
            assert re.fullmatch(r"-- [A-Z].*[.:;]? ?.*", description), f"{noun}.{name}"
            marks = statements(noun)[name.strip()]
            if (noun, name.strip()) in OF_BEFORE:
                continue
            names = set(re.findall(r":(\w+)", marks))
            values = dict.fromkeys(names, 0) if names else [0] * marks.count("?")
            with store._database.reading("explain") as db:
                db.execute(f"EXPLAIN {marks}", values)
    store.close()


def test_percentiles_of_a_distribution_are_within_two_percent():
    durations = [17 * n for n in range(1, 5000)]
    counts = counted(durations)
    for share in (0.01, 0.5, 0.95, 0.99, 1.0):
        exact = durations[max(1, round(share * len(durations))) - 1]
        assert percentile_us(counts, share) == pytest.approx(exact, rel=0.025)
    assert percentile_us({}, 0.5) is None


def test_distributions_add_up_in_any_order_and_survive_storage():
    parts = [counted(range(1, 100 * n, n)) for n in range(1, 6)]
    assert merged(parts) == merged(reversed(parts)) == unpacked(packed(merged(parts)))
    assert unpacked(packed({})) == {}
    assert all(value_of(bucket_of(us)) == pytest.approx(us, rel=GROWTH - 1) for us in (1, 2, 10, 999, 10**9))


DISTRIBUTIONS = some.dictionaries(some.integers(0, 40), some.integers(1, 2**31 - 1))


@given(DISTRIBUTIONS, DISTRIBUTIONS)
def test_a_small_distribution_added_to_a_large_one_gives_what_both_give_together(ours, theirs):
    assert added(packed(ours), packed(theirs)) == packed(merged((ours, theirs)))
