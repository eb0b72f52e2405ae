"""The ladder: each rung is forced, in the declared order, and shows on the event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.budget import Budget, Limits, Spend
from interlock.core.chat import ChatRequest, Message, ToolCall
from interlock.core.errors import Exhausted, LimitReached, UpstreamRefused
from interlock.gateway import degrade, tokens
from interlock.gateway.settings import Caching, Settings
from interlock.plugins.caches.front import FrontedCache
from interlock.plugins.caches.memory import MemoryCache
from interlock.plugins.profiles import ModelProfile
from interlock.testing.clock import FakeClock
from tests.gateway.kit import Bench, Scripted, ask, reply, rule

DOWN = UpstreamRefused("status 503.", upstream_status=503)
PREMIUM = (rule("vip", lambda facts: bool(facts.get("vip")), "premium"),)
LONG = (
    Message("system", "Be brief."),
    *(Message("user" if at % 2 == 0 else "assistant", f"turn {at} " + "word " * 200) for at in range(10)),
    Message("user", "And now?"),
)


@pytest.mark.requirement("GW-17")
async def test_smaller_model_when_the_tier_and_all_above_are_down():
    bench = Bench(Scripted(premium=DOWN), Settings(rules=PREMIUM))
    got = await bench.chat(ask(facts={"vip": True}))
    assert got.response.model == "mid"
    assert bench.event.degraded == "smaller_model"
    assert any(each.startswith("degraded to smaller_model") for each in bench.event.reasons)


@pytest.mark.requirement("GW-17", "GW-16")
async def test_smaller_model_when_the_budget_does_not_pay_for_the_chosen_one():
    bench = Bench(Scripted(), Settings(rules=PREMIUM))
    await bench.chat(ask(facts={"vip": True}, max_output_tokens=100), budget=Budget(Limits(max_cost_nano_usd=600_000)))
    assert bench.provider.models == ["mid"]
    assert bench.event.degraded == "smaller_model"


@pytest.mark.requirement("GW-17")
async def test_shorter_context_when_the_input_is_over_its_limit():
    bench = Bench(Scripted())
    await bench.chat(ChatRequest("support", LONG), budget=Budget(Limits(max_input_tokens=1_500)))
    sent = bench.provider.sent[0][1]
    assert bench.event.degraded == "shorter_context"
    assert (sent.messages[0], sent.messages[-1]) == (LONG[0], LONG[-1])
    assert 2 < len(sent.messages) < len(LONG)
    assert sent.messages[1:-1] == LONG[-len(sent.messages) + 1 : -1], "the newest turns are the ones that stay"


@pytest.mark.requirement("GW-17")
async def test_shorter_context_when_the_models_window_is_too_small():
    bench = Bench(Scripted())
    turns = (*LONG[:-1] * 6, LONG[-1])
    await bench.chat(ChatRequest("support", turns))
    assert bench.event.degraded == "shorter_context"
    assert len(bench.provider.sent[0][1].messages) < len(turns)
    assert any("context_window" in each for each in bench.event.reasons)


@pytest.mark.requirement("GW-06")
async def test_what_no_window_holds_is_the_requests_own_fault_in_the_code_that_clients_know():
    bench = Bench(Scripted())
    with pytest.raises(LimitReached, match=r"prompt is too long: \d+ tokens > 8000 maximum") as told:
        await bench.chat(ChatRequest("support", (Message("user", "word " * 90_000),)))
    assert (told.value.status, told.value.code) == (400, "context_length_exceeded")
    assert bench.event.limit == "context_window"


async def test_a_window_that_is_only_assumed_refuses_nothing():
    assumed = ModelProfile(match=(), context_window=10, max_output=10, assumed=True)
    bench = Bench(Scripted(), profile_of=lambda _: assumed)
    await bench.chat(ChatRequest("support", LONG, max_output_tokens=900))
    assert bench.provider.sent[0][1].max_output_tokens == 900
    assert bench.event.degraded == ""


@pytest.mark.requirement("GW-17")
async def test_cached_answer_when_everything_is_down():
    settings = Settings(caching=Caching(exact=True, exact_ttl_s=60.0))
    bench = Bench(Scripted(), settings, answers=FrontedCache(FakeClock(), MemoryCache()))
    first = await bench.chat()
    bench.clock.advance(3_600)
    bench.provider.script = {name: [DOWN] for name in ("small", "small2", "mid", "premium")}
    got = await bench.chat()
    assert got.response == first.response
    assert (got.settled.degraded, got.settled.cache, got.settled.status) == ("cached_answer", "exact", "cache_hit")
    bench.clock.advance(90_000)
    with pytest.raises(Exhausted):
        await bench.chat()


@pytest.mark.requirement("GW-17")
async def test_best_effort_when_only_part_of_the_answer_could_be_paid_for():
    said = reply("small", output=20)
    bench = Bench(Scripted(small=structs.replace(said, finish="length")))
    await bench.chat(ask(max_output_tokens=500), budget=Budget(Limits(max_output_tokens=20)))
    assert bench.event.degraded == "best_effort"


@pytest.mark.requirement("GW-17")
async def test_without_a_rung_that_helps_the_cause_itself_is_raised():
    bench = Bench(Scripted())
    with pytest.raises(LimitReached) as refused:
        await bench.chat(budget=Budget(Limits(max_model_calls=1), Spend(model_calls=1)))
    assert refused.value.limit == "max_model_calls"
    assert any("would not help" in each for each in bench.event.reasons), "each rung says why it was passed over"


@pytest.mark.requirement("GW-17")
async def test_the_declared_order_decides():
    settings = Settings(rules=PREMIUM, degradation=("cached_answer",))
    bench = Bench(Scripted(premium=DOWN), settings)
    with pytest.raises(UpstreamRefused):
        await bench.chat(ask(facts={"vip": True}))
    assert bench.provider.models == ["premium"] * 3, "smaller_model was not declared"


async def test_a_stream_degrades_too_before_its_first_piece():
    bench = Bench(Scripted(premium=DOWN), Settings(rules=PREMIUM))
    *_, last = await bench.streamed(ask(stream=True, facts={"vip": True}))
    assert last.settled.degraded == "smaller_model"


MESSAGES = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(["system", "user", "assistant", "tool"]),
        content=st.text(max_size=60),
        tool_calls=st.just(()),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.requirement("GW-17")
@given(messages=MESSAGES, allowed=st.integers(0, 300))
def test_a_shortened_request_fits_and_keeps_what_matters(messages, allowed):
    request = ChatRequest("m", tuple(messages))
    short = degrade.shortened(request, allowed)
    if short is None:
        return
    assert tokens.of_request(short) <= allowed
    assert len(short.messages) < len(messages)
    systems = [each for each in messages if each.role == "system"]
    assert [each for each in short.messages if each.role == "system"] == systems
    last = max((at for at, each in enumerate(messages) if each.role == "user"), default=len(messages) - 1)
    assert list(short.messages[-len(messages[last:]) :]) == messages[last:]


def test_a_tools_answer_goes_with_its_call():
    call = Message("assistant", "", tool_calls=(ToolCall("c1", "f"),))
    turns = (
        Message("user", "word " * 50),
        call,
        Message("tool", "word " * 50, tool_call_id="c1"),
        Message("user", "now?"),
    )
    short = degrade.shortened(ChatRequest("m", turns), 60)
    assert short is not None
    assert short.messages == turns[-1:]
