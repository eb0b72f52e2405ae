"""Old rows leave the store, their sums stay, and nothing is lost or doubled, wherever it is cut off."""

import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest
from msgspec import structs

from interlock.app.retaining import Retaining
from interlock.config.retention import RetentionSettings
from interlock.core.circuits import CircuitChange
from interlock.core.errors import StoreUnavailable
from interlock.core.events import OutcomeSeen, Record, Settled, lone_ids
from interlock.core.store import RollFilter, TaskFilter
from interlock.storage import SqliteStore, leaving
from interlock.storage.rows import decode_event
from tests.ledger.kit import T0, Clock, finished, record, started
from tests.ledger.kit import call as step
from tests.storage.parquet_kit import rows_of

DAY_NS = 86_400 * 10**9
MIDNIGHT = T0 // DAY_NS * DAY_NS


def lone(number, at_ns, text="Friday."):
    task = f"tsk_{number:04d}"
    settled = structs.replace(step(task, started_ns=at_ns), call=lone_ids(task)[1])
    return structs.replace(record(settled, content={"response": {"text": text}}), at_ns=at_ns)


def task(name, at_ns):
    """A finished task of one call."""
    records = [started(name), record(step(name, 1, started_ns=at_ns)), finished(name, 2)]
    return [structs.replace(each, at_ns=at_ns) for each in records]


@pytest.fixture
def store(opened):
    made = opened()
    for day in range(4):
        at_ns = MIDNIGHT - (3 - day) * DAY_NS + 10**9
        made.write([[lone(day * 100 + n, at_ns + n)] for n in range(50)] + [task(f"t{day}", at_ns)])
    return made


def summed(store):
    return store.totals(), store.rolls(RollFilter()), store.tasks.outcomes(), store.meters(RollFilter())


def retaining(store, tmp_path, now_ns=MIDNIGHT + 10**12, **settings):
    clock = Clock()
    clock.now_ns = now_ns
    return Retaining(store.retention, store.circuits, RetentionSettings(**settings), tmp_path, clock)


def archived(tmp_path, done):
    return [row for each in done.archives for row in rows_of(tmp_path / "archive" / each.file)]


@pytest.mark.requirement("SG-08")
def test_rows_that_are_too_old_leave_for_a_file_and_every_sum_stays(store, tmp_path):
    before = summed(store)
    everything = {(each.task, each.seq): each for each in store.tail.read("", 10_000)[0]}
    done = retaining(store, tmp_path, raw_days=2).round()
    assert [(each.records, each.tasks) for each in done.archives] == [(106, 102)]
    assert summed(store) == before
    left = {(each.task, each.seq) for each in store.tail.read("", 10_000)[0]}
    rows = archived(tmp_path, done)
    gone = {(row["task"], row["seq"]) for row in rows}
    assert left | gone == everything.keys()
    assert not left & gone
    for row in rows:
        whole = everything[row["task"], row["seq"]]
        assert (decode_event(str(row["event"])), row["tenant"], row["at_ns"]) == (whole.event, "acme", whole.at_ns)
        assert (msgspec.json.decode(str(row["content"])) if row["content"] else None) == whole.content
        assert row["cost_nano_usd"] == (whole.event.cost_nano_usd if isinstance(whole.event, Settled) else 0)
    assert store.tasks.get("tsk_0001") is None
    assert store.tasks.get("tsk_0301") is not None
    assert len(store.tasks.list(TaskFilter(limit=1000))) == 102
    assert retaining(store, tmp_path, raw_days=2).round().archives == ()


def test_work_that_is_not_over_and_what_a_reader_has_not_read_stays(store, tmp_path):
    store.write([[structs.replace(started("open"), at_ns=MIDNIGHT - 3 * DAY_NS)]])
    store.tail.keep("otlp:a", store.tail.read("", 30)[1], None)
    before = retaining(store, tmp_path, raw_days=1).round().archives
    assert sum(each.records for each in before) <= 30
    store.tail.keep("otlp:a", store.tail.end(), store.tail.kept("otlp:a"))
    done = retaining(store, tmp_path, raw_days=1).round()
    assert sum(each.tasks for each in (*before, *done.archives)) == 153
    assert store.tasks.get("open") is not None


