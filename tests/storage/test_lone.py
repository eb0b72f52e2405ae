"""Lone calls take a short way into the store; what stands there afterwards is the same as by the long one."""

import sqlite3

import pytest
from msgspec import structs

from interlock.storage import SqliteStore, lone
from tests.ledger.kit import attempt, call, record, started

CALLS = {
    "answered": call("t1", confidence=0.9, tier="small"),
    "simulated": call("t1", attempts=[attempt(simulated=True)]),
    "failed after two tries": call("t1", status="error", attempts=[attempt("error"), attempt("timeout")], error="x"),
    "retried": call("t1", attempts=[attempt("error"), attempt()]),
    "rehearsed, then real": call("t1", attempts=[attempt("error", simulated=True), attempt()]),
    "cache hit": call("t1", status="cache_hit", attempts=[], cache="exact", saved_nano_usd=77),
    "client gone": call("t1", status="client_gone", attempts=[], message="it left"),
    "tool": call("t1", kind="tool"),
}


def rows(path):
    db = sqlite3.connect(path)
    try:
        return [db.execute(f"SELECT * FROM {table}").fetchall() for table in ("events", "tasks", "roll")]
    finally:
        db.close()


@pytest.mark.parametrize("name", CALLS)
def test_both_ways_leave_the_same_rows(name, tmp_path, monkeypatch):
    written = []
    for way in ("short", "long"):
        if way == "long":
            monkeypatch.setattr(lone, "split", lambda groups: ([], list(range(len(groups)))))
        store = SqliteStore.open(tmp_path / way, synchronous="normal")
        store.write([[record(CALLS[name], content={"response": {"text": "Friday."}})]])
        store.close()
        written.append(rows(tmp_path / way))
    assert written[0] == written[1]


@pytest.mark.requirement("OB-03")
def test_a_call_that_turns_out_to_belong_to_a_task_is_counted_there_once(store):
    store.write([[started("t1")]])
    store.write([[record(call("t1"))], [record(call("t2"))], [record(call("t1"))]])
    row = store.tasks.get("t1")
    assert (row.kind, row.status, row.events, row.model_calls) == ("task", "running", 2, 1)
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd == 2 * call("t1").cost_nano_usd


def test_a_task_and_its_first_call_in_one_batch_are_one_task(store):
    store.write([[started("t1")], [record(call("t1"))], [record(call("t2"))]])
    assert store.tasks.get("t1").kind == "task"
    assert store.tasks.get("t2").kind == "call"


def test_the_same_batch_twice_is_written_once(store):
    batch = [[record(call(f"t{number}"))] for number in range(5)]
    store.write(batch)
    assert store.write([*batch, [record(call("t9"))]]) == [None] * 6
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd == 6 * call("t1").cost_nano_usd


def test_only_first_records_without_a_lease_go_the_short_way():
    first, later = record(call("t1")), record(call("t2", 7))
    leased = structs.replace(record(call("t3")), fence=2)
    late = record(call("t4!cal_1"))
    assert lone.split([[first], [later], [leased], [late]]) == ([first], [1, 2, 3])
