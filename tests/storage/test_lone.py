"""Lone calls take a short way into the store; what stands there afterwards is the same as by the long one."""

import contextlib
import sqlite3

import pytest
from msgspec import structs

from interlock.core.events import OutcomeSeen, Record, lone_ids
from interlock.core.store import TaskFilter
from interlock.storage import SqliteStore, lone
from tests.ledger.kit import T0, attempt, record, started
from tests.ledger.kit import call as step


def call(task, **fields):
    """A call that is a task of its own."""
    return structs.replace(step(task, **fields), call=lone_ids(task)[1])


CALLS = {
    "answered": call("tsk_1", confidence=0.9, tier="small"),
    "simulated": call("tsk_1", attempts=[attempt(simulated=True)]),
    "failed after two tries": call("tsk_1", status="error", attempts=[attempt("error"), attempt("timeout")], error="x"),
    "retried": call("tsk_1", attempts=[attempt("error"), attempt()]),
    "rehearsed, then real": call("tsk_1", attempts=[attempt("error", simulated=True), attempt()]),
    "cache hit": call("tsk_1", status="cache_hit", attempts=[], cache="exact", saved_nano_usd=77),
    "client gone": call("tsk_1", status="client_gone", attempts=[], message="it left"),
    "tool": call("tsk_1", kind="tool"),
}


def seen(store):
    """What readers see of it."""
    outcomes = store.tasks.outcomes()
    return store.tasks.get("tsk_1"), store.tasks.list(TaskFilter()), outcomes, store.records("tsk_1"), store.totals()


def rolls(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT * FROM roll").fetchall()


@pytest.mark.parametrize("name", CALLS)
def test_both_ways_show_the_same(name, tmp_path, monkeypatch):
    shown = []
    for way in ("short", "long"):
        if way == "long":
            monkeypatch.setattr(lone, "split", lambda groups: ([], list(range(len(groups)))))
        store = SqliteStore.open(tmp_path / way, synchronous="normal")
        store.write([[record(CALLS[name], content={"response": {"text": "Friday."}})]])
        shown.append((seen(store), rolls(tmp_path / way)))
        store.close()
    assert shown[0] == shown[1]


def test_lone_calls_and_tasks_stand_in_one_list_newest_first(store):
    store.write([[structs.replace(started("t1"), at_ns=T0 + 1)]])
    store.write([[record(call("tsk_1"))], [record(structs.replace(call("tsk_2"), started_ns=T0 + 2))]])
    assert [row.id for row in store.tasks.list(TaskFilter())] == ["tsk_2", "t1", "tsk_1"]
    assert [row.id for row in store.tasks.list(TaskFilter(kind="call", limit=1))] == ["tsk_2"]


def test_a_list_of_a_version_or_of_long_tasks_leaves_lone_calls_out(store):
    store.write([[started("t1")], [record(step("t1", 1)), record(step("t1", 2))], [record(call("tsk_1"))]])
    mine = store.tasks.get("t1")
    assert [row.id for row in store.tasks.list(TaskFilter(contract=mine.contract))] == ["t1"]
    assert [row.id for row in store.tasks.list(TaskFilter(contract="another"))] == []
    assert [row.id for row in store.tasks.list(TaskFilter(least_steps=2))] == ["t1"]
    assert [row.id for row in store.tasks.list(TaskFilter(least_steps=1))] == ["tsk_1", "t1"]
    assert [row.id for row in store.tasks.list(TaskFilter(least_steps=3))] == []


def test_a_lone_call_of_which_more_becomes_known_gets_a_row_of_its_own(store):
    store.write([[record(call("tsk_1"))]])
    before = store.tasks.get("tsk_1")
    store.write([[Record("tsk_1", 2, "acme", T0 + 5, OutcomeSeen(success=False, source="user"))]])
    row = store.tasks.get("tsk_1")
    assert (row.success, row.events, row.model_calls, row.outcome) == (False, 2, 1, before.outcome)
    assert row.cost_nano_usd == before.cost_nano_usd
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd


@pytest.mark.requirement("OB-03")
def test_a_call_that_belongs_to_a_task_is_counted_there_once(store):
    store.write([[started("t1")]])
    store.write([[record(step("t1"))], [record(call("tsk_2"))], [record(step("t1"))]])
    row = store.tasks.get("t1")
    assert (row.kind, row.status, row.events, row.model_calls) == ("task", "running", 2, 1)
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd == 2 * step("t1").cost_nano_usd


def test_a_task_and_its_first_call_in_one_batch_are_one_task(store):
    store.write([[started("t1")], [record(step("t1"))], [record(call("tsk_2"))]])
    assert store.tasks.get("t1").kind == "task"
    assert store.tasks.get("tsk_2").kind == "call"


def test_the_same_batch_twice_is_written_once(store):
    batch = [[record(call(f"tsk_{number}"))] for number in range(5)]
    store.write(batch)
    assert store.write([*batch, [record(call("tsk_9"))]]) == [None] * 6
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd == 6 * call("tsk_1").cost_nano_usd


def test_only_calls_that_are_a_task_of_their_own_go_the_short_way():
    first, later = record(call("tsk_1")), record(step("t2", 7))
    leased = structs.replace(record(call("tsk_3")), fence=2)
    late = structs.replace(record(call("tsk_4")), task="tsk_4!cal_1")
    assert lone.split([[first], [later], [leased], [late]]) == ([(first, first.event)], [1, 2, 3])
