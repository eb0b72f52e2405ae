"""The write-ahead log is laid out ahead of what is written, and holds what was committed all the same."""

import shutil

import pytest

from interlock.storage import SqliteStore, laid
from tests.storage.test_steps import intended, opened


def log_of(folder):
    return folder / "store.db-wal"


def stepped(store, first, count):
    for seq in range(first, first + count):
        store.write([[intended("t1", seq)]])


def test_a_log_that_grows_is_laid_out_ahead_and_then_grows_no_more_with_each_commit(tmp_path):
    store = opened(tmp_path, "store")
    stepped(store, 1, 40)
    size = log_of(tmp_path).stat().st_size
    assert size > laid.AT_ONCE
    stepped(store, 41, 10)
    assert log_of(tmp_path).stat().st_size == size
    store.close()


def test_what_was_committed_is_found_in_a_log_that_goes_on_with_zeros(tmp_path):
    store = opened(tmp_path, "store")
    stepped(store, 1, 60)
    (tmp_path / "left").mkdir()
    for each in (tmp_path / "store.db", log_of(tmp_path)):  # as a kill, or a loss of power, leaves them
        shutil.copy(each, tmp_path / "left" / each.name)
    found = SqliteStore.open(tmp_path / "left" / "store.db")
    assert found.records("t1") == store.records("t1")
    found.write([[intended("t1", 61)]])
    assert len(found.records("t1")) == 62
    for each in (found, store):
        each.close()


def test_a_log_that_was_emptied_is_laid_out_again(tmp_path):
    store = opened(tmp_path, "store")
    stepped(store, 1, 40)
    assert store.settle()
    assert log_of(tmp_path).stat().st_size == 0
    stepped(store, 41, 60)
    assert log_of(tmp_path).stat().st_size > laid.AT_ONCE
    assert len(store.records("t1")) == 101
    store.close()


def test_two_processes_lay_out_one_log_and_lose_nothing(tmp_path):
    one = opened(tmp_path, "store")
    other = SqliteStore.open(tmp_path / "store.db")
    for seq in range(1, 200, 2):
        one.write([[intended("t1", seq)]])
        other.write([[intended("t1", seq + 1)]])
    other.close()
    one.close()
    store = SqliteStore.open(tmp_path / "store.db")
    assert [each.seq for each in store.records("t1")] == list(range(201))
    store.close()


def test_a_disk_without_room_for_more_than_the_commit_is_none_of_its_business(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(laid.os, "write", full)
    monkeypatch.setattr(laid, "AT_ONCE", 64 << 20)
    store = opened(tmp_path, "store")
    stepped(store, 1, 30)
    assert len(store.records("t1")) == 31
    assert log_of(tmp_path).stat().st_size < laid.AT_ONCE
    store.close()


@pytest.fixture(autouse=True)
def _worth_it_from_the_first_pages(monkeypatch):
    monkeypatch.setattr(laid, "FROM", 1 << 15)
