"""Who comes next of those who wait."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.gateway.fair import QUANTUM, FairQueue

HIGH, NORMAL, LOW = range(3)


def served(queue, most=10_000):
    found = []
    while len(found) < most and (item := queue.pop()) is not None:
        found.append(item)
    return found


@pytest.mark.requirement("GW-28")
def test_a_flood_of_one_tenant_keeps_nobody_else_waiting():
    queue = FairQueue()
    for at in range(1_000):
        queue.push("loud", NORMAL, 1_000, ("loud", at))
    for at in range(5):
        queue.push("quiet", NORMAL, 1_000, ("quiet", at))
    first = served(queue, 20)
    assert [each for each in first if each[0] == "quiet"] == [("quiet", at) for at in range(5)]


@pytest.mark.requirement("GW-28")
def test_within_a_tenant_the_more_urgent_call_goes_first_and_equals_in_their_order():
    queue = FairQueue()
    for name, priority in (("a", LOW), ("b", NORMAL), ("c", HIGH), ("d", NORMAL), ("e", HIGH)):
        queue.push("t", priority, 1, name)
    assert served(queue) == ["c", "e", "b", "d", "a"]


@pytest.mark.requirement("GW-28")
@settings(max_examples=60)
@given(
    costs=st.dictionaries(st.sampled_from("abcd"), st.integers(QUANTUM, 4 * QUANTUM), min_size=2),
    weights=st.dictionaries(st.sampled_from("abcd"), st.sampled_from([0.5, 1.0, 2.0, 4.0])),
)
def test_while_all_have_work_each_gets_its_weights_share_of_the_tokens(costs, weights):
    queue = FairQueue(weights)
    for tenant, cost in costs.items():
        for _ in range(3_000):
            queue.push(tenant, NORMAL, cost, (tenant, cost))
    got = dict.fromkeys(costs, 0.0)
    for tenant, cost in served(queue, 400):
        got[tenant] += cost / weights.get(tenant, 1.0)
    slack = 2 * (QUANTUM + max(costs.values())) / 0.5
    assert max(got.values()) - min(got.values()) <= slack


@pytest.mark.requirement("GW-28")
def test_a_full_line_takes_from_whoever_holds_most_of_it():
    queue = FairQueue()
    for at in range(10):
        queue.push("loud", LOW if at == 3 else NORMAL, 1, ("loud", at))
    assert queue.evict("loud") is None, "who holds most has no claim to more"
    assert queue.evict("quiet") == ("loud", 3), "the least urgent goes"
    assert queue.evict("quiet") == ("loud", 9), "then the last"
    assert len(queue) == 8


@settings(max_examples=80)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["push", "pop", "remove", "evict"]), st.sampled_from("abc")), max_size=80)
)
def test_nobody_is_lost_or_served_twice(steps):
    queue, waiting, luck, number = FairQueue(), {}, random.Random(0), 0
    for step, tenant in steps:
        if step == "push":
            number += 1
            waiting[number] = tenant
            queue.push(tenant, luck.randrange(3), luck.randrange(1, 20_000), number)
        elif step == "remove" and waiting:
            chosen = luck.choice(sorted(waiting))
            assert queue.remove(waiting.pop(chosen), chosen)
        elif step in ("pop", "evict"):
            item = queue.pop() if step == "pop" else queue.evict(tenant)
            if item is not None:
                del waiting[item]
        assert len(queue) == len(waiting)
    assert sorted(served(queue)) == sorted(waiting)
