"""What every store does with what it is given to keep. No test here knows which store it is."""

import pytest
from msgspec import structs

from interlock.core.errors import Fenced, InterlockError
from interlock.core.events import ApprovalAsked, ApprovalDecided, DoubtSettled, InDoubt, OutcomeSeen, Record
from interlock.core.money import Usage
from interlock.core.store import RollFilter, TaskFilter
from tests.ledger.kit import PRICE, T0, attempt, call, crashed, finished, record, started

HOUR = 3_600_000_000_000


def test_what_was_written_is_read_back_in_order_with_its_content(store):
    records = [started("t1"), record(call("t1", 1), content={"response": {"text": "Friday."}}), finished("t1", 2)]
    assert store.write([records]) == [None]
    assert store.records("t1") == records
    assert store.records("t1", after=0) == records[1:]
    assert store.records("unknown") == []


def test_writing_twice_is_writing_once(store):
    records = [started("t1"), record(call("t1", 1)), finished("t1", 2)]
    for _ in range(3):
        assert store.write([records]) == [None]
    row = store.tasks.get("t1")
    assert (row.events, row.model_calls) == (3, 1)
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd == call("t1").cost_nano_usd


def test_the_true_event_and_its_recovered_form_are_one_call(store):
    true = call("t1", 1, reasons=("a", "b"), message="long" * 50)
    store.write([[record(true)]])
    assert store.write([[record(structs.replace(true, reasons=(), message=""))]]) == [None]
    assert store.totals().events_nano_usd == true.cost_nano_usd


@pytest.mark.requirement("OB-03")
def test_a_stale_worker_writes_nothing_but_its_money_is_kept(store):
    old = store.tasks.begin(started("t1"), "a", T0 + HOUR)
    new = store.tasks.claim("t1", "b", now_ns=T0 + 2 * HOUR, lease_until_ns=T0 + 3 * HOUR)
    late = [record(call("t1", 3, call_id="late"), fence=old), finished("t1", 4, fence=old)]
    good = [record(call("t1", 3, call_id="good"), fence=new)]
    refused = store.write([late, good])
    assert isinstance(refused[0], Fenced)
    assert "fence" in str(refused[0])
    assert refused[1] is None
    assert [r.event.call for r in store.records("t1") if r.seq == 3] == ["good"]
    assert store.tasks.get("t1").status == "running"
    aside = store.tasks.get("t1!late")
    assert (aside.kind, aside.cost_nano_usd) == ("late", call("t1").cost_nano_usd)
    assert store.totals().events_nano_usd == store.totals().tasks_nano_usd == 2 * aside.cost_nano_usd


def test_a_group_is_written_whole_or_not_at_all_and_does_not_hold_up_its_neighbours(store):
    store.write([[started("t1"), record(call("t1", 1))]])
    clash = [finished("t1", 1), finished("t1", 2)]
    refused = store.write([clash, [record(call("t2"))]])
    assert isinstance(refused[0], Fenced)
    assert refused[1] is None
    assert [r.seq for r in store.records("t1")] == [0, 1]
    assert store.tasks.get("t2") is not None


def test_a_recovered_call_whose_place_is_taken_is_kept_aside(store):
    store.write([[started("t1"), record(call("t1", 1, call_id="new"))]])
    assert isinstance(store.write([[record(crashed("t1", 1, call_id="old", cost=500))]])[0], Fenced)
    assert store.write([[record(crashed("t1", 1, call_id="old", cost=500))]]) != [None]
    assert store.tasks.get("t1!old").cost_nano_usd == 500
    assert store.totals().events_nano_usd == 500 + call("t1").cost_nano_usd


