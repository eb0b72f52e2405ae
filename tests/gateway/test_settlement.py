"""Every call settles exactly once, whatever way it ends, with what the vendor will bill."""

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.budget import Budget, Limits
from interlock.core.caller import Caller
from interlock.core.chat import ChatResponse, Chunk
from interlock.core.errors import (
    BadReply,
    InterlockError,
    LedgerFull,
    RateLimited,
    Shed,
    UpstreamCut,
    UpstreamRefused,
    UpstreamRejected,
    UpstreamStalled,
)
from interlock.core.money import Usage
from interlock.gateway.settings import Admission, Caching, Settings, Tier, Workflow
from interlock.plugins.caches.front import FrontedCache
from interlock.plugins.caches.memory import MemoryCache
from interlock.testing.clock import FakeClock
from tests.gateway.kit import Bench, Scripted, ask, deployment, reply, unsure

ONE = (Tier("small", (deployment("small"),)),)

OUTCOMES = {
    "ok": lambda: reply("small", confidence=0.9),
    "unsure": lambda: reply("small", confidence=0.1),
    "refused": lambda: UpstreamRefused("status 500.", upstream_status=500),
    "limited": lambda: RateLimited("slow down.", upstream_status=429, retry_after_s=1.0),
    "rejected": lambda: UpstreamRejected("bad.", upstream_status=400),
    "garbage": lambda: BadReply("garbage."),
    "cut": lambda: UpstreamCut("cut."),
    "stalled": lambda: UpstreamStalled("stalled."),
    "broken": lambda: RuntimeError("a bug in a plug-in"),
    "gone": asyncio.CancelledError,
}


@settings(max_examples=150, deadline=None)
@given(
    small=st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=1, max_size=5),
    mid=st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=1, max_size=5),
    streamed=st.booleans(),
    limits=st.builds(Limits, max_model_calls=st.one_of(st.none(), st.integers(0, 3))),
    stop_after=st.one_of(st.none(), st.integers(0, 2)),
)
def test_one_event_for_every_script_of_outcomes(small, mid, streamed, limits, stop_after):
    script = Scripted(
        small=[OUTCOMES[each]() for each in small],
        small2=[OUTCOMES[each]() for each in mid],
        mid=[OUTCOMES[each]() for each in mid],
        premium=[OUTCOMES["refused"]()],
    )
    budget = Budget(limits)

    async def run():
        bench = Bench(script, Settings(rules=(unsure("mid"),)))
        with contextlib.suppress(InterlockError, asyncio.CancelledError):
            if not streamed:
                await bench.chat(budget=budget)
                return bench
            pieces = bench.gateway.stream(Caller(tenant="acme"), ask(stream=True), budget=budget)
            async with contextlib.aclosing(pieces):
                place = 0
                async for _ in pieces:
                    if place == stop_after:
                        break
                    place += 1
        return bench

    bench = asyncio.run(run())
    event = bench.event
    assert len(event.attempts) == len(script.sent)
    assert event.cost_nano_usd == sum(each.cost_nano_usd for each in event.attempts)
    assert event.usage == sum((each.usage for each in event.attempts), Usage())
    assert budget.committed == budget.spent, "every reservation was given back"
    assert (event.status == "ok") == bool(event.deployment)


async def test_a_cancelled_call_is_settled_as_its_client_gone_with_what_it_had_cost():
    class Hanging(Scripted):
        async def chat(self, target, request, deadline, key):
            waiting.set()
            await asyncio.get_running_loop().create_future()
            raise AssertionError

    waiting = asyncio.Event()
    bench = Bench(Hanging())
    task = asyncio.create_task(bench.chat())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.event.status == bench.event.attempts[0].status == "client_gone"
    assert bench.event.usage.input > 0
    assert any("estimated" in each for each in bench.event.reasons)


async def test_a_stream_that_its_client_leaves_is_cut_off_upstream_and_what_was_relayed_is_counted():
    bench = Bench(Scripted(small=reply("small", text="one two three four five six")))
    pieces = bench.gateway.stream(Caller(tenant="acme"), ask(stream=True))
    taken = [await anext(pieces) for _ in range(3)]
    await pieces.aclose()
    assert bench.provider.closed == 1
    assert bench.event.status == "client_gone"
    assert bench.event.usage.output >= len(taken), "estimated from the text that went out"
    assert bench.ledger.contents[0] is None, "the workflow stores no prompts without a redactor"