def test_a_task_about_which_something_was_said_lately_stays(store, tmp_path):
    store.write([[Record("tsk_0003", 2, "acme", MIDNIGHT + 5, OutcomeSeen(True, "user"))]])
    before = summed(store)
    retaining(store, tmp_path, raw_days=1).round()
    row = store.tasks.get("tsk_0003")
    assert (row.success, row.events) == (True, 2)
    assert summed(store) == before


def test_what_changes_while_it_leaves_is_read_again(store, tmp_path, monkeypatch):
    before = store.totals()
    write, later = leaving.write_file, [Record("tsk_0003", 2, "acme", T0, OutcomeSeen(True, "user"))]

    def write_and_be_late(folder, portion):
        if later:
            store.write([[later.pop()]])
        return write(folder, portion)

    monkeypatch.setattr(leaving, "write_file", write_and_be_late)
    done = retaining(store, tmp_path, raw_days=1).round()
    assert store.totals() == before
    assert store.tasks.get("tsk_0003").success is True
    assert "tsk_0003" not in {row["task"] for row in archived(tmp_path, done)}
    assert {each.name for each in (tmp_path / "archive").iterdir()} == {each.file for each in done.archives}


def test_the_oldest_days_leave_first_where_the_store_is_too_large_and_today_never(store, tmp_path):
    for day in range(4):
        at_ns = MIDNIGHT - (3 - day) * DAY_NS + 2 * 10**9
        noise = [os.urandom(8_000).hex() for _ in range(700)]
        store.write([[lone(1000 * (day + 1) + n, at_ns + n, text)] for n, text in enumerate(noise)])
    assert store.retention.size_bytes() > 20_000_000
    before = store.totals()
    done = retaining(store, tmp_path, max_size_mb=16).round()
    assert done.size_bytes <= 16_000_000
    assert store.tasks.get("tsk_0001") is None
    assert store.tasks.get("tsk_4001") is not None
    assert store.totals() == before
    rest = retaining(store, tmp_path, max_size_mb=16, then="delete", now_ns=MIDNIGHT - 2 * DAY_NS).round()
    assert rest.archives == ()


def test_what_was_said_is_forgotten_before_the_events_are(store, tmp_path):
    done = retaining(store, tmp_path, bodies_days=1).round()
    assert done.forgotten > 0
    assert store.records("tsk_0001")[0].content is None
    assert store.records("tsk_0301")[0].content == {"response": {"text": "Friday."}}
    assert len(store.tasks.list(TaskFilter(limit=1000))) == 204


def test_what_is_said_of_a_task_that_was_forgotten_is_forgotten_in_its_turn(store, tmp_path):
    assert store.retention.forget_bodies(MIDNIGHT) > 0
    assert all(each.content is None for each in store.records("t0"))
    assert store.retention.forget_bodies(MIDNIGHT) == 0
    later = record(step("t0", 3, started_ns=MIDNIGHT), content={"response": {"text": "Later."}})
    store.write([[later], [Record("t1", 3, "acme", MIDNIGHT, OutcomeSeen(True, "user"), {"note": "Thanks."})]])
    assert store.retention.forget_bodies(MIDNIGHT) == 0
    assert store.records("t0")[-1].content == later.content
    assert store.retention.forget_bodies(MIDNIGHT + DAY_NS) > 0
    assert all(each.content is None for name in ("t0", "t1") for each in store.records(name))


def test_rows_may_leave_for_good(store, tmp_path):
    before = summed(store)
    done = retaining(store, tmp_path, raw_days=1, then="delete").round()
    assert {each.file for each in done.archives} == {""}
    assert not (tmp_path / "archive").exists()
    assert summed(store) == before


def test_a_folder_that_cannot_be_written_is_an_error_and_nothing_leaves(store, tmp_path):
    (tmp_path / "archive").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="Nothing was deleted"):
        retaining(store, tmp_path, raw_days=1).round()
    assert len(store.tasks.list(TaskFilter(limit=1000))) == 204


