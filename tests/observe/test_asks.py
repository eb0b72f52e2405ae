"""How often people are asked: counted by the hour with the records, told where it is more than agreed."""

import pytest

from interlock.core.caller import Caller, Versions
from interlock.core.events import FLOW, ApprovalAsked, Record, Started
from interlock.core.meters import MeterRow
from interlock.core.store import RollFilter
from interlock.observe.alarms import of_often_asked
from interlock.observe.asks import asks
from interlock.storage import SqliteStore

NOW = 500_000
HOUR_NS = 3_600_000_000_000


def row(ago, n, label="policy", workflow="refunds"):
    return MeterRow(NOW - ago, "acme", workflow, "asks", label, n)


@pytest.mark.requirement("SG-02")
def test_a_workflow_whose_policy_asks_more_often_than_agreed_is_told_with_its_figures():
    rows = [
        row(1, 6),
        row(23, 3),
        row(30, 99),
        row(1, 50, "rule"),
        row(2, 4, workflow="rare"),
        row(2, 5, workflow="calm"),
    ]
    found = asks(rows, {"refunds": 10, "rare": 1, "calm": 100}, NOW)
    assert [(each.workflow, each.asks, each.tasks) for each in found] == [
        ("rare", 4, 1),
        ("refunds", 9, 10),
        ("calm", 5, 100),
    ]
    (told,) = of_often_asked("acme", found, 0.5)
    assert told.title == "refunds: people are asked 0.90 times a task"
    assert list(of_often_asked("acme", found, 1.0)) == []
    assert list(of_often_asked("acme", found, 0.0)) == []


@pytest.mark.requirement("SG-02")
def test_questions_are_counted_in_their_hour_by_whoever_asked(tmp_path):
    store = SqliteStore.open(tmp_path / "ledger.db", busy_timeout_s=5.0, synchronous="normal")
    at_ns = 7 * HOUR_NS + 5
    caller = Caller("acme", workflow="refunds", task="t1")
    records = [
        Record("t1", 0, "acme", at_ns, Started("refunds", caller, Versions())),
        Record(
            "t1", 1, "acme", at_ns, ApprovalAsked(1, "pay", "h", f"{FLOW}amount", at_ns + HOUR_NS, workflow="refunds")
        ),
        Record(
            "t1", 2, "acme", at_ns, ApprovalAsked(2, "pay", "h", "amount > 50", at_ns + HOUR_NS, workflow="refunds")
        ),
    ]
    store.write([records])
    store.write([records])
    counted = {
        (each.hour, each.workflow, each.meter, each.label): each.n for each in store.meters(RollFilter(tenant="acme"))
    }
    assert counted == {(7, "refunds", "asks", "policy"): 1, (7, "refunds", "asks", "rule"): 1}
    store.close()
