"""Is the answer good enough, and what happens when it is not."""

import msgspec
import pytest

from interlock.config.jsonschema import Validator
from interlock.core.budget import Budget, Limits
from interlock.core.chat import OutputSchema
from interlock.core.errors import OutputInvalid, UpstreamRefused
from interlock.gateway import escalate
from interlock.gateway.settings import Settings, Workflow
from tests.gateway.kit import Bench, Scripted, ask, reply, rule, unsure

SCHEMA = OutputSchema(
    "Answer",
    {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "confidence": {"type": "number"}},
        "required": ["answer"],
        "additionalProperties": False,
    },
)
VALID = '{"answer":"tomorrow"}'


def checked(provider, settings=None, **parts):
    return Bench(provider, settings, validator_of=lambda schema: Validator(schema).faults, **parts)


@pytest.mark.requirement("GW-13")
async def test_a_condition_over_the_callers_facts_picks_the_tier_before_any_model_is_asked():
    rules = (rule("account_tier", lambda facts: facts.get("account_tier") == "enterprise", "premium"),)
    bench = Bench(Scripted(), Settings(rules=rules))
    got = await bench.chat(ask(facts={"account_tier": "enterprise"}))
    assert bench.provider.models == ["premium"]
    assert got.settled.tier == "premium"
    assert any("account_tier=enterprise" in each for each in bench.event.reasons)


async def test_the_first_of_several_rules_that_hold_counts_and_the_answer_sets_none_of_them_off_again():
    rules = (rule("a", lambda facts: True, "mid"), rule("b", lambda facts: True, "premium"))
    bench = Bench(Scripted(), Settings(rules=rules))
    await bench.chat()
    assert bench.provider.models == ["mid"]


@pytest.mark.requirement("GW-14")
async def test_no_rule_sends_a_call_in_circles():
    low = {name: reply(name, confidence=0.1) for name in ("small", "mid", "premium")}
    bench = Bench(Scripted(**low), Settings(rules=(unsure("mid"), unsure("premium", below=0.5))))
    await bench.chat()
    assert bench.provider.models == ["small", "mid", "premium"]
    assert any(each.startswith("accepted although") for each in bench.event.reasons)


@pytest.mark.requirement("GW-14")
@pytest.mark.parametrize(
    ("response", "confidence"),
    [
        (reply("small", confidence=0.3), 0.3),
        (reply("small", text='{"answer":"a","confidence":0.25}'), 0.25),
        (msgspec.structs.replace(reply("small", text='{"answer":"a"}'), mean_logprob=-1.0), 0.36787944117144233),
        (reply("small", text='{"answer":"a"}'), None),
    ],
    ids=["the provider's", "self-reported", "token probability", "unknown"],
)
async def test_confidence_comes_from_the_best_source_there_is(response, confidence):
    bench = checked(Scripted(small=response, mid=reply("mid", text=VALID)), Settings(rules=(unsure("mid"),)))
    request = ask(output_schema=SCHEMA) if response.text.startswith("{") else ask()
    got = await bench.chat(request)
    if confidence is None:
        assert bench.provider.models == ["small"], "an unknown confidence escalates nothing"
        assert any("confidence is unknown" in each for each in bench.event.reasons)
    else:
        assert bench.provider.models == ["small", "mid"]
        assert f"confidence={confidence}" in got.settled.escalations[0].reason


@pytest.mark.requirement("GW-31")
async def test_an_answer_that_breaks_its_schema_gets_one_strict_repair():
    bench = checked(Scripted(small=[reply("small", text='{"answer":7}'), reply("small", text=VALID)]))
    got = await bench.chat(ask(output_schema=SCHEMA))
    assert got.response.text == VALID
    assert bench.provider.models == ["small", "small"]
    repair = bench.provider.sent[1][1]
    assert "does not satisfy" in repair.messages[-1].text
    assert '{"answer":7}' in repair.messages[-2].text
    assert any(each.startswith("schema_violation") for each in bench.event.reasons)
    assert len(set(bench.provider.keys)) == 2, "the repair is another request than the first"


