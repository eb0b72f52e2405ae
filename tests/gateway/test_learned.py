"""A learned route steers where a call starts and whether its answer stands; the cap bounds what reaches premium."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.budget import Budget, Limits
from interlock.core.caller import Caller
from interlock.core.routes import Head, LearnedRoute, Stage, TaskRow
from interlock.gateway.cap import BURST, Cap
from interlock.gateway.checks import Check, Learned, PremiumCap
from interlock.gateway.settings import Settings, Workflow
from interlock.plugins.verifiers import arithmetic
from tests.gateway.kit import Bench, Scripted, ask, reply, unsure

COSTS = {"small": 100, "premium": 10_000}


def route(before, after=None, worth=100_000, vector=False):
    """A route between small and premium; `before` and `after` are heads by model."""
    return LearnedRoute(
        workflow="support_reply",
        models=("small", "premium"),
        costs_nano_usd=COSTS,
        worth_nano_usd=worth,
        overall={"small": 0.6, "premium": 0.9},
        table={"refund": {"small": TaskRow(10, 3.0, 0.4)}},
        strengths={"small": 5.0, "premium": 5.0},
        before=Stage(before, before if vector else {}),
        after={} if after is None else {"small": Stage(after, signals_within={"arithmetic.score": (0.0, 1.0)})},
        verifiers=("arithmetic",),
    )


def by_task(small, premium=0.9):
    """Chances that differ by task type alone."""
    return {"small": Head(0.95, {task: chance - 0.95 for task, chance in small.items()}), "premium": Head(premium)}


def world(made, *, cap=None, checks=(), provider=None, rules=(), **parts):
    flow = Workflow(learned=Learned(made, "abc123def456") if made else None, checks=checks)
    premium = None if cap is None else PremiumCap(cap)
    return Bench(
        provider or Scripted(), Settings(rules=rules, premium=premium, workflows={"support_reply": flow}), **parts
    )


CHECKS = (Check("arithmetic", arithmetic.build(arithmetic.Settings()), "answer"),)


@pytest.mark.requirement("GW-15")
async def test_the_task_decides_which_model_is_asked_first_and_the_version_stands_on_the_event():
    bench = world(route(by_task({"refund": 0.4})))

    await bench.chat(ask(facts={"task_type": "refund"}))
    await bench.chat(ask(facts={"task_type": "greeting"}))

    assert bench.provider.models == ["premium", "small"]
    [reason] = [each for each in bench.ledger.settled[0].reasons if each.startswith("learned route")]
    assert reason.endswith("(chances: small 0.40, premium 0.90), version abc123def456")


@pytest.mark.requirement("GW-15")
async def test_a_dearer_model_is_asked_only_where_the_gain_is_worth_more_than_it_costs():
    cheap, dear = route(by_task({"refund": 0.85}), worth=100_000), route(by_task({"refund": 0.85}), worth=400_000)
    for made, wanted in ((cheap, "small"), (dear, "premium")):
        bench = world(made)
        await bench.chat(ask(facts={"task_type": "refund"}))
        assert bench.provider.models == [wanted]


@pytest.mark.requirement("GW-14", "GW-15")
async def test_the_fitted_combination_of_checks_sends_an_answer_up_and_is_its_confidence():
    after = {"small": Head(0.2, signals={"arithmetic.score": 0.7}), "premium": Head(0.9)}
    provider = Scripted(small=[reply("small", "2 + 2 = 5"), reply("small", "2 + 2 = 4")])
    bench = world(route(by_task({}), after), checks=CHECKS, provider=provider)

    await bench.chat()
    await bench.chat()

    first, second = bench.ledger.settled
    assert bench.provider.models == ["small", "premium", "small"]
    assert first.escalations[0].reason == (
        "learned route: the answer is right with 0.20 by its checks, premium would be with 0.90, version abc123def456"
    )
    assert second.escalations == ()
    assert second.confidence == pytest.approx(0.9)


@pytest.mark.requirement("GW-15")
async def test_a_rule_of_the_files_goes_before_the_learned_route():
    bench = world(route(by_task({})), rules=(unsure("mid"),), provider=Scripted(small=reply("small", confidence=0.1)))
    await bench.chat()
    assert bench.provider.models == ["small", "mid"]


@pytest.mark.requirement("GW-15")
async def test_the_vector_of_the_prompt_decides_where_it_comes_in_time_and_is_done_without_where_not():
    heads = {"small": Head(0.3), "premium": Head(0.9)}
    full = {"small": Head(0.3, vector=(0.6, 0.0)), "premium": Head(0.9, vector=(0.0, 0.0))}
    made = structs.replace(route(heads), before=Stage(heads, full))

    async def at_once(prompt):
        return [1.0, 0.0]

    async def never(prompt):
        await asyncio.Event().wait()

    async def broken(prompt):
        raise RuntimeError("no model on this machine")

    near, far, lost = (world(made, prompt_vector=each) for each in (at_once, never, broken))
    for bench in (near, far, lost):
        await bench.chat()

    assert near.provider.models == ["small"]
    assert far.provider.models == ["premium"]
    assert lost.provider.models == ["premium"]
    assert any("without the prompt's vector" in each for each in far.event.reasons)
    assert "learned route without the prompt's vector: no model on this machine" in lost.event.reasons


@pytest.mark.requirement("GW-15")
async def test_premium_calls_stay_under_their_cap_however_many_would_gain_from_them():
    bench = world(route(by_task({}, 0.99) | {"small": Head(0.1)}), cap=0.15)
    for _ in range(200):
        await bench.chat()
    premium = bench.provider.models.count("premium")
    assert 200 * 0.15 - BURST <= premium <= 200 * 0.15 + BURST


@pytest.mark.requirement("GW-15")
async def test_escalations_count_against_the_cap_too_and_the_refusal_stands_on_the_event():
    low = Scripted(small=reply("small", confidence=0.1))
    bench = world(None, cap=0.1, rules=(unsure("premium"),), provider=low)
    for _ in range(100):
        await bench.chat()
    assert bench.provider.models.count("premium") <= 100 * 0.1 + 1
    refused = [each for each in bench.ledger.settled if not each.escalations]
    assert any("premium_share_cap 10% is used up" in reason for reason in refused[-1].reasons)


@pytest.mark.requirement("GW-14")
async def test_an_escalated_call_tells_how_often_its_workflow_escalates():
    answers = [reply("small", confidence=0.1 if place % 4 == 3 else 0.9) for place in range(8)]
    bench = world(None, rules=(unsure("mid"),), provider=Scripted(small=answers))
    for _ in range(8):
        await bench.chat()
    told = [reason for event in bench.ledger.settled for reason in event.reasons if "escalation rate" in reason]
    assert told == [
        "escalation rate of support_reply: 25% of the last 4 answers",
        "escalation rate of support_reply: 25% of the last 8 answers",
    ]


@pytest.mark.requirement("GW-15")
async def test_each_tenant_has_a_cap_of_its_own():
    low = Scripted(small=reply("small", confidence=0.1))
    bench = world(None, cap=0.01, rules=(unsure("premium"),), provider=low)
    for tenant in ("a", "a", "b"):
        await bench.chat(caller=Caller(tenant=tenant, workflow="support_reply"))
    assert bench.provider.models == ["small", "premium", "small", "small", "premium"]


@pytest.mark.requirement("GW-15")
async def test_a_premium_call_that_a_limit_forbade_is_not_counted():
    bench = world(None, cap=0.01, rules=(unsure("premium"),), provider=Scripted(small=reply("small", confidence=0.1)))
    await bench.chat(budget=Budget(Limits(max_model_calls=1)))
    await bench.chat()
    assert bench.provider.models == ["small", "small", "premium"]


# --- The controller -------------------------------------------------------------------------------------------------

shares = st.floats(0.01, 0.9)


@pytest.mark.requirement("GW-15")
@given(share=shares, gains=st.lists(st.floats(0, 3), max_size=400))
def test_no_window_of_calls_has_more_premium_ones_by_choice_than_the_cap_and_a_burst(share, gains):
    cap, taken = Cap(share), []
    for gain in gains:
        cap = cap.arrived()
        choose = cap.open and gain > 1 + cap.price
        taken.append(choose)
        cap = cap.taken() if choose else cap

    for start in range(0, len(taken), 37):
        for end in range(start, len(taken), 53):
            assert sum(taken[start:end]) <= share * (end - start) + BURST + 1e-6


@given(share=shares, forced=st.lists(st.booleans(), max_size=200))
def test_premium_calls_that_had_to_be_are_paid_back_by_later_ones(share, forced):
    cap = Cap(share)
    for must in forced:
        cap = cap.arrived()
        cap = cap.taken() if must else cap
    owed = -cap.credit
    calls = 0
    while not cap.open and calls < 100_000:
        cap, calls = cap.arrived(), calls + 1
    assert cap.open
    assert calls >= (owed + 1) / share - 1


@given(share=shares, arrivals=st.integers(0, 2_000))
def test_the_price_is_never_negative_and_falls_while_credit_is_plenty(share, arrivals):
    cap = Cap(share, credit=BURST, price=1.0)
    for _ in range(arrivals):
        cap = cap.arrived()
    assert 0.0 <= cap.price <= 1.0
    assert cap.credit <= BURST


def test_under_a_steady_load_the_price_leaves_the_credit_to_the_calls_that_gain_most():
    cap, high, low = Cap(0.1), 0, 0
    for place in range(20_000):
        gain = 3.0 if place % 12 == 0 else 1.2  # one call in twelve gains much more
        cap = cap.arrived()
        if cap.open and gain > 1 + cap.price:
            cap = cap.taken()
            high, low = high + (gain > 2), low + (gain < 2)
    assert (high + low) / 20_000 <= 0.1 + BURST / 20_000
    assert high / (20_000 / 12) > 0.95
