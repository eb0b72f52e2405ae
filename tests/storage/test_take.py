"""Taking due tasks: whose turn it is, how many at once, and never one twice."""

import random
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from interlock.core.due import Wanted
from interlock.core.events import ApprovalAsked, Noted, Record
from interlock.core.store import Signal
from interlock.storage.fair import Due, chosen
from tests.ledger.kit import T0, finished, started

S = 1_000_000_000
SERVED = tuple((tenant, workflow) for tenant in ("acme", "b", "c") for workflow in ("support_reply", "urgent"))


def begun(store, name, *, tenant="acme", workflow="support_reply", at_ns=T0, wake_at_ns=0, priority=0, lock=""):
    record = started(name, workflow=workflow, at_ns=at_ns)
    event = replace(record.event, priority=priority, lock=lock)
    record = Record(name, 0, tenant, at_ns, event, record.content)
    store.tasks.begin(record, "maker", T0 + S)
    store.tasks.release(name, 1, wake_at_ns=wake_at_ns)


def take(store, limit=10, *, owner="w", now_ns=T0, alive=None, **fields):
    wanted = Wanted(SERVED, limit, **fields)
    rows = store.tasks.take(wanted, owner, now_ns=now_ns, lease_until_ns=now_ns + 30 * S, alive=alive)
    return sorted(row.id for row in rows)


@pytest.mark.requirement("OP-04")
def test_what_is_taken_is_held_with_a_new_fence_and_not_taken_again(store):
    begun(store, "t1")
    wanted = Wanted(SERVED, 10)
    (row,) = store.tasks.take(wanted, "w1", now_ns=T0, lease_until_ns=T0 + 30 * S)
    assert (row.id, row.owner, row.fence, row.lease_until_ns) == ("t1", "w1", 2, T0 + 30 * S)
    assert store.tasks.get("t1") == row
    assert take(store, owner="w2") == []
    assert take(store, owner="w2", now_ns=T0 + 31 * S) == ["t1"], "a lease that has run out is free"
    assert take(store, owner="w3", now_ns=T0 + 32 * S, alive=lambda owner: owner != "w2") == ["t1"], (
        "and that of the dead"
    )


def test_only_tasks_with_a_reason_to_go_on_are_taken(store):
    for name in ("ready", "timer", "asks", "told", "over", "paused", "woken"):
        begun(store, name, wake_at_ns=T0 + 60 * S if name == "timer" else 0)
        if name in ("asks", "told"):
            asked = ApprovalAsked(2, "refund", "h", "always", T0 + 3600 * S)
            store.write([[Record(name, 1, "acme", T0, asked)]])
        if name in ("paused", "woken"):
            store.write([[Record(name, 1, "acme", T0, Noted("paused", "by hand"))]])
        if name == "over":
            store.write([[finished(name, 1)]])
        if name in ("told", "woken"):
            store.signals.add(Signal(name, "s", "approval", {}, T0))
    assert take(store) == ["ready", "told", "woken"]
    assert take(store, now_ns=T0 + 61 * S) == ["ready", "timer", "told", "woken"]
    assert take(store, now_ns=T0 + 3601 * S, but=("told",)) == ["asks", "ready", "timer", "woken"]


def test_tasks_of_workflows_that_are_not_served_stay_where_they_are(store):
    begun(store, "theirs", workflow="other")
    begun(store, "nobodys", tenant="stranger")
    assert take(store) == []


@pytest.mark.requirement("OP-04")
def test_a_tenant_with_few_tasks_does_not_wait_behind_another_ones_crowd(store):
    for n in range(30):
        begun(store, f"a{n:02}", at_ns=T0 + n)
    begun(store, "b1", tenant="b", at_ns=T0 + 1000)
    begun(store, "c1", tenant="c", at_ns=T0 + 1001)
    assert take(store, 4) == ["a00", "a01", "b1", "c1"]
    assert take(store, 3) == ["a02", "a03", "a04"]


