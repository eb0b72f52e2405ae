"""Limits are enforced before the call, by reservation, whatever happens at once."""

import asyncio
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.budget import Budget, Limits, Spend
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, ChatResponse, Message, Part
from interlock.core.errors import DeadlineMissed, InterlockError, LimitReached, UpstreamCut, UpstreamRefused
from interlock.core.money import Price, Rates, Usage
from interlock.gateway import settle, shape
from interlock.gateway.settings import Settings, Tier, Workflow
from interlock.plugins.profiles import ModelProfile
from interlock.server import anthropic_read, openai_read
from tests.gateway.kit import Bench, Scripted, ask, deployment, price_of, reply

ONE = (Tier("small", (deployment("small"),)),)
PROFILE = ModelProfile(match=(), context_window=8_000, max_output=1_000)


@pytest.mark.requirement("GW-16")
@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (Limits(max_model_calls=0), "max_model_calls"),
        (Limits(max_input_tokens=5), "max_input_tokens"),
        (Limits(max_output_tokens=3), "max_output_tokens"),
        (Limits(max_cost_nano_usd=1_000), "max_cost_nano_usd"),
    ],
)
async def test_each_limit_refuses_the_call_before_it_is_sent_and_names_itself(limits, limit):
    bench = Bench(Scripted(), tiers=ONE)
    with pytest.raises(LimitReached) as refused:
        await bench.chat(ask(), budget=Budget(limits))
    assert refused.value.limit == limit
    assert bench.provider.sent == []
    assert (bench.event.status, bench.event.error) == ("refused", "limit_reached")
    assert bench.event.cost_nano_usd == 0


@pytest.mark.requirement("GW-16")
async def test_a_task_that_has_used_up_its_seconds_is_refused():
    bench = Bench(Scripted(), Settings(workflows={"support_reply": Workflow(limits=Limits(max_seconds=60))}))
    caller = Caller(tenant="acme", workflow="support_reply", task="tsk_outside")
    await bench.chat(caller=caller)
    bench.clock.advance(61)
    with pytest.raises(DeadlineMissed):
        await bench.chat(caller=caller)
    assert len(bench.provider.sent) == 1


@pytest.mark.requirement("GW-16")
async def test_the_calls_of_one_task_share_the_workflows_budget_though_their_caller_keeps_none():
    bench = Bench(Scripted(), Settings(workflows={"support_reply": Workflow(limits=Limits(max_model_calls=2))}))
    caller = Caller(tenant="acme", workflow="support_reply", task="tsk_outside")
    await bench.chat(caller=caller)
    await bench.chat(caller=caller)
    with pytest.raises(LimitReached):
        await bench.chat(caller=caller)
    await bench.chat(caller=structs.replace(caller, task="tsk_another"))
    steps = [event.caller.step for event in bench.ledger.settled[:3]]
    assert steps == sorted(set(steps)), "each has a place of its own in the log"


@pytest.mark.requirement("GW-16")
async def test_the_output_is_capped_by_what_the_budget_has_left_and_a_cut_answer_says_so():
    said = structs.replace(reply("small", output=50), finish="length")
    bench = Bench(Scripted(small=said), tiers=ONE)
    budget = Budget(Limits(max_output_tokens=120), Spend(output_tokens=70))
    await bench.chat(ask(max_output_tokens=700), budget=budget)
    assert bench.provider.sent[0][1].max_output_tokens == 50
    assert bench.event.degraded == "best_effort"
    assert any("cut at 50 output tokens" in each for each in bench.event.reasons)


async def test_an_answer_cut_by_the_callers_own_cap_or_the_models_is_not_degraded():
    said = structs.replace(reply("small", output=50), finish="length")
    bench = Bench(Scripted(small=said), tiers=ONE)
    await bench.chat(ask(max_output_tokens=50), budget=Budget(Limits(max_output_tokens=700)))
    await bench.chat(ask(), budget=Budget(Limits(max_output_tokens=9_000)))
    assert [event.degraded for event in bench.ledger.settled] == ["", ""]


async def test_a_caller_without_a_cap_gets_none_unless_a_limit_asks_for_it():
    bench = Bench(Scripted())
    await bench.chat()
    assert bench.provider.sent[0][1].max_output_tokens is None
    await bench.chat(budget=Budget(Limits(max_output_tokens=5_000)))
    assert bench.provider.sent[1][1].max_output_tokens == 1_000, "the model's own most"


@given(
    output_left=st.integers(0, 2_000),
    cost_left=st.integers(0, 2_000_000),
    wanted=st.one_of(st.none(), st.integers(1, 3_000)),
    input_tokens=st.integers(0, 9_000),
)
def test_what_is_asked_for_always_fits_what_is_left(output_left, cost_left, wanted, input_tokens):
    budget = Budget(Limits(max_output_tokens=output_left, max_cost_nano_usd=cost_left))
    price = price_of(deployment("small"), 0)
    try:
        fitted = shape.fit(ask(max_output_tokens=wanted), input_tokens, budget, price, PROFILE, 16)
    except LimitReached:
        return
    budget.reserve(fitted.ask)
    sent = fitted.request.max_output_tokens
    assert sent is not None
    assert sent <= min(output_left, PROFILE.max_output, wanted or PROFILE.max_output)
    assert shape.upper_cost(price, input_tokens, sent) <= cost_left


