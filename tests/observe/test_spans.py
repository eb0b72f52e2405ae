"""Records of the ledger as spans: which there are, how they hang together, and what they are called."""

from typing import Any

import pytest

from interlock.core.caller import Caller, Versions
from interlock.core.events import Attempt, Escalation, Finished, Noted, OutcomeSeen, Record, Settled, Started
from interlock.core.ids import read_traceparent, span_id, trace_id, traceparent
from interlock.core.money import Usage
from interlock.observe.semconv import words
from interlock.observe.spans import of_call, of_outcome, of_task

T0 = 1_790_000_000_000_000_000
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WORDS = words("latest")


def settled(task: str = "tsk_1", call: str = "cal_x", **changes: Any) -> Settled:
    caller = Caller("acme", user="u1", workflow="support", task=task, step=2, versions=Versions("c1", "p1", "q1", "r1"))
    failed = Attempt("openai/gpt-4o", "error", T0, 700, "large", Usage(input=9), 1_000, "v1", error="upstream_error")
    good = Attempt(
        "anthropic/claude",
        "ok",
        T0 + 10,
        900,
        "large",
        Usage(input=10, cache_read=5, output=3, reasoning=2),
        4_000,
        "v1",
    )
    base: dict[str, Any] = {
        "call": call,
        "kind": "model",
        "name": "support",
        "caller": caller,
        "status": "ok",
        "started_ns": T0,
        "duration_us": 2_000,
        "first_token_us": 300,
        "deployment": "anthropic/claude",
        "attempts": (failed, good),
        "usage": Usage(input=19, cache_read=5, output=3, reasoning=2),
        "cost_nano_usd": 5_000,
        "price": "v1",
        "reasons": ("alias support: large",),
        "escalations": (Escalation("small", "large", "low confidence"),),
    }
    return Settled(**{**base, **changes})


def record(event: Any, seq: int = 2, task: str = "tsk_1", content: Any = None) -> Record:
    return Record(task, seq, "acme", T0 + seq, event, content)


@pytest.mark.requirement("OB-01")
def test_a_call_is_a_step_with_a_span_for_each_attempt_and_our_facts_beside_the_conventions():
    step, failed, good = of_call(record(settled()), settled(), WORDS)

    assert step.trace_id == failed.trace_id == good.trace_id == trace_id("tsk_1")
    assert (step.parent_id, failed.parent_id, good.parent_id) == (span_id("tsk_1"), step.span_id, step.span_id)
    assert step.end_ns - step.start_ns == 2_000_000
    assert step.attributes["interlock.cost.nano_usd"] == 5_000
    assert step.attributes["interlock.price.version"] == "v1"
    assert step.attributes["interlock.route.reasons"] == ["alias support: large"]
    assert step.attributes["interlock.policy.version"] == "q1"
    assert failed.error == "upstream_error"
    assert (good.name, good.kind) == ("chat claude", "client")
    assert good.attributes["gen_ai.provider.name"] == "anthropic"
    assert good.attributes["gen_ai.usage.input_tokens"] == 15
    assert good.attributes["gen_ai.usage.output_tokens"] == 5
    assert good.attributes["gen_ai.usage.cache_read.input_tokens"] == 5
    assert good.attributes["gen_ai.response.time_to_first_chunk"] == 0.0003


@pytest.mark.requirement("OB-01")
def test_the_versions_of_the_conventions_are_tables():
    old, new, both = (
        of_call(record(settled()), settled(), words(each))[2].attributes for each in ("1.41", "latest", "both")
    )

    assert "gen_ai.usage.reasoning.output_tokens" not in old
    assert new["gen_ai.usage.reasoning.output_tokens"] == 2
    assert set(both) == set(old) | set(new)


@pytest.mark.requirement("OB-01")
def test_a_lone_call_that_came_with_a_traceparent_hangs_under_its_caller():
    event = settled(task="tsk_9", call="cal_9")
    caller = Caller("acme", task="tsk_9", step=1, trace=read_traceparent(PARENT))
    alone = Settled("cal_9", "model", "m", caller, "ok", T0, 5, deployment="p/m", attempts=event.attempts)
    step, *_ = of_call(record(alone, 1, "tsk_9"), alone, WORDS)

    assert step.trace_id == PARENT[3:35]
    assert step.parent_id == PARENT[36:52]
    assert traceparent("tsk_9", 1, PARENT) == f"00-{step.trace_id}-{step.span_id}-01"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00-0",
        PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        "ff" + PARENT[2:],
        PARENT.upper(),
        PARENT + "x",
    ],
)
def test_what_is_no_traceparent_is_not_taken_for_one(header: str):
    assert read_traceparent(header) == ""


@pytest.mark.requirement("OB-01")
def test_a_finished_task_is_the_span_around_its_steps_with_what_happened_between():
    caller = Caller("acme", user="u1", workflow="support", task="tsk_1", trace=PARENT)
    records = [
        record(Started("support", caller, Versions("c1")), 0),
        record(Noted("flow", "left the flow"), 1),
        record(settled(), 2),
        record(Finished("resolved", confidence=0.9, tier="small"), 3),
    ]
    whole = of_task(records, WORDS)

    assert whole is not None
    assert (whole.trace_id, whole.span_id, whole.parent_id) == (PARENT[3:35], span_id("tsk_1"), PARENT[36:52])
    assert (whole.name, whole.attributes["gen_ai.operation.name"]) == ("invoke_agent support", "invoke_agent")
    assert (whole.start_ns, whole.end_ns) == (T0, T0 + 3)
    assert whole.attributes["interlock.cost.nano_usd"] == 5_000
    assert whole.attributes["interlock.task.outcome"] == "resolved"
    assert [each.name for each in whole.events] == ["interlock.noted"]
    assert of_task(records[:-1], WORDS) is None


@pytest.mark.requirement("OB-01")
def test_content_leaves_only_where_it_is_asked_for():
    content = {
        "request": [{"role": "user", "text": "my secret"}],
        "response": {"text": "hello", "tool_calls": [], "finish": "stop"},
    }
    kept = of_call(record(settled(), content=content), settled(), WORDS)
    told = of_call(record(settled(), content=content), settled(), WORDS, content=True)

    assert "my secret" not in str(kept)
    assert "my secret" in told[2].attributes["gen_ai.input.messages"]
    assert "my secret" not in str(told[1].attributes)


@pytest.mark.requirement("OB-01")
def test_what_somebody_says_of_an_outcome_is_an_evaluation_of_the_tasks_span():
    seen = OutcomeSeen(success=False, source="user", note="wrong order")
    said = of_outcome(record(seen, 4), seen, WORDS, PARENT)

    assert (said.trace_id, said.span_id) == (PARENT[3:35], span_id("tsk_1"))
    assert said.attributes["gen_ai.evaluation.score.label"] == "failure"
    assert said.attributes["gen_ai.evaluation.explanation"] == "wrong order"