async def test_a_billed_answer_that_was_garbage_is_counted_with_the_vendors_own_figures():
    bad = BadReply("garbage.")
    bad.usage = Usage(input=70, output=9)
    bench = Bench(Scripted(small=[bad, reply("small")]), tiers=ONE)
    await bench.chat()
    first, second = bench.event.attempts
    assert (first.status, first.usage) == ("error", Usage(input=70, output=9))
    assert bench.event.cost_nano_usd == first.cost_nano_usd + second.cost_nano_usd > second.cost_nano_usd > 0


async def test_a_stream_that_breaks_is_an_error_and_never_a_silent_end():
    bench = Bench(Scripted(small=reply("small", text="one two !cut three")))
    pieces = bench.gateway.stream(Caller(tenant="acme"), ask(stream=True))
    assert [getattr(await anext(pieces), "text", None) for _ in range(2)] == ["one ", "two "]
    with pytest.raises(UpstreamCut):
        await anext(pieces)
    assert bench.provider.models == ["small"], "after the first piece no other model is asked"
    assert bench.event.status == "error"
    assert bench.event.usage.output > 0


async def test_a_stream_without_a_finish_is_a_cut():
    class Ending(Scripted):
        async def stream(self, target, request, deadline, key):
            yield Chunk(text="one")

    bench = Bench(Ending())
    with pytest.raises(UpstreamCut, match="without a finish"):
        await bench.streamed()
    assert bench.event.error == "upstream_cut"


async def test_usage_that_a_vendor_does_not_name_is_estimated_and_marked():
    bench = Bench(Scripted(small=ChatResponse(model="small", text="an answer of some words")))
    await bench.chat()
    assert bench.event.usage.output > 0
    assert any("named no usage" in each for each in bench.event.reasons)


async def test_a_shed_call_settles_as_shed():
    settings = Settings(admission=Admission(max_concurrent=0, max_waiting=0))
    bench = Bench(Scripted(), settings)
    with pytest.raises(Shed) as shed:
        await bench.chat()
    assert shed.value.retry_after_s == 1.0
    assert bench.event.status == "shed"
    assert bench.provider.sent == []


async def test_a_call_that_cannot_be_accounted_for_is_not_made():
    bench = Bench(Scripted(), room=0)
    with pytest.raises(LedgerFull):
        await bench.chat()
    assert bench.provider.sent == []


async def test_the_journal_holds_the_upper_estimate_while_a_call_is_under_way():
    class Peeking(Scripted):
        async def chat(self, target, request, deadline, key):
            held.extend(bench.ledger.open_slots.values())
            return await super().chat(target, request, deadline, key)

    held = []
    bench = Bench(Peeking())
    await bench.chat()
    (crashed,) = held
    assert crashed.status == "crashed"
    assert crashed.caller == bench.event.caller
    assert crashed.cost_nano_usd >= bench.event.cost_nano_usd
    assert crashed.price == bench.event.attempts[0].price
    assert not crashed.simulated


@pytest.mark.requirement("GW-19")
async def test_a_cache_hit_settles_with_what_it_saved():
    bench = Bench(Scripted(), Settings(caching=Caching(exact=True)), answers=FrontedCache(FakeClock(), MemoryCache()))
    first = await bench.chat()
    second = await bench.chat()
    assert second.response == first.response
    assert (second.settled.status, second.settled.cache) == ("cache_hit", "exact")
    assert second.settled.cost_nano_usd == 0
    assert second.settled.saved_nano_usd == first.settled.cost_nano_usd


@pytest.mark.requirement("SG-08")
@pytest.mark.parametrize(("store", "kept"), [("none", None), ("redacted", "[redacted]"), ("full", "Where is it?")])
async def test_prompts_are_stored_as_the_workflow_says(store, kept):
    settings = Settings(anywhere=Workflow(store_prompts=store))
    bench = Bench(Scripted(), settings, redact=lambda text: "[redacted]")
    await bench.chat(ask("Where is it?"))
    (content,) = bench.ledger.contents
    assert (content and content["request"][0]["text"]) == kept
    assert (content and content["response"]["text"]) == (kept if kept != "Where is it?" else "an answer")


async def test_a_tasks_answer_is_always_kept_since_its_state_is_folded_from_it():
    bench = Bench(Scripted(), Settings(anywhere=Workflow(store_prompts="none")))
    await bench.chat(caller=Caller(tenant="acme", task="tsk_1", step=4))
    (content,) = bench.ledger.contents
    assert content is not None
    assert set(content) == {"response"}
    assert content["response"]["text"] == "an answer"
    assert (bench.event.caller.task, bench.event.caller.step) == ("tsk_1", 4)
