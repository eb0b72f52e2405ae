"""Files, batches and kept responses in the store."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from interlock.core.batches import BatchRow, FileRow, Line
from interlock.core.caller import Caller
from interlock.core.kept import KeptResponse
from interlock.storage import Folder, SqliteStore

ROW = BatchRow("batch_01", "acme", Caller("acme"), "/v1/chat/completions", "file_01", "24h", expires_ns=100)


@pytest.fixture
def store(tmp_path: Path):
    opened = SqliteStore.open(tmp_path / "store.db")
    yield opened
    opened.close()


def turn(name: str, previous: str = "", expires_ns: int = 100, tenant: str = "acme", key: str = "k") -> KeptResponse:
    return KeptResponse(name, tenant, key, previous, b"[]", b"[]", b"{}", 0, expires_ns)


@pytest.mark.requirement("GW-05")
def test_a_batch_is_worked_on_by_one_and_taken_over_from_the_dead(store: SqliteStore):
    batches = store.batches
    batches.create(ROW)
    taken = batches.claim("one", now_ns=10, lease_until_ns=20)
    assert taken == ROW
    assert batches.claim("two", now_ns=15, lease_until_ns=30) is None
    assert batches.claim("two", now_ns=15, lease_until_ns=30, alive=lambda owner: owner != "one") == ROW
    assert not batches.renew(ROW.id, "one", lease_until_ns=50)
    assert batches.renew(ROW.id, "two", lease_until_ns=50)
    assert batches.claim("one", now_ns=51, lease_until_ns=60) == ROW
    batches.release(ROW.id, "one", until_ns=70)
    assert batches.claim("two", now_ns=65, lease_until_ns=80) is None
    assert batches.claim("two", now_ns=70, lease_until_ns=80) == ROW


@pytest.mark.requirement("GW-05")
def test_whoever_has_lost_a_batch_writes_nothing_more_about_it(store: SqliteStore):
    batches = store.batches
    batches.create(ROW)
    batches.claim("one", now_ns=10, lease_until_ns=20)
    assert batches.save(structs.replace(ROW, begun_ns=11), "one")
    batches.claim("two", now_ns=21, lease_until_ns=30)
    assert not batches.save(structs.replace(ROW, status="completed"), "one")
    assert batches.save(structs.replace(ROW, begun_ns=12), "two")
    assert batches.get("acme", ROW.id) == structs.replace(ROW, begun_ns=12)


@pytest.mark.requirement("GW-05")
def test_a_wish_to_cancel_survives_what_the_worker_writes_and_comes_too_late_for_one_that_is_over(store: SqliteStore):
    batches = store.batches
    batches.create(ROW)
    assert not batches.cancel("globex", ROW.id, 5)
    assert batches.cancel("acme", ROW.id, 5)
    batches.save(structs.replace(ROW, status="in_progress", begun_ns=6), "")
    now = batches.get("acme", ROW.id)
    assert now is not None
    assert (now.status, now.cancelling_ns, now.begun_ns) == ("cancelling", 5, 6)
    batches.save(structs.replace(ROW, status="cancelled", ended_ns=9), "")
    now = batches.get("acme", ROW.id)
    assert now is not None
    assert now.status == "cancelled"
    assert not batches.cancel("acme", ROW.id, 10)
    assert batches.claim("one", now_ns=10, lease_until_ns=20) is None
    assert batches.get("globex", ROW.id) is None


@pytest.mark.requirement("GW-05")
def test_the_first_answer_of_a_line_stays_and_lines_of_what_is_over_go(store: SqliteStore):
    batches = store.batches
    batches.create(ROW)
    lines = [Line(number, f"c{number}", number * 10, 9) for number in (1, 2, 3)]
    batches.add_lines(ROW.id, lines)
    batches.add_lines(ROW.id, [structs.replace(lines[0], at=99)])
    batches.answered(ROW.id, [structs.replace(lines[0], status=200, reply=b"good", tries=1)])
    batches.answered(ROW.id, [structs.replace(lines[0], status=500, reply=b"bad", tries=2)])
    batches.answered(ROW.id, [structs.replace(lines[1], tries=1)])
    assert [(line.line, line.tries) for line in batches.pending(ROW.id, 0, 10)] == [(2, 1), (3, 0)]
    assert [(line.at, line.reply) for line in batches.answers(ROW.id, 0, 10)] == [(10, b"good")]
    assert batches.counts(ROW.id) == (3, 1, 0)
    batches.drop_lines("")
    assert batches.counts(ROW.id) == (3, 1, 0)
    batches.save(structs.replace(ROW, status="completed"), "")
    batches.drop_lines("")
    assert batches.counts(ROW.id) == (0, 0, 0)


@pytest.mark.requirement("GW-05", "SG-05")
def test_lists_hold_one_tenants_rows_of_one_kind_newest_first(store: SqliteStore):
    for number, tenant in ((1, "acme"), (2, "acme"), (3, "globex")):
        store.batches.create(structs.replace(ROW, id=f"batch_0{number}", tenant=tenant))
        store.batches.create(structs.replace(ROW, id=f"msgbatch_0{number}", tenant=tenant))
        store.files.put(FileRow(f"file_0{number}", tenant, "batch", "in", 1, 0, 50))
    assert [row.id for row in store.batches.list("acme", "batch", "", 10)] == ["batch_02", "batch_01"]
    assert [row.id for row in store.batches.list("acme", "batch", "batch_02", 10)] == ["batch_01"]
    assert [row.id for row in store.batches.list("acme", "msgbatch", "", 1)] == ["msgbatch_02"]
    assert [row.id for row in store.files.list("acme", "", "", 10, 10)] == ["file_02", "file_01"]
    assert store.files.list("acme", "", "", 10, 60) == []
    assert store.files.get("acme", "file_03", 10) is None
    assert [row.id for row in store.files.expired(60)] == ["file_01", "file_02", "file_03"]
    assert not store.files.delete("acme", "file_03")


@pytest.mark.requirement("GW-02", "SG-05")
def test_a_turn_keeps_the_turns_before_it_alive_and_nobody_else_sees_them(store: SqliteStore):
    kept = store.responses
    kept.put([turn("a", expires_ns=100)])
    kept.put([turn("b", "a", expires_ns=200)])
    kept.put([turn("b", "", expires_ns=200, tenant="globex")])
    kept.put([turn("x", expires_ns=100)])
    assert [row.id for row in kept.chain("acme", "k", "b", 150, 10)] == ["a", "b"]
    assert [row.id for row in kept.chain("acme", "k", "b", 150, 1)] == ["b"]
    assert kept.chain("acme", "other", "b", 150, 10) == []
    assert [row.id for row in kept.chain("globex", "k", "b", 150, 10)] == ["b"]
    assert kept.purge(150) == 1
    assert kept.get("acme", "k", "x", 10) is None
    assert kept.chain("acme", "k", "b", 200, 10) == []
    assert not kept.delete("acme", "other", "a")
    assert kept.delete("acme", "k", "a")


def test_a_file_is_there_whole_or_not_at_all_and_no_tenants_name_leads_out_of_the_folder(tmp_path: Path):
    folder = Folder(tmp_path / "files")
    row = FileRow("file_01", "../../etc", "batch", "in", 0, 0)

    def pieces():
        yield b"one\n\ntwo\r\n"
        raise RuntimeError("the client went away")

    with pytest.raises(RuntimeError):
        folder.write_now(row, pieces())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert folder.write_now(row, iter([b"one\n\ntw", b"o\r\nthree"])) == 15
    assert list(folder.lines(row)) == [(0, b"one"), (5, b"two"), (10, b"three")]
    assert folder.read(row, 5, 3) == b"two"
    assert Path(folder.path(row)).resolve().is_relative_to(tmp_path / "files")
    folder.delete(row)
    folder.delete(row)
    assert not Path(folder.path(row)).exists()