def test_two_processes_do_not_roll_off_at_once(store, tmp_path, monkeypatch):
    inner = []
    write = leaving.write_file

    def write_and_meet(folder, portion):
        inner.append(retaining(store, tmp_path, raw_days=1).round())
        return write(folder, portion)

    monkeypatch.setattr(leaving, "write_file", write_and_meet)
    done = retaining(store, tmp_path, raw_days=1).round()
    assert done.archives
    assert [each.busy for each in inner] == [True] * len(inner)


LINES = 34_500
"""About as many of the code are run in one round."""
CUT_OFF = """
import os, signal, sys
from pathlib import Path
from interlock.storage import SqliteStore, leaving
from interlock.storage.postgres import PostgresStore
from tests.storage.test_retention import retaining

folder, cut, address = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
store = PostgresStore.open(address) if address else SqliteStore.open(folder / "store.db", synchronous="normal")
leaving.PORTION = 40
seen = 0

def look(frame, event, arg):
    global seen
    if frame.f_code.co_filename.endswith(("archive.py", "leaving.py", "parquet.py", "retaining.py")) and event in ("line", "call", "return"):
        seen += 1
        if seen == cut:
            os.kill(os.getpid(), signal.SIGKILL)
    return look

sys.settrace(look)
retaining(store, folder, raw_days=1).round()
sys.settrace(None)
print(seen)
"""


@pytest.mark.requirement("SG-08")
@pytest.mark.parametrize("share", [0.05, 0.3, 0.55, 0.8, 0.97])
def test_a_round_that_is_killed_anywhere_has_lost_nothing_and_the_next_one_goes_on(
    store, tmp_path, monkeypatch, request, share
):
    address = "" if isinstance(store, SqliteStore) else request.getfixturevalue("shared_address")
    before = summed(store)
    everything = {(each.task, each.seq) for each in store.tail.read("", 10_000)[0]}
    cut = int(LINES * share)
    told = [sys.executable, "-c", CUT_OFF, tmp_path, str(cut), address]
    killed = subprocess.run(told, capture_output=True, text=True)
    assert killed.returncode in (0, -signal.SIGKILL), killed.stderr
    assert summed(store) == before
    monkeypatch.setattr(leaving, "PORTION", 40)
    until_s = time.monotonic() + 60  # a server needs a moment to see that a client is gone
    while retaining(store, tmp_path, raw_days=1).round().busy:
        assert time.monotonic() < until_s
    assert summed(store) == before
    kept = {(each.task, each.seq) for each in store.tail.read("", 10_000)[0]}
    named = [each.file for each in store.retention.archives()]
    gone = [(row["task"], row["seq"]) for file in named for row in rows_of(tmp_path / "archive" / file)]
    assert len(gone) == len(set(gone))
    assert kept | set(gone) == everything
    assert not kept & set(gone)
    assert sorted(each.name for each in (tmp_path / "archive").iterdir()) == sorted(named)
    assert len(kept) == 53


@pytest.mark.requirement("SG-08")
def test_changes_of_breakers_leave_after_days_of_their_own_or_with_the_events(store, tmp_path):
    def change(day):
        at_ns = MIDNIGHT - day * DAY_NS + 10**9
        return CircuitChange(at_ns, "acme", "here:b:1:1", 10 - day, "v/m", "open", "8 failures in a row")

    def kept():
        return [10 - each.seq for each in store.circuits.since("acme", 0, 10)]

    store.circuits.add([change(day) for day in (3, 2, 1, 0)])
    assert retaining(store, tmp_path, bodies_days=1).round().breakers == 0
    assert retaining(store, tmp_path, breakers_days=3, raw_days=1000).round().breakers == 1
    assert kept() == [0, 1, 2]
    assert retaining(store, tmp_path, raw_days=1).round().breakers == 2
    assert kept() == [0]
    assert sum(row.n for row in store.meters(RollFilter()) if row.meter == "circuits") == 4
