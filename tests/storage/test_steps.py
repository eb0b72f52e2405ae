"""What a commit of steps alone leaves is what it leaves among others; and places are in the order of commits, whoever takes them ahead."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.errors import Fenced
from interlock.core.events import Intended, Noted, Record
from interlock.core.money import Usage
from interlock.core.store import RollFilter
from interlock.storage import SqliteStore
from tests.ledger.kit import PRICE, T0, attempt, call, finished, record, started

TASKS = ("t1", "t2", "t3")


def intended(task, seq, fence=1, *, awaits: Literal["", "timer"] = ""):
    event = Intended(seq + 1, "tool", "orders.get", f"{task}:{seq + 1}", awaits=awaits)
    return Record(task, seq, "acme", T0 + seq, event, {"arguments": {"order": "FO-1"}}, fence)


def looked(task, seq, **fields):
    """A call of a tool: it used nothing, and its one try bears the tool's name."""
    tried = structs.replace(attempt(), deployment="orders.get", usage=Usage(), cost_nano_usd=0, price="")
    fields = {"attempts": (tried,), "usage": Usage(), "cost_nano_usd": 0, "price": "", "tier": ""} | fields
    return structs.replace(call(task, seq, kind="tool"), deployment="", **fields)


MADE = {
    "intended": intended,
    "waits": lambda task, seq, fence: intended(task, seq, fence, awaits="timer"),
    "model": lambda task, seq, fence: record(call(task, seq), fence=fence, content={"response": {"text": "Friday."}}),
    "retried": lambda task, seq, fence: record(call(task, seq, attempts=[attempt("error"), attempt()]), fence=fence),
    "simulated": lambda task, seq, fence: record(call(task, seq, attempts=[attempt(simulated=True)]), fence=fence),
    "tool": lambda task, seq, fence: record(looked(task, seq), fence=fence, content={"result": {"n": seq}}),
    "slow": lambda task, seq, fence: record(looked(task, seq, duration_us=9_000_000), fence=fence),
    "failed": lambda task, seq, fence: record(
        looked(task, seq, status="error", error="timeout", attempts=()), fence=fence
    ),
    "free": lambda task, seq, fence: record(looked(task, seq, saved_nano_usd=9, cache="tool"), fence=fence),
    "unfenced": lambda task, seq, _: record(looked(task, seq)),
    "finished": lambda task, seq, fence: finished(task, seq, fence=fence),
}
records = st.builds(
    lambda what, task, seq, fence: MADE[what](task, seq, fence),
    st.sampled_from([*MADE, *["intended", "model", "tool"] * 4]),
    st.sampled_from(TASKS),
    st.integers(1, 9),
    st.sampled_from([1, 1, 1, 1, 2]),
)
commits = st.lists(st.lists(st.lists(records, min_size=1, max_size=2), min_size=1, max_size=4), max_size=8)


@cache
def begun():
    """A store in which the tasks have begun, as its file stands on the disk: making one takes longer than an example."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore.open(Path(folder) / "store.db", synchronous="normal")
        for task in TASKS:
            store.tasks.begin(started(task), "a", T0 + 10**12)
        store.write([[started("beside")]], [PRICE])
        store.close()
        return (Path(folder) / "store.db").read_bytes()


def opened(folder, name):
    (Path(folder) / f"{name}.db").write_bytes(begun())
    return SqliteStore.open(Path(folder) / f"{name}.db", synchronous="normal")


def left(store):
    """Everything that a write may have changed."""
    rows = [row for task in TASKS for row in (store.tasks.get(task), *store.records(task))]
    late = [store.tasks.get(f"{task}!cal_{task}_{seq}") for task in TASKS for seq in range(10)]
    rolls = sorted(store.rolls(RollFilter()), key=str)
    return rows, late, rolls, sorted(store.meters(RollFilter()), key=str), store.totals(), store.tasks.outcomes()


@settings(max_examples=30, deadline=None)
@given(commits)
def test_steps_leave_the_same_whether_they_are_committed_alone_or_among_others(groups_of):
    with tempfile.TemporaryDirectory() as folder:
        alone, among = opened(folder, "alone"), opened(folder, "among")
        for number, groups in enumerate(groups_of):
            told = alone.write(groups)
            other = [Record("beside", number + 1, "acme", T0, Noted("flow_chosen"))]
            assert [type(no) for no in among.write([*groups, other])[:-1]] == [type(no) for no in told]
        assert left(alone)[:-1] == left(among)[:-1]
        assert sum(row.n for row in left(alone)[-1] if row.status == "finished") == sum(
            row.n for row in left(among)[-1] if row.status == "finished"
        )
        totals = alone.totals()
        assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
        alone.close()
        among.close()


def test_a_step_of_a_task_that_another_worker_took_is_not_written_and_the_steps_beside_it_are(tmp_path):
    store = opened(tmp_path, "store")
    assert store.tasks.claim("t1", "b", now_ns=T0 + 10**12, lease_until_ns=T0 + 10**13) == 2
    refused = store.write([[intended("t1", 1)], [intended("t2", 1)], [record(looked("t2", 2), fence=1)]])
    assert [type(no) for no in refused] == [Fenced, type(None), type(None)]
    assert [len(store.records(task)) for task in TASKS] == [1, 3, 1]
    assert store.write([[intended("t1", 1, fence=2)]]) == [None]
    assert len(store.records("t1")) == 2
    store.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3), st.booleans()), max_size=30))
def test_a_reader_misses_nothing_whoever_of_two_processes_writes_next(turns):
    with tempfile.TemporaryDirectory() as folder:
        stores = [opened(folder, "store"), SqliteStore.open(Path(folder) / "store.db", synchronous="normal")]
        place, seq = stores[0].tail.end(), 0
        assert stores[0].tail.read("", 10)[1] == place
        for who, many, clash in turns:
            written = [intended("t1", seq + at + 1) for at in range(many)]
            again = [[intended("t1", 1), Record("t1", 0, "acme", T0, Noted("taken"), fence=1)]] if clash else []
            stores[who].write([written, *again])
            seq += many
            found, place = stores[1 - who].tail.read(place, 10)
            assert found == written or found == [structs.replace(each, fence=0) for each in written]
            assert place == stores[who].tail.end()
            assert stores[who].tail.behind(place) == 0
        for store in stores:
            store.close()


def test_places_that_are_taken_ahead_are_not_where_the_ledger_ends(tmp_path):
    store = opened(tmp_path, "store")
    store.write([[intended("t1", 1)]])
    store.write([[intended("t1", 2)]])
    end = store.tail.end()
    assert store.tail.read(end, 10)[0] == []
    store.close()
    other = SqliteStore.open(tmp_path / "store.db", synchronous="normal")
    assert other.tail.end() == end
    other.write([[intended("t1", 3)]])
    assert [each.seq for each in other.tail.read(end, 10)[0]] == [3]
    other.close()


def test_places_that_a_failed_commit_took_are_taken_again(tmp_path, monkeypatch):
    store = opened(tmp_path, "store")
    for seq in (1, 2):
        store.write([[intended("t1", seq)]])

    def failing():
        raise RuntimeError("no commit")

    laid = store._database._laid
    with monkeypatch.context() as broken:
        broken.setattr(laid, "lay", failing)
        for seq in range(3, 3 + 300):  # more than are taken ahead at once
            with pytest.raises(RuntimeError):
                store.write([[intended("t1", seq)]])
    end = store.tail.end()
    assert store.write([[intended("t1", seq)] for seq in range(3, 603)]) == [None] * 600
    assert [each.seq for each in store.tail.read(end, 1000)[0]] == list(range(3, 603))
    store.close()
