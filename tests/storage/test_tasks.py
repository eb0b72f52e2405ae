"""Leases and signals: what every store does for workers."""

import pytest

from interlock.core.errors import Fenced
from interlock.core.events import ApprovalAsked, Record
from interlock.core.store import Signal
from tests.ledger.kit import T0, call, finished, record, started

S = 1_000_000_000


def test_a_task_begins_with_its_lease_and_only_once(store):
    assert store.tasks.begin(started("t1"), "a", T0 + 30 * S) == 1
    row = store.tasks.get("t1")
    assert (row.owner, row.lease_until_ns, row.fence) == ("a", T0 + 30 * S, 1)
    with pytest.raises(Fenced, match="exists already"):
        store.tasks.begin(started("t1"), "b", T0 + 30 * S)


def test_a_lease_is_free_when_it_has_run_out_or_its_holder_is_gone(store):
    store.tasks.begin(started("t1"), "a", T0 + 30 * S)

    def claim(at_ns, alive=None):
        return store.tasks.claim("t1", "b", now_ns=at_ns, lease_until_ns=at_ns + 30 * S, alive=alive)

    assert claim(T0) is None
    assert claim(T0, lambda _: True) is None
    assert claim(T0, lambda owner: owner != "a") == 2
    assert claim(T0, lambda owner: True) is None
    assert claim(T0 + 31 * S) == 3
    assert store.tasks.claim("unknown", "b", now_ns=T0, lease_until_ns=T0 + S) is None


def test_a_finished_task_is_nobodys(store):
    fence = store.tasks.begin(started("t1"), "a", T0 + 30 * S)
    store.write([[finished("t1", 1, fence=fence)]])
    assert store.tasks.claim("t1", "b", now_ns=T0 + 60 * S, lease_until_ns=T0 + 90 * S) is None
    assert store.tasks.get("t1").owner == ""


def test_renewing_tells_which_leases_are_lost(store):
    store.tasks.begin(started("t1"), "a", T0 + 30 * S)
    store.tasks.begin(started("t2"), "a", T0 + 30 * S)
    store.tasks.claim("t2", "b", now_ns=T0 + 31 * S, lease_until_ns=T0 + 60 * S)
    assert store.tasks.renew(["t1", "t2", "t3"], "a", lease_until_ns=T0 + 90 * S) == ["t2", "t3"]
    assert store.tasks.get("t1").lease_until_ns == T0 + 90 * S
    assert store.tasks.get("t2").lease_until_ns == T0 + 60 * S


def test_releasing_with_an_old_fence_changes_nothing(store):
    old = store.tasks.begin(started("t1"), "a", T0 + 30 * S)
    new = store.tasks.claim("t1", "b", now_ns=T0 + 31 * S, lease_until_ns=T0 + 60 * S)
    assert store.tasks.release("t1", old) is False
    assert store.tasks.get("t1").owner == "b"
    assert store.tasks.release("t1", new, wake_at_ns=T0 + 99 * S) is True
    row = store.tasks.get("t1")
    assert (row.owner, row.wake_at_ns, row.fence) == ("", T0 + 99 * S, new)


def test_runnable_are_tasks_with_a_reason_to_go_on_that_nobody_holds(store):
    for name in ("held", "free", "timer", "waiting", "signalled", "finished"):
        fence = store.tasks.begin(started(name), "a", T0 + 30 * S)
        if name in ("waiting", "signalled"):
            asked = ApprovalAsked(2, "refund", "h", "always", T0 + 3600 * S)
            store.write([[Record(name, 1, "acme", T0, asked, fence=fence)]])
        if name == "finished":
            store.write([[finished(name, 1, fence=fence)]])
        if name != "held":
            store.tasks.release(name, fence, wake_at_ns=T0 + 60 * S if name == "timer" else None)
    store.signals.add(Signal("signalled", "s1", "approval", {"decision": "approve"}, T0))

    def names(at_ns, alive=None):
        return [row.id for row in store.tasks.runnable(at_ns, alive=alive)]

    assert names(T0) == ["free", "signalled"]
    assert names(T0, lambda _: False) == ["free", "held", "signalled"]
    assert names(T0 + 61 * S) == ["free", "held", "signalled", "timer"]
    assert names(T0 + 3601 * S) == ["free", "held", "signalled", "timer", "waiting"]
    assert len(store.tasks.runnable(T0 + 61 * S, limit=2)) == 2


def test_the_earliest_of_several_expiries_wakes_a_task(store):
    store.write([[started("t1")]])
    for seq, expires_ns in ((1, T0 + 50 * S), (2, T0 + 20 * S), (3, T0 + 90 * S)):
        store.write([[Record("t1", seq, "acme", T0, ApprovalAsked(seq, "refund", "h", "always", expires_ns))]])
    assert store.tasks.get("t1").wake_at_ns == T0 + 20 * S


def test_a_signal_is_one_however_often_it_is_sent_and_stays_until_it_is_consumed(store):
    store.write([[started("t1")]])
    assert store.signals.add(Signal("t1", "s2", "approval", {"n": 2}, T0 + S)) is True
    assert store.signals.add(Signal("t1", "s1", "approval", {"n": 1}, T0)) is True
    assert store.signals.add(Signal("t1", "s1", "approval", {"n": 9}, T0)) is False
    assert [each.payload for each in store.signals.pending("t1")] == [{"n": 1}, {"n": 2}]
    store.signals.consume("t1", ["s1"])
    assert [each.id for each in store.signals.pending("t1")] == ["s2"]
    assert store.signals.pending("t2") == []


def test_the_lines_of_an_input_file_are_found_again(store):
    store.write([[started("t1", batch="f", line=1)], [started("t2", batch="f", line=2)], [record(call("t3"))]])
    assert store.tasks.find("f", 2).id == "t2"
    assert store.tasks.find("f", 3) is None
    assert store.tasks.find("", 0) is None
    assert [row.id for row in store.tasks.of_batch("f")] == ["t1", "t2"]
