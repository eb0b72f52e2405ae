"""How much models read, what knowledge had, what answers name, how often people were asked: counted as it is written, the same on both stores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.caller import Caller, Versions
from interlock.core.events import Finished, Record, Started
from interlock.core.meters import MeterRow
from interlock.core.store import RollFilter, Store
from interlock.observe.instruments import Instruments
from interlock.observe.sources import EDGES, asked, lengths, sources
from tests.storage.conftest import opened, postgres, shared_address, store

from .test_instruments import Still

__all__ = ["opened", "postgres", "shared_address", "store"]
T0 = 1_790_000_000_000_000_000
NOW = 500_000


def row(meter: str, label: str, n: int, workflow: str = "desk") -> MeterRow:
    return MeterRow(NOW, "acme", workflow, meter, label, n)


def end(number: int, finished: Finished) -> list[Record]:
    """A task of nothing but its beginning and its end."""
    task = f"tsk_{number}"
    begun = Started(finished.workflow, Caller("acme", workflow=finished.workflow, task=task), Versions())
    return [Record(task, 0, "acme", T0, begun), Record(task, 1, "acme", T0 + 10**9, finished)]


@pytest.mark.requirement("ME-07")
def test_what_tasks_looked_up_and_named_is_counted_in_the_transaction_that_ends_them(store: Store):
    ends = [
        Finished("resolved", workflow="desk", searched="hit", cited=2),
        Finished("resolved", workflow="desk", searched="hit", cited=1),
        Finished("resolved", workflow="desk", searched="hit", cited=0),
        Finished("handed_to_human", workflow="desk", searched="miss"),
        Finished("resolved", workflow="plain"),
    ]
    groups = [end(number, each) for number, each in enumerate(ends)]
    store.write(groups)
    store.write(groups)  # written twice is written once

    meters = store.meters(RollFilter())
    (desk,) = sources(meters)
    assert (desk.workflow, desk.hits.part, desk.hits.n, desk.cited.part, desk.cited.n) == ("desk", 3, 4, 2, 3)
    assert 0 < desk.hits.low < desk.hits.share == 0.75 < desk.hits.high < 1
    families = {each.name: each for each in Instruments(store, Still(T0), list).collect()}
    assert families["interlock_knowledge_searches"].samples == {("acme", "desk", "hit"): 3, ("acme", "desk", "miss"): 1}
    assert families["interlock_cited_answers"].samples == {("acme", "desk", "cited"): 2, ("acme", "desk", "uncited"): 1}
    assert families["interlock_knowledge_hit_share"].samples == {("acme", "desk"): 0.75}
    assert families["interlock_citation_coverage"].samples == {("acme", "desk"): pytest.approx(2 / 3)}
    whole = {each.name: each for each in Instruments(store, Still(T0), list, tenants=False).collect()}
    assert whole["interlock_knowledge_hit_share"].samples == {("desk",): 0.75}


def test_hours_are_added_up_where_nobody_asks_for_them(store: Store):
    ends = [Finished("resolved", workflow="desk", searched="hit", cited=1) for _ in range(3)]
    groups = [
        [structs.replace(each, at_ns=each.at_ns + 3600 * 10**9 * n) for each in end(n, e)] for n, e in enumerate(ends)
    ]
    store.write(groups)

    by_hour, together = store.meters(RollFilter()), store.meters(RollFilter(by_hour=False))
    first = min(each.hour for each in by_hour)
    assert len(by_hour) == 6
    assert sorted((each.hour, each.meter, each.n) for each in together) == [(first, "cited", 3), (first, "searched", 3)]
    assert len(store.meters(RollFilter(tenant="b", by_hour=False))) == 0
    assert len(store.meters(RollFilter(workflow="desk", since_ns=(first + 1) * 3600 * 10**9, by_hour=False))) == 2


@pytest.mark.requirement("ME-07")
def test_lengths_of_inputs_are_told_by_workflow_with_their_middle_and_their_tail():
    meters = [row("context", "512", 60), row("context", "8192", 35), row("context", "65536", 5)]
    meters += [row("context", "1", 2, "short"), row("context", str(1 << 30), 1, "short"), row("context", "odd", 9)]
    desk, short = lengths(meters)

    assert (desk.workflow, desk.calls, desk.half, desk.most) == ("desk", 100, 512, 8192)
    assert (short.calls, short.counts[0], short.counts[-1]) == (3, 2, 1)
    assert sum(desk.counts) == 100


@given(st.dictionaries(st.integers(0, 40), st.integers(1, 1000), min_size=1, max_size=12))
def test_no_call_is_lost_and_the_tail_is_never_before_the_middle(counts: dict[int, int]):
    (found,) = lengths([row("context", str(1 << power), n) for power, n in counts.items()])

    assert found.calls == sum(found.counts) == sum(counts.values())
    assert found.half <= found.most
    at_most = sum(n for edge, n in zip(EDGES, found.counts, strict=True) if edge <= found.most)
    assert at_most >= 0.95 * found.calls


@pytest.mark.requirement("SG-02")
def test_questions_to_people_are_told_a_task_who_asks_most_often_first():
    meters = [
        row("asks", "policy", 6),
        row("asks", "rule", 2),
        row("asks", "rule", 3, "pay"),
        row("asks", "rule", 1, "x"),
    ]
    desk, pay, alone = asked(meters, {"desk": 4, "pay": 30})

    assert (desk.workflow, desk.policy, desk.rule, desk.per_task) == ("desk", 6, 2, 2.0)
    assert (pay.workflow, pay.per_task) == ("pay", 0.1)
    assert (alone.workflow, alone.per_task) == ("x", None)