def test_the_row_of_a_task_says_how_it_stands(store):
    store.write(
        [[started("t1", batch="tickets.jsonl", line=7), record(call("t1", 1)), record(call("t1", 2, kind="tool"))]]
    )
    asked = Record("t1", 3, "acme", T0, ApprovalAsked(4, "payments.refund", "h", "amount_usd > 50", T0 + HOUR))
    store.write([[asked]])
    row = store.tasks.get("t1")
    assert (row.status, row.outcome, row.wake_at_ns) == ("waiting", "waiting_approval", T0 + HOUR)
    store.write([[Record("t1", 4, "acme", T0, ApprovalDecided(3, "approve", "ada", "h"))]])
    row = store.tasks.get("t1")
    assert (row.status, row.outcome, row.wake_at_ns) == ("running", "", 0)
    store.write([[Record("t1", 5, "acme", T0, InDoubt(5, "payments.refund"))]])
    assert store.tasks.get("t1").status == "in_doubt"
    store.write([[Record("t1", 6, "acme", T0, DoubtSettled(5, "done", "ada"))]])
    assert store.tasks.get("t1").status == "running"
    store.write([[finished("t1", 7, tier="small", confidence=0.9, escalations=1)]])
    row = store.tasks.get("t1")
    assert (row.status, row.outcome, row.tier, row.confidence, row.escalations) == (
        "finished",
        "resolved",
        "small",
        0.9,
        1,
    )
    assert (row.model_calls, row.tool_calls, row.batch, row.line, row.contract) == (1, 1, "tickets.jsonl", 7, "c1")
    assert (row.duration_us, row.owner, row.success) == (1_000_000, "", None)
    store.write([[Record("t1", 8, "acme", T0, OutcomeSeen(False, "expected"))]])
    row = store.tasks.get("t1")
    assert (row.success, row.success_source, row.outcome) == (False, "expected", "resolved")


@pytest.mark.parametrize(
    ("status", "simulated", "outcome"),
    [
        ("ok", False, "resolved"),
        ("cache_hit", False, "resolved"),
        ("ok", True, "simulated"),
        ("client_gone", False, "cancelled"),
        ("shed", False, "failed"),
        ("crashed", False, "failed"),
    ],
)
def test_a_lone_call_is_a_task_of_one_step(store, status, simulated, outcome):
    store.write([[record(call("t1", status=status, attempts=[attempt(simulated=simulated)]))]])
    row = store.tasks.get("t1")
    assert (row.kind, row.status, row.outcome, row.events, row.user) == ("call", "finished", outcome, 1, "ada")


def test_counts_of_many_batches_merge_into_one_hour(store):
    for n in range(40):
        store.write([[record(call(f"t{n}", started_ns=T0 + n * 1000))]], [PRICE])
    (row,) = store.rolls(RollFilter(role="call"))
    assert row.n == 40
    assert row.cost_nano_usd == 40 * call("t").cost_nano_usd == sum(row.lines_nano_usd.values())
    assert set(row.lines_nano_usd) == {"input", "output"}
    assert row.usage == Usage(input=40_000, output=40 * 333)
    assert sum(row.latency.values()) == 40


@pytest.mark.requirement("OB-03")
def test_money_stands_with_the_deployment_that_took_it(store):
    failed = attempt("timeout", tokens=10, deployment="p/slow")
    weak = attempt("ok", tokens=20, deployment="p/small")
    answer = attempt("ok", tokens=30, deployment="p/big")
    store.write([[record(call("t1", attempts=[failed, weak, answer]))]], [PRICE])
    found = {(row.role, row.deployment, row.status): row.cost_nano_usd for row in store.rolls(RollFilter())}
    assert found == {
        ("attempt", "p/slow", "timeout"): failed.cost_nano_usd,
        ("attempt", "p/small", "ok"): weak.cost_nano_usd,
        ("call", "p/big", "ok"): answer.cost_nano_usd,
    }