@pytest.mark.requirement("GW-31", "GW-14")
async def test_a_schema_broken_twice_escalates_to_the_next_tier():
    bench = checked(Scripted(small=reply("small", text="no json"), mid=reply("mid", text=VALID)))
    got = await bench.chat(ask(output_schema=SCHEMA))
    assert bench.provider.models == ["small", "small", "mid"]
    assert got.response.text == VALID
    assert "schema_violation" in got.settled.escalations[0].reason


@pytest.mark.requirement("GW-31")
async def test_a_malformed_output_never_reaches_the_caller_as_success():
    bench = checked(Scripted(**{name: reply(name, text="null") for name in ("small", "mid", "premium")}))
    with pytest.raises(OutputInvalid):
        await bench.chat(ask(output_schema=SCHEMA))
    assert bench.provider.models == ["small", "small", "mid", "mid", "premium", "premium"]
    assert bench.event.status == "error"
    assert bench.event.cost_nano_usd > 0, "what the vendors billed is on the event all the same"


async def test_a_tool_call_or_a_refusal_is_not_held_against_the_schema():
    said = msgspec.structs.replace(reply("small", text=""), refusal="I cannot help with that.")
    bench = checked(Scripted(small=said))
    assert (await bench.chat(ask(output_schema=SCHEMA))).response.refusal


@pytest.mark.requirement("GW-17", "GW-14")
async def test_when_the_next_tier_fails_the_smaller_models_answer_stands_and_says_so():
    script = Scripted(small=reply("small", confidence=0.2), mid=UpstreamRefused("status 500.", upstream_status=500))
    bench = Bench(script, Settings(rules=(unsure("mid"),)))
    got = await bench.chat()
    assert got.response.model == "small"
    assert bench.event.degraded == "smaller_model"
    assert bench.event.escalations == ()


@pytest.mark.requirement("GW-16", "GW-17")
async def test_an_escalation_that_the_budget_has_no_room_for_is_not_made():
    bench = Bench(Scripted(small=reply("small", confidence=0.2)), Settings(rules=(unsure("mid"),)))
    await bench.chat(budget=Budget(Limits(max_model_calls=1)))
    assert bench.provider.models == ["small"]
    assert bench.event.degraded == "smaller_model"


async def test_the_answers_of_a_self_judging_dialect_are_left_alone():
    bench = Bench(
        Scripted(small=reply("small", confidence=0.1)),
        Settings(rules=(unsure("mid"),), self_judging=frozenset({"fake"})),
    )
    await bench.chat()
    assert bench.provider.models == ["small"]


async def test_the_raw_bytes_of_the_caller_survive_unless_the_request_changes():
    bench = checked(Scripted(small=[reply("small", text="x"), reply("small", text=VALID)]))
    await bench.chat(ask(output_schema=SCHEMA, raw=b"{}", raw_dialect="fake"))
    assert [request.raw for _, request in bench.provider.sent] == [b"{}", b""]


def test_an_optional_escalation_is_skipped_only_when_the_promise_is_at_risk():
    assert escalate.within_slo(3_000, 4_000, None, 1.0, 0.05) == "", "no promise, nothing at risk"
    assert escalate.within_slo(3_000, 4_000, 6_000, 0.01, 0.05) == "", "there is still room for slow calls"
    assert escalate.within_slo(1_000, 4_000, 6_000, 0.20, 0.05) == "", "this one would not be slow"
    assert "p95_latency_slo_ms 6000 at risk" in escalate.within_slo(3_000, 4_000, 6_000, 0.20, 0.05)


async def test_the_latency_promise_is_enforced():
    class Slow(Scripted):
        async def chat(self, target, request, deadline, key):
            bench.clock.advance(4.0)
            return await super().chat(target, request, deadline, key)

    settings = Settings(rules=(unsure("mid"),), workflows={"support_reply": Workflow(p95_latency_slo_ms=6_000)})
    bench = Bench(Slow(small=reply("small", confidence=0.2)), settings)
    for _ in range(12):
        await bench.chat()
    escalated = [bool(event.escalations) for event in bench.ledger.settled]
    assert escalated[0], "there is room for slow calls at first"
    assert not escalated[-1], "and none once 5 % of them were slow"
    assert any("p95_latency_slo_ms 6000 at risk" in each for each in bench.ledger.last.reasons)
