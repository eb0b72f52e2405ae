"""A lot is its calls: whoever reads sees what they would see if each call had been written by itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.caller import Caller
from interlock.core.events import OutcomeSeen, Record
from interlock.core.lots import Brief, Lot, merged
from interlock.core.store import TaskFilter
from interlock.gateway.forms import form_of
from interlock.storage import SqliteStore
from tests.ledger.kit import PRICE, T0
from tests.storage.test_alike import seen

MINUTE_NS = 60_000_000_000
FORMS = [
    form_of("support", Caller(tenant, workflow="w"), "p/m", "small", PRICE.version, ("small first",), streamed=streamed)
    for tenant in ("acme", "other")
    for streamed in (False, True)
]

briefs = st.builds(
    Brief,
    task=st.integers(0, 10**9).map(lambda n: f"tsk_{n:026d}"),
    started_ns=st.integers(0, 200).map(lambda n: T0 + n * MINUTE_NS // 2),
    duration_us=st.integers(0, 10**8),
    input=st.integers(0, 10**6),
    output=st.integers(0, 10**5),
    cost_nano_usd=st.integers(0, 10**9),
    reserved_nano_usd=st.integers(0, 10**9),
    first_us=st.integers(1, 10**8),
)


def lot_of(form, briefs):
    """Whole answers have no first piece."""
    streamed = form.sample.first_token_us > 0
    return Lot(form, [brief if streamed else brief._replace(first_us=0) for brief in briefs], T0)


lots = st.lists(
    st.builds(
        lot_of,
        st.sampled_from(FORMS),
        st.lists(briefs, min_size=1, max_size=12, unique_by=lambda brief: brief.task),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda lot: lot.briefs[0].task,
)


def distinct(made):
    """Lots that have no task in common."""
    known, kept = set(), []
    for lot in made:
        own = [brief for brief in lot.briefs if brief.task not in known]
        known.update(brief.task for brief in own)
        if own:
            kept.append(Lot(lot.form, own, lot.at_ns))
    return kept


@pytest.mark.requirement("OB-03")
@settings(max_examples=40, deadline=None)
@given(lots, st.booleans())
def test_lots_read_as_their_calls(tmp_path_factory, made, known):
    made = distinct(made)
    told = [Record(made[0].briefs[0].task, 2, "acme", T0, OutcomeSeen(True, "user"))] if known else []
    shown = []
    for way in ("lots", "calls"):
        store = SqliteStore.open(tmp_path_factory.mktemp(way) / "store.db", synchronous="normal")
        if told:
            store.write([told])
        if way == "lots":
            store.write([], [PRICE], made)
        else:
            store.write([[each] for lot in made for each in lot.records()], [PRICE])
        view = seen(store)
        shown.append({name: sorted(map(repr, rows)) if isinstance(rows, list) else rows for name, rows in view.items()})
        store.close()
    assert shown[0] == shown[1]


def test_writing_a_lot_twice_is_writing_it_once(store):
    lot = Lot(FORMS[0], [Brief(f"tsk_{n:026d}", T0, 10, 20, 30, 40, 50) for n in range(5)], T0)
    assert store.write([], [PRICE], [lot]) == []
    before = seen(store)
    again = Lot(FORMS[0], [*lot.briefs[:3], Brief(f"tsk_{9:026d}", T0, 10, 20, 30, 40, 50)], T0)
    store.write([], [PRICE], [lot])
    assert seen(store) == before
    store.write([], [PRICE], [again])
    assert len(store.tasks.list(TaskFilter())) == 6


@given(lots)
def test_lots_of_one_form_are_one_and_hold_the_same_calls_in_their_order(made):
    whole = merged(made)
    assert len(whole) == len({id(lot.form) for lot in made})
    for lot in whole:
        parts = [record for part in made if part.form is lot.form for record in part.records()]
        assert lot.records() == parts