@pytest.mark.requirement("OP-04")
def test_a_tenants_bound_holds_over_all_workers(store):
    for n in range(6):
        begun(store, f"a{n}", at_ns=T0 + n)
    assert take(store, 2, owner="w1", per_tenant=3) == ["a0", "a1"]
    assert take(store, 5, owner="w2", per_tenant=3) == ["a2"]
    assert take(store, 5, owner="w3", per_tenant=3) == []
    store.write([[finished("a0", 1, fence=2)]])
    assert take(store, 5, owner="w3", per_tenant=3) == ["a3"]


def test_more_urgent_workflows_go_first_and_the_oldest_of_them(store):
    begun(store, "old", at_ns=T0)
    begun(store, "new", at_ns=T0 + 2, workflow="urgent")
    begun(store, "newer", at_ns=T0 + 3, workflow="urgent")
    assert take(store, 1, priorities={"urgent": 5}) == ["new"]
    assert take(store, 1, priorities={"urgent": 5}) == ["newer"]
    assert take(store, 1, priorities={"urgent": 5}) == ["old"]


@pytest.mark.requirement("OP-04")
def test_an_urgent_task_goes_before_others_of_its_tenant_and_takes_nobody_elses_turn(store):
    for n in range(4):
        begun(store, f"a{n}", at_ns=T0 + n)
        begun(store, f"b{n}", tenant="b", at_ns=T0 + n)
    begun(store, "late", at_ns=T0 + 50, priority=5)
    begun(store, "spare", at_ns=T0, priority=-5)
    begun(store, "later", at_ns=T0 + 60, priority=1, workflow="urgent")
    begun(store, "timer", at_ns=T0 + 70, priority=9, wake_at_ns=T0 + 80)
    assert take(store, 2, now_ns=T0 + 100) == ["b0", "timer"]
    assert take(store, 2, now_ns=T0 + 100, priorities={"urgent": 7}) == ["b1", "later"], (
        "of both numbers the sum counts"
    )
    assert take(store, 2, now_ns=T0 + 100) == ["b2", "late"]
    assert take(store, 2, now_ns=T0 + 100) == ["a0", "b3"]
    assert [take(store, 1, now_ns=T0 + 100) for _ in range(4)] == [["a1"], ["a2"], ["a3"], ["spare"]]


@pytest.mark.requirement("OP-04")
def test_tasks_with_the_same_lock_go_one_after_the_other_and_keep_no_other_waiting(store):
    for n in range(20):
        begun(store, f"a{n:02}", at_ns=T0 + n, lock="order-17", priority=n)
    begun(store, "other", at_ns=T0 + 50, lock="order-18")
    begun(store, "free", at_ns=T0 + 51)
    begun(store, "theirs", tenant="b", at_ns=T0 + 52, lock="order-17")
    assert take(store, 4) == ["a00", "free", "other", "theirs"]
    store.signals.add(Signal("a05", "s", "resume", {}, T0))
    assert take(store) == [], "not even those that something has come in for"
    assert store.tasks.claim("a01", "w", now_ns=T0, lease_until_ns=T0 + S) is None
    store.write([[Record("a00", 1, "acme", T0, ApprovalAsked(2, "refund", "h", "always", T0 + 3600 * S), fence=2)]])
    store.tasks.release("a00", 2, wake_at_ns=T0 + 3600 * S)
    assert take(store, now_ns=T0 + 60 * S, but=("free", "other", "theirs")) == [], (
        "one that waits for a person is not over"
    )
    assert take(store, now_ns=T0 + 3601 * S, but=("free", "other", "theirs")) == ["a00"], "and goes on as the first one"
    store.write([[finished("a00", 2, fence=3)]])
    assert take(store, now_ns=T0 + 3602 * S, but=("free", "other", "theirs")) == ["a01"]
    store.write([[finished("a01", 1, fence=2)]])
    assert store.tasks.claim("a02", "w", now_ns=T0, lease_until_ns=T0 + S) == 2


