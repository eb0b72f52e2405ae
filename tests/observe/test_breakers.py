"""When breakers were not closed: each process in a lane of its own, however often it changed, and what a dead process left open."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.circuits import CircuitChange, CircuitState
from interlock.observe.breakers import SLICES, timeline

MINUTE = 60_000_000_000
NOW = 30_000_000 * MINUTE
ONE, OTHER = "here:b:1:10", "there:b:2:20"


def change(ago: float, state: CircuitState, *, process: str = ONE, of: str = "v/one", seq: int = 0) -> CircuitChange:
    return CircuitChange(NOW - round(ago * MINUTE), "acme", process, seq, of, state, "because")


@pytest.mark.requirement("OB-08")
def test_processes_stand_side_by_side_each_with_what_it_saw():
    newest = [
        change(5, "open", process=OTHER),
        change(10, "closed"),
        change(15, "half_open"),
        change(20, "open"),
    ]
    found = timeline(newest, [], NOW - 100 * MINUTE, NOW, lambda _: True)

    assert [(lane.process, lane.state, lane.opened, lane.away_s) for lane in found.lanes] == [
        ("here:1", "closed", 1, 600.0),
        ("there:2", "open", 1, 300.0),
    ]
    assert [(bar.state, bar.x, bar.width) for bar in found.lanes[0].bars] == [
        ("open", 800.0, 50.0),
        ("half_open", 850.0, 50.0),
    ]
    assert found.lanes[1].bars[0].x + found.lanes[1].bars[0].width == pytest.approx(1000)
    assert found.lanes[0].said == "opened 1 time, 10 min in all; closed now"
    assert [each.process for each in found.changes] == ["there:2", "here:1", "here:1", "here:1"]
    assert (found.n, found.more) == (4, False)


@pytest.mark.requirement("OB-08")
def test_what_was_open_before_the_period_is_open_in_it_and_what_a_dead_process_left_ends_with_its_last_word():
    before = [change(500, "open"), change(300, "half_open", process=OTHER)]
    lives = timeline([], before, NOW - 100 * MINUTE, NOW, lambda _: True)
    gone = timeline([], before, NOW - 100 * MINUTE, NOW, lambda process: process == OTHER)

    assert [(lane.state, lane.opened, lane.away_s) for lane in lives.lanes] == [
        ("open", 0, 6000.0),
        ("half_open", 0, 6000.0),
    ]
    assert {lane.process: (lane.state, lane.away_s) for lane in gone.lanes} == {
        "there:2": ("half_open", 6000.0),
        "here:1": ("gone", 0.0),
    }
    assert "its process ended meanwhile" in next(lane.said for lane in gone.lanes if lane.state == "gone")


def test_a_period_of_which_not_all_was_read_begins_with_the_oldest_that_was():
    found = timeline([change(1, "closed"), change(7, "open")], [], NOW - 100 * MINUTE, NOW, lambda _: True, more=True)
    everything = timeline([change(1, "closed"), change(7, "open")], [], 0, NOW, lambda _: True)
    nothing = timeline([], [], 0, NOW, lambda _: True)

    assert found.since_ns == everything.since_ns == NOW - 7 * MINUTE
    assert found.lanes[0].away_s == 360.0
    assert (nothing.lanes, nothing.changes, nothing.n) == ((), (), 0)


STATES: st.SearchStrategy[CircuitState] = st.sampled_from(("open", "half_open", "closed", "gone"))


@given(st.lists(st.tuples(st.floats(0, 90), STATES, st.sampled_from((ONE, OTHER))), max_size=60))
def test_bars_stand_in_order_inside_the_period_and_are_never_more_than_it_has_slices(told):
    changes = [
        change(ago, state, process=process, seq=n)
        for n, (ago, state, process) in enumerate(sorted(told, key=lambda each: -each[0]))
    ]
    found = timeline(changes[::-1], [], NOW - 100 * MINUTE, NOW, lambda _: True)

    for lane in found.lanes:
        assert 0 < len(lane.bars) <= SLICES
        edges = [edge for bar in lane.bars for edge in (bar.x, bar.x + bar.width)]
        assert all(after - before > -1e-6 for before, after in pairwise(edges))
        assert edges[0] >= 0
        assert edges[-1] <= 1000 + 1e-6
        assert 0 <= lane.away_s <= 6000