def test_simulated_money_is_never_in_a_sum_of_real_money(store):
    mixed = call("t1", attempts=[attempt("error"), attempt(simulated=True, deployment="simulated/small")])
    store.write([[record(mixed)]], [PRICE])
    real = attempt("error").cost_nano_usd
    totals = store.totals()
    assert (totals.events_nano_usd, totals.tasks_nano_usd, totals.rolls_nano_usd) == (real, real, real)
    assert totals.events_simulated_nano_usd == totals.rolls_simulated_nano_usd == mixed.cost_nano_usd - real
    assert all(row.cost_nano_usd == 0 for row in store.rolls(RollFilter()) if row.simulated)


def test_roll_ups_can_be_asked_for_by_tenant_workflow_role_and_hours(store):
    store.write(
        [
            [record(call("t1", tenant="a", workflow="x", started_ns=T0 - T0 % HOUR))],
            [record(call("t2", tenant="b", workflow="x", started_ns=T0 + 5 * HOUR))],
            [record(call("t3", tenant="b", workflow="", started_ns=T0 + 5 * HOUR))],
        ]
    )
    assert len(store.rolls(RollFilter())) == 3
    assert len(store.rolls(RollFilter(tenant="b"))) == 2
    assert len(store.rolls(RollFilter(workflow=""))) == 1
    assert len(store.rolls(RollFilter(since_ns=T0 + HOUR))) == 2
    assert len(store.rolls(RollFilter(until_ns=T0 + HOUR))) == 1


def test_lists_are_newest_first_and_filtered(store):
    for n in range(5):
        at_ns = T0 + n * HOUR
        store.write([[started(f"t{n}", workflow="a" if n % 2 else "b", at_ns=at_ns)]])
    store.write([[finished("t4", 1, at_ns=T0 + 5 * HOUR)]])
    ids = [row.id for row in store.tasks.list(TaskFilter())]
    assert ids == ["t4", "t3", "t2", "t1", "t0"]
    assert [row.id for row in store.tasks.list(TaskFilter(workflow="a"))] == ["t3", "t1"]
    assert [row.id for row in store.tasks.list(TaskFilter(status="finished"))] == ["t4"]
    assert [row.id for row in store.tasks.list(TaskFilter(outcome="resolved"))] == ["t4"]
    assert [row.id for row in store.tasks.list(TaskFilter(since_ns=T0 + HOUR, until_ns=T0 + 3 * HOUR))] == ["t2", "t1"]
    assert [row.id for row in store.tasks.list(TaskFilter(limit=2))] == ["t4", "t3"]
    assert store.tasks.list(TaskFilter(tenant="other")) == []
    assert [row.id for row in store.tasks.unfinished()] == ["t0", "t1", "t2", "t3"]


def test_prices_that_were_applied_stay_known(store):
    store.write([[record(call("t1"))]], [PRICE])
    assert store.price("v1") == PRICE
    assert store.price("v2") is None


def test_redaction_rewrites_every_text_and_none_deletes_content(store):
    content = {"response": {"text": "write to ada@example.org", "parts": ["ada@example.org", 3]}}
    store.write([[started("t1"), record(call("t1", 1), content=content), finished("t1", 2)]])
    assert store.scrub("t1", "full", str.upper) == 0
    assert store.scrub("t1", "redacted", lambda text: text.replace("ada@example.org", "[email]")) == 3
    assert store.records("t1")[1].content == {"response": {"text": "write to [email]", "parts": ["[email]", 3]}}
    assert store.scrub("t1", "none", str) == 3
    assert all(each.content is None for each in store.records("t1"))
    assert store.records("t1")[1].event == call("t1", 1)


def test_the_content_of_a_task_that_still_runs_is_not_scrubbed(store):
    store.write([[started("t1")]])
    with pytest.raises(InterlockError, match="still needed"):
        store.scrub("t1", "none", str)


def test_content_that_json_cannot_hold_is_written_as_text(store):
    odd = {"big": 2**80, "set": {1}, "nested": [object]}
    assert store.write([[record(call("t1"), content=odd)]]) == [None]
    assert store.records("t1")[0].content["set"] in ("{1}", [1])
