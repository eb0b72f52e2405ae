"""What stands beside tasks: messages to be told, texts, pauses, and the word from a child to its parent."""

import pytest

from interlock.core.caller import Caller, Versions
from interlock.core.events import ApprovalAsked, Finished, Noted, Record, Started
from interlock.core.outbox import OutboxRow
from interlock.core.store import Store

ROW = OutboxRow("msg_1", "acme", "tsk_1", 0, "support", "http://hook", '{"a":1}', fence=2, since_ns=5, next_ns=5)


def begun(store: Store, task: str) -> None:
    store.tasks.begin(
        Record(task, 0, "acme", 1, Started("support", Caller("acme", task=task), Versions())), "worker", 1_000
    )


def test_a_message_is_taken_by_one_and_comes_back_until_it_is_done(store: Store):
    store.outbox.put([ROW])
    [taken] = store.outbox.take(10, 100, limit=5)
    assert (taken.body, taken.tries) == (ROW.body, 1)
    assert store.outbox.take(50, 150, limit=5) == []
    assert [row.tries for row in store.outbox.take(100, 150, limit=5)] == [2]
    store.outbox.again("msg_1", 120)
    assert [row.id for row in store.outbox.take(120, 200, limit=5)] == ["msg_1"]
    assert store.outbox.waiting() == 1
    store.outbox.done("msg_1")
    assert store.outbox.waiting() == 0


def test_a_worker_with_an_older_lease_does_not_replace_a_message(store: Store):
    from msgspec.structs import replace

    store.outbox.put([ROW])
    store.outbox.put([replace(ROW, body="stale", fence=1)])
    assert store.outbox.take(10, 20, limit=5)[0].body == ROW.body
    store.outbox.put([replace(ROW, body="newer", fence=3)])
    assert store.outbox.take(30, 40, limit=5)[0].body == "newer"


def test_a_text_stands_until_another_takes_its_place_and_tenants_do_not_meet(store: Store):
    store.texts.put("acme", "contract", "c1", "one", 1)
    store.texts.put("rival", "contract", "c1", "other", 1)
    store.texts.put("acme", "contract", "c1", "two", 2)
    assert store.texts.get("acme", "contract", "c1") == "two"
    assert store.texts.get("rival", "contract", "c1") == "other"
    assert store.texts.get("acme", "contract", "c2") is None


@pytest.mark.requirement("AG-09")
def test_a_paused_task_is_nobodys_to_work_on_until_it_goes_on(store: Store):
    begun(store, "tsk_1")
    store.tasks.release("tsk_1", 1, wake_at_ns=0)
    assert [row.id for row in store.tasks.runnable(10)] == ["tsk_1"]
    store.write([[Record("tsk_1", 1, "acme", 2, ApprovalAsked(1, "pay", "h", "always", expires_ns=5))]])
    store.write([[Record("tsk_1", 2, "acme", 2, Noted("paused", "by pat"))]])
    row = store.tasks.get("tsk_1")
    assert row is not None
    assert row.status == "paused"
    assert store.tasks.runnable(10) == []
    store.write([[Record("tsk_1", 3, "acme", 3, Noted("unpaused", "by pat"))]])
    row = store.tasks.get("tsk_1")
    assert row is not None
    assert row.status == "waiting"


def test_a_child_that_ends_signals_its_parent_in_the_same_transaction(store: Store):
    begun(store, "tsk_p")
    begun(store, "tsk_c")
    end = Finished("resolved", parent="tsk_p", parent_step=4)
    store.write([[Record("tsk_c", 1, "acme", 7, end, fence=1)]])
    [told] = store.signals.pending("tsk_p")
    assert (told.name, told.payload) == ("arrived", {"step": 4, "child": "tsk_c"})
    store.write([[Record("tsk_c", 1, "acme", 7, end, fence=1)]])
    assert len(store.signals.pending("tsk_p")) == 1
