"""Calls of a form in the flight journal: found after a kill as what they were, whatever became of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.caller import Caller
from interlock.core.events import lone_ids
from interlock.core.lots import Brief, Opened, answered, crashed
from interlock.gateway.forms import form_of
from interlock.ledger.flight import Flight, encode
from interlock.ledger.sheets import FORM_BYTES, PAGE_BYTES, PLACES
from tests.ledger.kit import T0, call
from tests.ledger.test_flight import landed, let_go

FORM = form_of("support", Caller("acme", workflow="w"), "p/m", "small", "v1", ("small first",))
STREAM = form_of("support", Caller("acme", workflow="w"), "p/m", "small", "v1", (), streamed=True)
OTHER = form_of("support", Caller("other", workflow="w"), "p/m", "small", "v1", ())


def task(number):
    return f"tsk_{number:026d}"


def opened(number):
    return Opened(task(number), T0 + number, 500, 300, 777)


def brief(number):
    return Brief(task(number), T0 + number, 1_200, 210, 60, 67, 777)


def what(path):
    return {each.settled.caller.task: each.settled for each in landed(path)}


@pytest.mark.requirement("OB-03")
def test_what_a_kill_leaves_is_the_crash_until_the_call_has_settled(tmp_path):
    flight = Flight(tmp_path / "f", 8)
    flight.note_open(0, FORM, opened(0))
    flight.note_open(1, OTHER, opened(1))
    flight.note_settled(1, OTHER, brief(1))
    flight.note_open(2, FORM, opened(2))
    flight.note_settled(2, FORM, brief(2))
    flight.clear(2)
    let_go(flight)
    found = what(tmp_path / "f")
    assert set(found) == {task(0), task(1)}
    assert encode(found[task(0)]) == crashed(FORM.crashed, opened(0))
    assert encode(found[task(1)]) == answered(OTHER.answered, brief(1))
    assert found[task(1)].caller.tenant == "other"


def test_a_stream_that_settled_is_found_with_the_time_of_its_first_piece(tmp_path):
    ended = brief(0)._replace(first_us=900)
    flight = Flight(tmp_path / "f", 8)
    flight.note_open(0, STREAM, opened(0))
    flight.note_settled(0, STREAM, ended)
    let_go(flight)
    found = what(tmp_path / "f")[task(0)]
    assert encode(found) == answered(STREAM.answered, ended)
    assert (found.duration_us, found.first_token_us) == (1_200, 900)


def test_one_that_goes_the_long_way_in_the_end_is_found_once_as_it_ended(tmp_path):
    flight = Flight(tmp_path / "f", 8)
    flight.note_open(0, FORM, opened(0))
    ended = call(task(0), call_id=lone_ids(task(0))[1], status="error")
    flight.put_settled(0, ended, encode(ended), b"")
    let_go(flight)
    assert what(tmp_path / "f") == {task(0): ended}


def test_a_half_that_was_cut_off_counts_as_before(tmp_path):
    flight = Flight(tmp_path / "f", 8)
    flight.note_open(0, FORM, opened(0))
    flight.note_settled(0, FORM, brief(0))
    first = 8 * PAGE_BYTES + FORM_BYTES
    flight._map[first + 72] ^= 0xFF
    assert landed_status(flight, tmp_path) == ["crashed"]
    flight._map[first + 3] ^= 0xFF
    assert landed_status(flight, tmp_path) == []
    let_go(flight)


def landed_status(flight, folder):
    (folder / "copy").write_bytes(flight._map[:])
    return [each.settled.status for each in landed(folder / "copy")]


def test_more_forms_than_pages_and_odd_ids_take_whole_slots(tmp_path):
    flight = Flight(tmp_path / "f", 64)
    many = [form_of("support", Caller(f"t{n}"), "p/m", "small", "v1", ()) for n in range(12)]
    for slot, form in enumerate(many):
        flight.note_open(slot, form, opened(slot))
        flight.note_settled(slot, form, brief(slot))
    odd = Opened("t1", T0, 5, 5, 5)
    flight.note_open(20, many[0], odd)
    flight.note_settled(20, many[0], Brief("t1", T0, 1, 2, 3, 4, 5))
    let_go(flight)
    found = what(tmp_path / "f")
    assert set(found) == {task(slot) for slot in range(12)} | {"t1"}
    assert {each.caller.tenant for each in found.values()} == {f"t{n}" for n in range(12)}


def test_pages_of_forms_that_are_idle_serve_others(tmp_path):
    flight = Flight(tmp_path / "f", 64)
    for n in range(200):
        form = form_of("support", Caller(f"t{n}"), "p/m", "small", "v1", ())
        for slot in range(PLACES // 2):
            flight.note_open(slot, form, opened(slot))
        assert flight._on_sheets
        for slot in range(PLACES // 2):
            flight.clear(slot)
    let_go(flight)
    assert landed(tmp_path / "f") == []


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["open", "settle", "clear"]), st.booleans()), max_size=120)
)
def test_the_journal_is_what_a_plain_book_would_say(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("flight") / "f"
    flight = Flight(path, 64)
    book = {}
    for slot, step, other in steps:
        form = OTHER if other else FORM
        if step == "open" and slot not in book:
            flight.note_open(slot, form, opened(slot))
            book[slot] = (form, "crashed")
        elif step == "settle" and book.get(slot, ("", ""))[1] == "crashed":
            form = book[slot][0]
            flight.note_settled(slot, form, brief(slot))
            book[slot] = (form, "ok")
        elif step == "clear" and book.get(slot, ("", ""))[1] == "ok":
            flight.clear(slot)
            del book[slot]
    let_go(flight)
    said = {task(slot): (form.sample.caller.tenant, status) for slot, (form, status) in book.items()}
    assert {name: (each.caller.tenant, each.status) for name, each in what(path).items()} == said
