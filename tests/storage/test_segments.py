"""Segments: many lone calls in one row, and every reader sees them as if each had its own."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.events import OutcomeSeen, Record, lone_ids
from interlock.core.store import TaskFilter
from interlock.storage import SqliteStore, lone
from interlock.storage.rows import encode, event_row
from interlock.storage.statements import migrations
from tests.ledger.kit import T0, record
from tests.ledger.kit import call as step

MINUTE_NS = 60_000_000_000


def call(number, **fields):
    task = f"tsk_{number:04d}"
    return structs.replace(step(task, **fields), call=lone_ids(task)[1])


calls = st.lists(
    st.fixed_dictionaries(
        {
            "tenant": st.sampled_from(["acme", "other"]),
            "workflow": st.sampled_from(["support_reply", ""]),
            "status": st.sampled_from(["ok", "error", "client_gone", "cache_hit"]),
            "simulated": st.booleans(),
            "started_ns": st.integers(0, 5).map(lambda n: T0 + n * MINUTE_NS // 2),
        }
    ),
    min_size=1,
    max_size=12,
)
asked = st.builds(
    TaskFilter,
    tenant=st.sampled_from(["", "acme"]),
    workflow=st.sampled_from(["", "support_reply"]),
    kind=st.sampled_from(["", "call", "task"]),
    outcome=st.sampled_from(["", "resolved", "failed", "cancelled", "simulated", "handed_to_human"]),
    since_ns=st.sampled_from([0, T0 + MINUTE_NS]),
    until_ns=st.sampled_from([0, T0 + 2 * MINUTE_NS]),
    least_nano_usd=st.sampled_from([0, 1, 10**12]),
    user=st.sampled_from(["", "ada", "bob"]),
    limit=st.integers(1, 6),
)


@settings(max_examples=30, deadline=None)
@given(calls, asked, st.sets(st.integers(0, 11), max_size=3))
def test_lists_are_the_same_as_of_rows(tmp_path_factory, made, which, known):
    """One store takes the short way, the other is made to give every call rows of its own."""
    shown = []
    for way in ("short", "long"):
        store = SqliteStore.open(tmp_path_factory.mktemp(way) / "store.db", synchronous="normal")
        with pytest.MonkeyPatch.context() as patch:
            if way == "long":
                patch.setattr(lone, "split", lambda groups: ([], list(range(len(groups)))))
            store.write([[record(call(n, **fields))] for n, fields in enumerate(made)])
            later = [n for n in known if n < len(made)]
            store.write(
                [[Record(f"tsk_{n:04d}", 2, made[n]["tenant"], T0, OutcomeSeen(True, "user"))] for n in sorted(later)]
            )
        pages, page = [], store.tasks.list(which)
        while page and len(pages) < 20:
            pages.append(page)
            last = page[-1]
            page = store.tasks.list(structs.replace(which, until_ns=last.created_ns, before_id=last.id))
        counted = sorted(store.tasks.outcomes(), key=repr)
        shown.append((pages, counted, store.totals(), [store.records(f"tsk_{n:04d}") for n in range(len(made))]))
        store.close()
    assert shown[0] == shown[1]


def test_a_store_of_rows_becomes_one_of_segments_and_nothing_is_lost(tmp_path):
    path = tmp_path / "store.db"
    db = sqlite3.connect(path)
    for script in migrations()[:9]:
        db.executescript(script)
    db.execute("PRAGMA user_version = 9")
    for number in range(600):
        each = call(number, started_ns=T0 + number * 10**9, status="error" if number % 7 == 0 else "ok")
        event = record(each, content={"response": {"text": f"answer {number}"}} if number % 2 else None)
        row = event_row(event, None if event.content is None else encode(event.content))
        db.execute(
            "INSERT INTO events (task, seq, at_ns, tenant, type, event, content, lone, workflow, tier, status, started_ns, duration_us,"
            " escalations, simulated, cost_nano_usd, simulated_nano_usd) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        cost = each.cost_nano_usd
        db.execute("INSERT INTO roll SELECT ?" + ", ''" * 10 + ", 1, ?" + ", 0" * 25 + ", x''", (number, cost))
    db.commit()
    db.close()
    store = SqliteStore.open(path, synchronous="normal")
    listed = store.tasks.list(TaskFilter(limit=1000))
    assert [row.id for row in listed] == [f"tsk_{number:04d}" for number in reversed(range(600))]
    assert store.records("tsk_0041")[0].content == {"response": {"text": "answer 41"}}
    assert store.records("tsk_0042")[0].event == call(42, started_ns=T0 + 42 * 10**9, status="error")
    assert {row.outcome: row.n for row in store.tasks.outcomes()} == {"failed": 86, "resolved": 514}
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
    assert len(store.tail.read("", 1000)[0]) == 600
    assert store.write([[record(call(1, started_ns=T0 + 10**9))]]) == [None]
    assert store.totals() == totals
    store.close()


def test_a_call_written_again_is_there_once_even_within_one_batch(store):
    once = [record(call(1))]
    assert store.write([once, once, [record(call(2))]]) == [None] * 3
    assert store.write([once, [record(call(3))]]) == [None] * 2
    assert len(store.tasks.list(TaskFilter())) == 3
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd == 3 * call(1).cost_nano_usd


def test_an_outcome_that_came_before_its_call_belongs_to_it(store):
    store.write([[Record("tsk_0001", 2, "acme", T0, OutcomeSeen(False, "user"))]])
    store.write([[record(call(1))], [record(call(2))]])
    row = store.tasks.get("tsk_0001")
    assert (row.success, row.events, row.model_calls) == (False, 2, 1)
    assert [each.seq for each in store.records("tsk_0001")] == [1, 2]
    assert len(store.tasks.list(TaskFilter())) == 2


def test_content_of_one_lone_call_is_scrubbed_and_the_others_keep_theirs(store):
    store.write([[record(call(n), content={"response": {"text": f"card {n}"}})] for n in range(3)])
    assert store.scrub("tsk_0001", "redacted", lambda text: text.replace("card", "[gone]")) == 1
    assert store.scrub("tsk_0002", "none", str) == 1
    said = [store.records(f"tsk_{n:04d}")[0].content for n in range(3)]
    assert said == [{"response": {"text": "card 0"}}, {"response": {"text": "[gone] 1"}}, None]
