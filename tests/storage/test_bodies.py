"""Long texts stand once for each tenant, for as long as something refers to them, and every reader sees them as they were."""

import sqlite3
from collections import Counter

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.events import OutcomeSeen, Record, lone_ids
from interlock.core.retention import Bodies
from interlock.storage import SqliteStore
from interlock.storage.bodies import Splitter, name_of, names_in, taken_apart
from tests.ledger.kit import T0, finished, record, started
from tests.ledger.kit import call as step
from tests.storage.parquet_kit import rows_of

PROMPT = "You answer customers of Fernhill about their orders. " * 40
MINUTE_NS = 60_000_000_000


def lone(number, text=PROMPT, tenant="acme", at_ns=T0):
    task = f"tsk_{number:04d}"
    settled = structs.replace(step(task, tenant=tenant, started_ns=at_ns), call=lone_ids(task)[1])
    said = {"request": [{"role": "system", "text": text}, {"role": "user", "text": f"Where is {number}?"}]}
    return structs.replace(record(settled, content=said), at_ns=at_ns)


def task(name, text=PROMPT):
    return [started(name), record(step(name, 1), content={"response": {"text": text}}), finished(name, 2)]


def said(store, name):
    return [each.content for each in store.records(name)]


def test_a_prompt_that_repeats_is_there_once_and_everybody_reads_it(store):
    calls = [lone(n, at_ns=T0 + n * MINUTE_NS // 3) for n in range(9)]
    store.write([[each] for each in calls] + [task("t1")])
    found = store.retention.bodies()
    assert found.texts == 1
    assert found.size_bytes < len(PROMPT) / 5
    assert [said(store, f"tsk_{n:04d}") for n in range(9)] == [[each.content] for each in calls]
    assert said(store, "t1")[1] == {"response": {"text": PROMPT}}
    read = {(each.task, each.seq): each.content for each in store.tail.read("", 100)[0]}
    assert read["tsk_0003", 1] == calls[3].content
    assert read["t1", 1] == {"response": {"text": PROMPT}}


def test_what_a_caller_nested_deep_is_written_and_read_and_redacted_as_everything_is(store):
    value = f"\1{PROMPT}"
    for _ in range(700):
        value = [value]
    call = lone(1)
    store.write([[structs.replace(call, content={"response": value})], [lone(2)]])
    assert said(store, "tsk_0001") == [{"response": value}]
    assert [each.task for each in store.tail.read("", 100)[0]] == ["tsk_0001", "tsk_0002"]
    assert store.scrub("tsk_0001", "redacted", lambda text: text.replace("Fernhill", "[place]")) == 1
    assert "Fernhill" not in str(msgspec.json.encode(said(store, "tsk_0001")))


@pytest.mark.requirement("SG-05")
def test_no_two_tenants_share_a_text_and_its_name_tells_nobody_what_it_is(store):
    store.write([[lone(1)], [lone(2, tenant="other")]])
    assert store.retention.bodies().texts == 2
    assert name_of(b"s" * 32, "acme", PROMPT) != name_of(b"s" * 32, "other", PROMPT)
    assert name_of(b"s" * 32, "acme", PROMPT) != name_of(b"t" * 32, "acme", PROMPT)
    store.scrub("tsk_0001", "none", str)
    assert store.retention.bodies().texts == 1
    assert said(store, "tsk_0002")[0]["request"][0]["text"] == PROMPT


@pytest.mark.requirement("SG-08")
def test_a_text_goes_with_the_last_that_holds_it(store):
    store.write([[lone(1)], [lone(2, at_ns=T0 + MINUTE_NS)], task("t1")])
    store.scrub("t1", "none", str)
    store.scrub("tsk_0001", "redacted", lambda text: text.replace("Fernhill", "[name]"))
    assert store.retention.bodies().texts == 2
    assert said(store, "tsk_0001")[0]["request"][0]["text"] == PROMPT.replace("Fernhill", "[name]")
    assert said(store, "tsk_0002")[0]["request"][0]["text"] == PROMPT
    store.scrub("tsk_0002", "none", str)
    store.scrub("tsk_0001", "none", str)
    assert store.retention.bodies() == Bodies(0, 0, 0)


def test_what_is_written_twice_is_held_once(store):
    call, whole = lone(1), task("t1")
    for _ in range(3):
        store.write([[call], whole])
    store.write([[Record("tsk_0001", 2, "acme", T0 + 1, OutcomeSeen(True, "user"))], [call], [lone(2)]])
    assert [each["request"][0]["text"] for each in said(store, "tsk_0001") if each] == [PROMPT]
    for name in ("tsk_0001", "tsk_0002", "t1"):
        store.scrub(name, "none", str)
    assert store.retention.bodies() == Bodies(0, 0, 0)


@pytest.mark.requirement("SG-08")
def test_bodies_are_forgotten_and_leave_with_their_rows_whole(store, tmp_path):
    store.write([[lone(1)], [lone(2, at_ns=T0 + 10 * MINUTE_NS)], task("t1")])
    left = store.retention.roll_off(T0 + MINUTE_NS, tmp_path, T0)
    rows = {(row["task"], row["seq"]): str(row["content"]) for row in rows_of(tmp_path / left.file)}
    assert PROMPT in rows["tsk_0001", 1]
    assert store.tasks.get("t1") is None
    assert store.retention.bodies().texts == 1
    assert store.retention.forget_bodies(T0 + 20 * MINUTE_NS) == 1
    assert said(store, "tsk_0002") == [None]
    assert store.retention.bodies() == Bodies(0, 0, 0)


texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["\x01", "\x010", "\x01\x010", '"\x013', "x" * 300, "\x01" + "y" * 300, PROMPT]),
)
contents = st.recursive(
    texts | st.none() | st.integers(-(2**60), 2**60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
said_of_call = st.one_of(st.none(), st.dictionaries(st.text(max_size=4), contents, min_size=1, max_size=3))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(said_of_call, min_size=1, max_size=5), st.data())
def test_whatever_is_said_is_read_as_it_was_and_nothing_stays_behind(tmp_path_factory, made, data):
    store = SqliteStore.open(tmp_path_factory.mktemp("bodies") / "store.db", synchronous="normal")
    calls = [structs.replace(lone(n), content=content) for n, content in enumerate(made)]
    store.write([[each] for each in calls])
    store.write([task("t1")])
    later = data.draw(st.sets(st.integers(0, len(made) - 1)))
    for n in later:
        store.write([[Record(f"tsk_{n:04d}", 2, "acme", T0, OutcomeSeen(True, "user"))]])
    assert [said(store, f"tsk_{n:04d}")[0] for n in range(len(made))] == made
    gone = data.draw(st.sets(st.integers(0, len(made) - 1)))
    for n in gone:
        store.scrub(f"tsk_{n:04d}", "none", str)
    assert [said(store, f"tsk_{n:04d}")[0] for n in range(len(made))] == [
        None if n in gone else each for n, each in enumerate(made)
    ]
    for name in ("t1", *(f"tsk_{n:04d}" for n in range(len(made)))):
        store.scrub(name, "none", str)
    assert store.retention.bodies() == Bodies(0, 0, 0)
    store.close()


def test_what_was_kept_before_there_were_bodies_is_read_and_then_packed(tmp_path):
    path = tmp_path / "store.db"
    SqliteStore.open(path).close()
    with sqlite3.connect(path) as db:
        secret = db.execute("SELECT secret FROM body_secret").fetchone()
        db.execute("DELETE FROM body_secret")
    store = SqliteStore.open(path, synchronous="normal")
    odd = {"request": [{"role": "system", "text": "\x010"}, {"role": "user", "text": PROMPT}]}
    calls = [lone(1), lone(2), structs.replace(lone(3), content=odd)]
    store.write([[each] for each in calls] + [task("t1")])
    before = [said(store, name) for name in ("tsk_0001", "tsk_0002", "tsk_0003", "t1")]
    assert before[2] == [odd]
    assert (store.retention.pack(), store.retention.bodies().texts) == (0, 0)
    with sqlite3.connect(path) as db:
        assert Counter(row[0] for row in db.execute("SELECT typeof(contents) FROM segments")) == {"text": 1}
        db.execute("INSERT INTO body_secret VALUES (1, ?)", secret)
    store.write([[Record("tsk_0002", 2, "acme", T0 + 1, OutcomeSeen(True, "user"))]])
    assert store.retention.pack() > 0
    assert store.retention.bodies().texts == 1
    assert said(store, "tsk_0002")[0] == calls[1].content
    assert [said(store, name) for name in ("tsk_0001", "tsk_0003", "t1")] == [before[0], before[2], before[3]]
    assert store.retention.pack() == 0
    store.close()


def test_a_kept_value_names_its_bodies_without_being_opened():
    splitter = Splitter(lambda text: name_of(b"k" * 32, "acme", text))
    kept = splitter.kept(splitter.split(b'{"a":"%b","b":"%b"}' % (PROMPT.encode(), PROMPT.encode())))
    assert isinstance(kept, bytes)
    assert names_in(kept) == taken_apart(kept).names == (name_of(b"k" * 32, "acme", PROMPT),)
    assert len(kept) < 100
