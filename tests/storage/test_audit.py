"""The chain of the audit: written by many at once without a gap, refused every change, and telling on whoever changes it all the same."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.audit import EMPTY, Checked, Deed, Entry, Head, chained, head_of, sealed
from interlock.core.store import Store
from interlock.storage import SqliteStore

from .conftest import Opened


def deed(n: int = 1, tenant: str = "acme") -> Deed:
    return Deed(n, tenant, "ada", "auditor", "content.read", f"tsk_{n}")


@pytest.mark.requirement("SG-07")
def test_what_is_written_is_read_back_in_its_chain(store: Store):
    assert store.audit.head() == EMPTY
    store.audit.append([deed(1), deed(2, "rival")])
    head = store.audit.append([deed(3)])
    entries = store.audit.read(0, 10)

    assert [each.seq for each in entries] == [1, 2, 3]
    assert head == store.audit.head() == Head(3, entries[-1].seal)
    assert Checked().through(entries, [head]).ended([head]) == Checked(head, (), frozenset([str(head)]))
    assert [each.deed.at_ns for each in store.audit.read(0, 10, "acme")] == [1, 3]
    assert [each.seq for each in store.audit.latest(0, 2)] == [3, 2]
    assert [each.seq for each in store.audit.latest(3, 10, "acme")] == [1]
    assert store.audit.append([]) == head


@pytest.mark.requirement("SG-07")
def test_many_writers_make_one_chain(opened: Opened):
    stores = [opened() for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: stores[n % 3].audit.append([deed(n), deed(n)]), range(30)))
    checked = Checked().through(stores[0].audit.read(0, 100))

    assert (checked.head.seq, checked.faults) == (60, ())


@pytest.mark.requirement("SG-07")
@pytest.mark.parametrize("change", ["UPDATE audit SET who = 'eve'", "DELETE FROM audit WHERE seq = 2"])
def test_the_database_itself_refuses_to_change_an_entry(tmp_path: Path, change: str):
    store = SqliteStore.open(tmp_path / "il.db")
    store.audit.append([deed(1), deed(2), deed(3)])
    store.close()
    with sqlite3.connect(tmp_path / "il.db") as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(change)
    db.close()


CHAIN = chained(EMPTY, [deed(n) for n in range(1, 9)])


@pytest.mark.requirement("SG-07")
@given(st.integers(0, 7), st.sampled_from(["who", "tenant", "target", "action", "at_ns", "detail", "role"]))
def test_a_changed_entry_is_found_at_its_place(place: int, field: str):
    value = 77 if field == "at_ns" else "eve"
    changed = structs.replace(CHAIN[place], deed=structs.replace(CHAIN[place].deed, **{field: value}))
    checked = Checked().through([*CHAIN[:place], changed, *CHAIN[place + 1 :]])

    assert checked.faults == (f"entry {place + 1} is not what was sealed: it, or an entry before it, was changed",)


@pytest.mark.requirement("SG-07")
@given(place=st.integers(0, 7), to_the_end=st.booleans())
def test_whoever_changes_an_entry_and_seals_it_anew_is_found_at_the_next(place: int, *, to_the_end: bool):
    head = Head(place, CHAIN[place - 1].seal) if place else EMPTY
    forged = [structs.replace(CHAIN[place].deed, who="eve"), *(each.deed for each in CHAIN[place + 1 :])]
    made = chained(head, forged if to_the_end else forged[:1])
    chain = [*CHAIN[:place], *made] if to_the_end else [*CHAIN[:place], *made, *CHAIN[place + 1 :]]
    noted = Head(8, CHAIN[-1].seal)
    checked = Checked().through(chain, [noted]).ended([noted])

    assert checked.faults
    if to_the_end:
        assert "written anew" in checked.faults[0]


@pytest.mark.requirement("SG-07")
@given(st.integers(0, 7))
def test_a_removed_entry_shows_in_the_middle_and_at_the_end_against_a_noted_head(place: int):
    noted = Head(8, CHAIN[-1].seal)
    removed = Checked().through([*CHAIN[:place], *CHAIN[place + 1 :]], [noted]).ended([noted])
    cut = Checked().through(CHAIN[:place], [noted]).ended([noted])

    assert removed.faults
    assert cut.faults == (f"the chain ends at entry {place}, before the noted 8: its end was cut off",)


def test_a_seal_covers_its_place():
    assert sealed(EMPTY.seal, 1, deed()) != sealed(EMPTY.seal, 2, deed())
    assert chained(EMPTY, [deed()]) == [Entry(1, deed(), sealed(EMPTY.seal, 1, deed()))]


@pytest.mark.parametrize("text", ["", "1", "1:", "1:abc", "x:" + "0" * 64, "1:" + "g" * 64])
def test_what_is_no_head_is_not_taken_for_one(text: str):
    assert head_of(text) is None
    assert head_of(f" {EMPTY} ") == EMPTY