@pytest.mark.parametrize("seed", range(6))
def test_every_store_takes_what_the_turns_say(store, seed):
    rng = random.Random(seed)
    due = {}
    for n in range(30):
        tenant, workflow = rng.choice(SERVED)
        at_ns, wake_ns, priority = T0 + rng.randrange(5), rng.choice([0, 0, T0 + 7]), rng.choice([0, 0, 3, -2])
        begun(store, f"t{n:02}", tenant=tenant, workflow=workflow, at_ns=at_ns, wake_at_ns=wake_ns, priority=priority)
        due[f"t{n:02}"] = Due(f"t{n:02}", tenant, workflow, max(at_ns, wake_ns), priority)
    busy = Counter[str]()
    while due:
        per_tenant, urgent = rng.choice([0, 0, 6]), {"urgent": rng.choice([0, 2])}
        wanted = Wanted(SERVED, rng.randint(1, 9), per_tenant, urgent)
        rows = store.tasks.take(wanted, "w", now_ns=T0 + 9, lease_until_ns=T0 + 30 * S)
        expected = chosen(due.values(), busy, wanted)
        assert sorted(row.id for row in rows) == sorted(expected)
        for each in expected:
            busy[due.pop(each).tenant] += 1
        if not expected:
            break


@pytest.mark.requirement("OP-04")
def test_workers_that_take_at_the_same_time_keep_to_a_tenants_bound_together(opened):
    maker = opened()
    for n in range(20):
        begun(maker, f"t{n:02}")
    got: list[str] = []

    def work(store, name):
        got.extend(take(store, 4, owner=name, per_tenant=5))

    threads = [threading.Thread(target=work, args=(opened(), f"w{n}")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [f"t{n:02}" for n in range(5)]


@pytest.mark.requirement("OP-04")
def test_workers_that_take_at_the_same_time_never_get_the_same_task(opened):
    maker = opened()
    for n in range(60):
        begun(maker, f"t{n:02}", tenant="abc"[n % 3] if n % 3 else "acme")
    got: list[str] = []

    def work(store, name):
        while rows := take(store, 3, owner=name):
            got.extend(rows)

    threads = [threading.Thread(target=work, args=(opened(), f"w{n}")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(got) == Counter(f"t{n:02}" for n in range(60))


@given(
    due=st.lists(
        st.builds(
            Due,
            st.integers(0, 40).map(str),
            st.sampled_from("abc"),
            st.sampled_from("xyz"),
            st.integers(0, 9),
            st.integers(-2, 2),
        ),
        unique_by=lambda each: each.task,
    ),
    busy=st.dictionaries(st.sampled_from("abc"), st.integers(0, 5)),
    limit=st.integers(1, 12),
    per_tenant=st.integers(0, 6),
    urgent=st.dictionaries(st.sampled_from("xyz"), st.integers(-3, 3)),
)
def test_shares_are_even_within_the_bounds_whatever_is_due(due, busy, limit, per_tenant, urgent):
    taken = chosen(due, busy, Wanted((), limit, per_tenant, urgent))
    by_id = {each.task: each for each in due}
    assert len(set(taken)) == len(taken) <= limit
    got = Counter(by_id[task].tenant for task in taken)
    left = Counter(each.tenant for each in due if each.task not in taken)
    for tenant in "abc":
        under_way = busy.get(tenant, 0) + got[tenant]
        assert not per_tenant or got[tenant] == 0 or under_way <= per_tenant
        if left[tenant] and len(taken) < limit:
            assert per_tenant, "nothing is left while there is room"
            assert under_way >= per_tenant
        for other in "abc":
            if left[tenant] and got[other] and not (per_tenant and under_way >= per_tenant):
                assert busy.get(other, 0) + got[other] <= under_way + 1, (
                    "nobody is more than one ahead of who still waits"
                )
    for task in taken:
        worse = [each for each in due if each.tenant == by_id[task].tenant and each.task not in taken]
        assert all(rank(by_id[task], urgent) <= rank(each, urgent) for each in worse)


def rank(due, urgent):
    return (-urgent.get(due.workflow, 0) - due.priority, due.since_ns)