class Vendor:
    """Answers within what it was allowed, fails, or breaks off, by chance; counts what it sold."""

    def __init__(self, seed):
        self.luck = random.Random(seed)
        self.sold = Usage()
        self.calls = 0

    async def chat(self, target, request, deadline, key):
        for _ in range(self.luck.randrange(3)):
            await asyncio.sleep(0)
        fate = self.luck.random()
        if fate < 0.2:
            raise UpstreamRefused("status 500.", upstream_status=500)
        used = Usage(input=self.luck.randint(1, 8), output=self.luck.randint(1, request.max_output_tokens or 50))
        self.sold += used
        self.calls += 1
        if fate < 0.3:
            error = UpstreamCut("cut.")
            error.usage = used
            raise error
        return ChatResponse(model=target.model, text="an answer", usage=used)


@pytest.mark.requirement("GW-16")
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    calls=st.integers(1, 25),
    limits=st.builds(
        Limits,
        max_model_calls=st.integers(0, 12),
        max_input_tokens=st.integers(0, 400),
        max_output_tokens=st.integers(0, 400),
        max_cost_nano_usd=st.integers(0, 300_000),
    ),
)
def test_no_interleaving_of_concurrent_calls_exceeds_a_limit(seed, calls, limits):
    async def together():
        bench = Bench(Vendor(seed))
        budget = Budget(limits)
        requests = (bench.chat(ask(), budget=budget) for _ in range(calls))
        ends = await asyncio.gather(*requests, return_exceptions=True)
        return bench, budget, ends

    bench, budget, ends = asyncio.run(together())
    assert all(isinstance(end, InterlockError) or hasattr(end, "settled") for end in ends), ends
    spent, sold = budget.spent, bench.provider.sold
    assert spent.model_calls == bench.provider.calls <= limits.max_model_calls
    assert spent.input_tokens == sold.input_total <= limits.max_input_tokens
    assert spent.output_tokens == sold.output_total <= limits.max_output_tokens
    assert spent.cost_nano_usd <= limits.max_cost_nano_usd
    assert budget.committed == spent, "every reservation was given back"
    events = bench.ledger.settled
    assert len(events) == calls
    assert sum((settle.spend_of(event) for event in events), Spend()) == spent, "the log rebuilds the budget"


def read_by(face: Any, body: dict[str, Any]) -> ChatRequest:
    return face.read(msgspec.json.encode({"model": "support", **body}), {}, tenant="acme")


LONG = "what somebody once wrote about parcels " * 400
SEARCHED = {"type": "search_result", "source": "x", "title": "y", "content": [{"type": "text", "text": LONG}]}
PICTURE = {"type": "computer_screenshot", "data": "iVBORw0KGgo" * 20_000}
THOUGHT = {"role": "assistant", "content": "Yes.", "reasoning_content": LONG}
HI = {"role": "user", "content": "hi"}


@pytest.mark.requirement("GW-16")
@pytest.mark.parametrize(
    ("face", "body"),
    [
        (anthropic_read.RequestReader(), {"max_tokens": 20, "messages": [{"role": "user", "content": [SEARCHED]}]}),
        (openai_read.RequestReader(), {"max_tokens": 20, "messages": [HI, THOUGHT, HI]}),
    ],
    ids=["a block that only its own dialect knows", "earlier thoughts"],
)
async def test_what_is_sent_counts_against_the_budget_whatever_it_stands_in(face: Any, body: dict[str, Any]):
    bench = Bench(Scripted(), Settings(degradation=()))
    with pytest.raises(LimitReached, match="max_input_tokens"):
        await bench.chat(read_by(face, body), budget=Budget(Limits(max_input_tokens=2_000)))
    assert not bench.provider.sent


async def test_a_picture_in_a_block_that_nobody_knows_counts_as_a_picture():
    body = {"max_tokens": 20, "messages": [{"role": "user", "content": [PICTURE, {"type": "text", "text": "What?"}]}]}
    bench = Bench(Scripted())
    await bench.chat(read_by(anthropic_read.RequestReader(), body), budget=Budget(Limits(max_input_tokens=4_000)))
    assert bench.provider.sent


@pytest.mark.requirement("GW-16")
async def test_sound_is_held_back_at_the_price_of_sound():
    rates = Rates(input=10**9, output=10**9, reasoning=10**9, input_audio=100 * 10**9, output_audio=10**9)
    price = Price("fake/small", rates, "test", "", "p1")
    sound = (Part("audio", data="UklGR" * 400, media_type="audio/wav"),)
    used = ChatResponse("small", "Heard.", usage=Usage(input=2, input_audio=1_000, output=2))
    bench = Bench(Scripted(small=used), price_of=lambda *_: price)
    request = ChatRequest("support", (Message("user", sound),), max_output_tokens=20)
    reply = await bench.chat(request)
    assert reply.settled.cost_nano_usd <= reply.settled.reserved_nano_usd
    with pytest.raises(LimitReached, match="max_cost_nano_usd"):
        await bench.chat(request, budget=Budget(Limits(max_cost_nano_usd=reply.settled.cost_nano_usd // 2)))
    assert len(bench.provider.sent) == 1
