"""Readers that must miss nothing: every record once, in one order, whatever becomes of the call that it is."""

from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.events import OutcomeSeen, Record, lone_ids
from interlock.core.meters import MeterRow
from interlock.core.sketch import merged
from interlock.core.store import RollFilter, TaskFilter
from interlock.storage import SqliteStore
from tests.ledger.kit import T0, attempt, record, started
from tests.ledger.kit import call as step

HOUR_NS = 3_600_000_000_000


def lone(number, **fields):
    task = f"tsk_{number:04d}"
    return record(structs.replace(step(task, **fields), call=lone_ids(task)[1]), content={"response": {"text": task}})


def seen(number):
    return Record(f"tsk_{number:04d}", 2, "acme", T0 + 5, OutcomeSeen(success=True, source="user"))


def everything(store, limit):
    """All records by so many at a time, and where they end."""
    place, found = "", []
    while True:
        some, place = store.tail.read(place, limit)
        if not some:
            return found, place
        assert len(some) <= limit
        found += some


@pytest.mark.requirement("OB-03")
def test_a_reader_gets_every_record_once_in_the_order_of_the_commits(store):
    store.write([[started("t1")]])
    store.write([[lone(n)] for n in range(300)])
    store.write([[record(step("t1"))], [lone(300)]])
    found, place = everything(store, 7)
    assert [each.task for each in found[:301]] == ["t1", *(f"tsk_{n:04d}" for n in range(300))]
    assert {each.task for each in found[301:]} == {"t1", "tsk_0300"}
    assert found[5].content == {"response": {"text": "tsk_0004"}}
    assert store.tail.read(store.tail.end(), 7)[0] == []
    assert store.tail.behind(place) == 0
    assert store.tail.behind("") == 303


def test_a_call_of_which_more_becomes_known_is_not_told_twice(store):
    store.write([[lone(n)] for n in range(5)])
    first, place = store.tail.read("", 3)
    store.write([[seen(1)], [seen(4)]])
    rest, _ = store.tail.read(place, 100)
    assert [each.task for each in first] == ["tsk_0000", "tsk_0001", "tsk_0002"]
    assert [(each.task, each.seq) for each in rest] == [
        ("tsk_0003", 1),
        ("tsk_0004", 1),
        ("tsk_0001", 2),
        ("tsk_0004", 2),
    ]


class Counted:
    """A session that counts the rows that come out of the database."""

    def __init__(self, session, counts):
        self.session, self.counts = session, counts

    def execute(self, sql, parameters=()):
        rows = self.session.execute(sql, parameters).fetchall()
        self.counts.append(len(rows))
        return Rows(rows)


class Rows(list[object]):
    def fetchall(self):
        return self


def test_a_reader_that_is_far_behind_is_not_read_the_whole_ledger_at_once(tmp_path, monkeypatch):
    store = SqliteStore.open(tmp_path / "store.db", synchronous="normal")
    for n in range(30):  # a segment each
        store.write([[lone(n)]])
    counts, lent = [], store._database.snapshot

    @contextmanager
    def counted(doing):
        with lent(doing) as session:
            yield Counted(session, counts)

    monkeypatch.setattr(store._database, "snapshot", counted)
    found, place = store.tail.read("", 4)
    assert [each.task for each in found] == [f"tsk_{n:04d}" for n in range(4)]
    assert max(counts) <= 5
    assert [each.task for each in store.tail.read(place, 1)[0]] == ["tsk_0004"]
    store.close()


def test_a_place_is_kept_and_moved_by_one_reader_at_a_time(store):
    assert store.tail.kept("otlp:a") is None
    assert store.tail.keep("otlp:a", "3", None)
    assert not store.tail.keep("otlp:a", "4", None)
    assert store.tail.keep("otlp:a", "5", "3")
    assert not store.tail.keep("otlp:a", "4", "3")
    assert store.tail.kept("otlp:a") == "5"
    assert store.tail.kept("otlp:b") is None


numbers = st.integers(0, 9)
writes = st.lists(st.lists(st.tuples(st.booleans(), numbers), min_size=1, max_size=6), max_size=8)


@settings(max_examples=25, deadline=None)
@given(writes, st.integers(1, 5), st.data())
def test_whatever_is_written_between_readings_is_read_once(tmp_path_factory, batches, limit, data):
    store = SqliteStore.open(tmp_path_factory.mktemp("tail") / "store.db", synchronous="normal")
    place, told, written = "", [], set()
    for batch in batches:
        store.write([[lone(n) if alone else seen(n)] for alone, n in batch])
        written |= {(f"tsk_{n:04d}", 1 if alone else 2) for alone, n in batch}
        if data.draw(st.booleans()):
            some, place = store.tail.read(place, limit)
            told += [(each.task, each.seq) for each in some]
    while some := store.tail.read(place, limit)[0]:
        place = store.tail.read(place, limit)[1]
        told += [(each.task, each.seq) for each in some]
    assert sorted(told) == sorted(written)
    rows = store.tasks.list(TaskFilter(limit=100))
    assert sorted(row.id for row in rows) == sorted({task for task, _ in written})
    assert sum(row.events for row in rows) == len(written)
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
    store.close()


def test_what_happened_inside_calls_is_counted_by_the_hour(store):
    tried = [attempt("error"), attempt(), attempt("ok", deployment="p/big")]
    store.write(
        [
            [lone(1, attempts=tried[:2])],
            [lone(2)],
            [lone(3, status="error", attempts=[], error="no_route")],
            [started("t1")],
            [record(step("t1", started_ns=T0 + HOUR_NS, limit="tokens", status="refused", attempts=[]))],
        ]
    )
    store.write([[lone(4, degraded="small")]])
    hour = T0 // HOUR_NS
    rows = {(row.hour, row.meter, row.label): row.n for row in store.meters(RollFilter())}
    assert rows == {
        (hour, "retries", "p/m"): 1,
        (hour, "context", "2048"): 1,
        (hour, "context", "1024"): 2,
        (hour, "failures", "no_route"): 1,
        (hour, "degraded", "small"): 1,
        (hour + 1, "limited", "tokens"): 1,
    }
    assert store.meters(RollFilter(since_ns=T0 + HOUR_NS)) == [
        MeterRow(hour + 1, "acme", "support_reply", "limited", "tokens", 1)
    ]
    assert store.meters(RollFilter(tenant="nobody")) == []


def test_roll_ups_whose_hours_are_added_up_say_the_same_in_all(store):
    store.write([[lone(n, started_ns=T0 + n * HOUR_NS // 2)] for n in range(9)])
    hours, whole = (store.rolls(RollFilter(by_hour=by_hour)) for by_hour in (True, False))
    assert len(hours) == 5
    assert sum(row.n for row in whole) == sum(row.n for row in hours) == 9
    assert sum(row.cost_nano_usd for row in whole) == sum(row.cost_nano_usd for row in hours)
    assert merged(row.latency for row in whole) == merged(row.latency for row in hours)
    lines = [sum(row.lines_nano_usd.get("other", 0) for row in rows) for rows in (hours, whole)]
    assert lines[0] == lines[1] > 0
