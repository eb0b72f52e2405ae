"""What people are shown of the ledger, and that its published form is what they get."""

import json
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

from interlock.core.events import ApprovalAsked, Escalation, Record
from interlock.core.money import BUCKETS
from interlock.core.store import TaskFilter
from interlock.economics import Report, Worth, report, statements
from interlock.ledger import Reader, TaskSummary, Trace, to_json
from interlock.storage import SqliteStore
from tests.ledger.kit import PRICE, T0, attempt, call, finished, record, started

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
PUBLISHED = {"tasks": list[TaskSummary], "trace": Trace, "pnl": Report}


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore.open(tmp_path / "store.db", synchronous="normal")
    answered = call(
        "t1",
        2,
        attempts=[attempt("timeout", deployment="p/slow"), attempt()],
        escalations=(Escalation("small", "mid", "confidence < 0.72 (confidence=0.41)"),),
        reasons=("small tier first",),
        first_token_us=1500,
        confidence=0.93,
    )
    asked = Record(
        "t1", 3, "acme", T0, ApprovalAsked(4, "payments.refund", "h", "amount_usd > 50", T0 + 10), {"why": "x"}
    )
    opened.write(
        [
            [started("t1", batch="tickets.jsonl", line=4), record(answered, content={"response": {"text": "Friday."}})],
            [asked],
            [record(call("t2"))],
            [record(call("t3", attempts=[attempt(simulated=True, deployment="simulated/small")]))],
        ],
        [PRICE],
    )
    yield opened
    opened.close()


def test_a_trace_shows_each_record_with_its_attempts_usage_money_reasons_and_versions(store):
    trace = json.loads(to_json(Reader(store).trace("t1")))
    assert [step["type"] for step in trace["steps"]] == ["started", "settled", "approval_asked"]
    settled = trace["steps"][1]["call"]
    assert [each["deployment"] for each in settled["attempts"]] == ["p/slow", "p/m"]
    assert settled["usage"] == {"input": 2000, "output": 666}
    assert settled["cost_nano_usd"] == sum(each["cost_nano_usd"] for each in settled["attempts"]) > 0
    assert settled["escalations"][0]["reason"] == "confidence < 0.72 (confidence=0.41)"
    assert settled["reasons"] == ["small tier first"]
    assert settled["first_token_ms"] == 1.5
    assert trace["versions"]["contract"] == "c1"
    assert trace["prices"][0]["source"] == "test"
    assert trace["steps"][1]["content"] == {"response": {"text": "Friday."}}
    assert trace["steps"][2]["detail"]["rule"] == "amount_usd > 50"
    task = trace["task"]
    assert (task["status"], task["batch"], task["line"], task["cost_nano_usd"]) == (
        "waiting",
        "tickets.jsonl",
        4,
        settled["cost_nano_usd"],
    )
    assert task["started"].startswith("2026-09-21T")


def test_simulated_money_is_shown_apart(store):
    trace = json.loads(to_json(Reader(store).trace("t3")))
    assert (trace["task"]["cost_nano_usd"], trace["task"]["simulated_nano_usd"]) == (0, attempt().cost_nano_usd)
    assert trace["steps"][0]["call"]["cost_nano_usd"] == 0
    assert trace["task"]["outcome"] == "simulated"


def test_a_task_that_does_not_exist_has_no_trace(store):
    assert Reader(store).trace("nothing") is None
    assert Reader(store).task("nothing") is None


def test_the_steps_of_all_traces_add_up_to_the_ledger(store):
    reader = Reader(store)
    traces = [reader.trace(each.task) for each in reader.tasks(TaskFilter())]
    calls = [step.call for trace in traces if trace for step in trace.steps if step.call]
    assert sum(each.cost_nano_usd for each in calls) == reader.totals().events_nano_usd > 0


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_published_schema_is_the_one_of_the_values(name):
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(PUBLISHED[name])}
    path = SCHEMAS / f"{name}.schema.json"
    assert json.loads(path.read_text()) == json.loads(json.dumps(schema)), f"regenerate {path} from {PUBLISHED[name]}"


def test_what_is_printed_satisfies_its_schema(store):
    store.write([[finished("t1", 9)]])
    reader = Reader(store)
    printed = {
        "tasks": reader.tasks(TaskFilter()),
        "trace": reader.trace("t1"),
        "pnl": report(statements(store, worth={"support_reply": Worth(10**9, 10**8, 6, 6000)})),
    }
    for name, value in printed.items():
        schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
        faults = [str(each) for each in jsonschema_rs.validator_for(schema).iter_errors(json.loads(to_json(value)))]
        assert faults == [], name


def test_the_buckets_of_usage_and_of_rates_are_the_same():
    assert type(PRICE.rates).__struct_fields__ == BUCKETS
