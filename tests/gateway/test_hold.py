"""A call at the limits of its key, tenant and user: held before it is sent, settled with its event on every way out."""

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, Message
from interlock.core.errors import (
    ConnectFailed,
    InterlockError,
    LimitUnknown,
    NotPermitted,
    QuotaReached,
    UpstreamCut,
    UpstreamRefused,
)
from interlock.core.keys import Grant
from interlock.core.limits import Limit
from interlock.core.money import Usage
from interlock.gateway.quota import Quotas
from interlock.gateway.settings import Admission, Settings
from interlock.testing.clock import FakeClock
from tests.gateway.kit import Bench, Scripted, ask, reply

ANN = Caller("acme", user="ann", key_id="key_1")
EVERYTHING = Limit("all", ("tenant",), period="day", requests=10**6, tokens=10**9, nano_usd=10**15)
RUNNING = Limit("running", ("tenant",), concurrency=10**6)


def governed(script, *limits, settings=None, **quotas):
    return Bench(script, settings, quotas=Quotas(limits, FakeClock(), **quotas))


def standing(bench, amount):
    return next(row[3] for row in bench.parts.quotas.standings() if row[2] == amount)


@pytest.mark.requirement("GW-34", "GW-16")
async def test_a_call_over_its_limit_is_not_sent_and_settles_as_refused_with_the_limits_name():
    bench = governed(Scripted(), Limit("two a day", ("key",), period="day", requests=2))
    for _ in range(2):
        await bench.chat(caller=ANN)
    with pytest.raises(QuotaReached, match="two a day"):
        await bench.chat(caller=ANN)
    event = bench.ledger.last
    assert (event.status, event.error, event.limit) == ("refused", "rate_limit_exceeded", "two a day")
    assert len(bench.provider.sent) == 2
    assert standing(bench, "requests") == 2, "what was refused uses nothing up"


async def test_what_was_held_gives_way_to_what_the_event_says():
    bench = governed(Scripted(), EVERYTHING, RUNNING)
    await bench.chat(caller=ANN)
    event = bench.ledger.last
    assert standing(bench, "tokens") == event.usage.input_total + event.usage.output_total
    assert standing(bench, "nano_usd") == event.cost_nano_usd < event.reserved_nano_usd
    assert standing(bench, "concurrency") == 0


async def test_an_answer_is_cut_to_what_the_limit_has_left():
    bench = governed(Scripted(), Limit("small", ("key",), period="day", output_tokens=100))
    await bench.chat(caller=ANN)
    assert bench.provider.sent[0][1].max_output_tokens == 100
    assert any("output capped at 100 tokens" in reason for reason in bench.event.reasons)


async def test_a_retry_that_the_limit_does_not_cover_is_not_sent():
    bad = UpstreamCut("cut.")
    bad.usage = Usage(input=20, output=900)
    script = Scripted(small=[bad, reply("small")], small2=[bad], mid=[bad], premium=[bad])
    bench = governed(script, Limit("tight", ("key",), period="day", output_tokens=1_000))
    with pytest.raises(InterlockError):
        await bench.chat(caller=ANN)
    assert bench.provider.models == ["small"]
    assert standing(bench, "output_tokens") == 900


async def test_a_key_that_may_not_use_a_model_is_refused_on_every_way_in():
    bench = governed(Scripted(), grant_of={"key_1": Grant(models=("other",))}.get)
    with pytest.raises(NotPermitted):
        await bench.chat(caller=ANN)
    with pytest.raises(NotPermitted):
        await bench.streamed(caller=ANN)
    with pytest.raises(NotPermitted):
        await bench.gateway.count_tokens(ANN, ChatRequest("small", (Message("user", "x"),)))
    assert bench.provider.sent == []
    assert [each.status for each in bench.ledger.settled] == ["refused", "refused"]


async def test_a_limit_of_all_replicas_without_their_store_does_what_it_declares():
    shut = Limit("global", ("tenant",), period="day", requests=5, scope="global")
    bench = governed(Scripted(), shut, EVERYTHING)
    with pytest.raises(LimitUnknown, match="global"):
        await bench.chat(caller=ANN)
    assert standing(bench, "requests") == 0
    lenient = Limit("global", ("tenant",), period="day", requests=5, scope="global", on_store_loss="open")
    bench = governed(Scripted(), lenient)
    assert (await bench.chat(caller=ANN)).settled.status == "ok"


async def test_a_call_that_is_shed_or_cancelled_gives_everything_back():
    bench = governed(
        Scripted(), EVERYTHING, RUNNING, settings=Settings(admission=Admission(max_concurrent=0, max_waiting=0))
    )
    with pytest.raises(InterlockError):
        await bench.chat(caller=ANN)
    assert [standing(bench, each) for each in ("requests", "tokens", "concurrency")] == [0, 0, 0]

    class Hanging(Scripted):
        async def chat(self, target, request, deadline, key):
            waiting.set()
            await asyncio.get_running_loop().create_future()
            raise AssertionError

    waiting = asyncio.Event()
    bench = governed(Hanging(), EVERYTHING, RUNNING)
    task = asyncio.create_task(bench.chat(caller=ANN))
    await waiting.wait()
    assert standing(bench, "concurrency") == 1
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert standing(bench, "concurrency") == 0
    assert standing(bench, "tokens") == bench.event.usage.input_total + bench.event.usage.output_total


OUTCOMES = {
    "ok": lambda: reply("m", text="one two three four"),
    "cut": lambda: UpstreamCut("cut."),
    "refused": lambda: UpstreamRefused("500.", upstream_status=500),
    "unreachable": lambda: ConnectFailed("nobody."),
    "cut_in_the_middle": lambda: reply("m", text="one !cut three"),
}


@pytest.mark.requirement("GW-34")
@settings(max_examples=40, deadline=None)
@given(
    scripts=st.lists(st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=1, max_size=3), min_size=3, max_size=3),
    streamed=st.booleans(),
    tight=st.one_of(st.none(), st.integers(50, 3_000)),
    stop_after=st.one_of(st.none(), st.integers(0, 3)),
)
def test_on_every_way_out_the_limits_say_what_the_ledger_says(scripts, streamed, tight, stop_after):
    said = [[OUTCOMES[each]() for each in script] for script in scripts]
    script = Scripted(small=said[0], small2=said[1], mid=said[2], premium=[reply("premium")])
    few = [] if tight is None else [Limit("tight", ("key",), period="day", tokens=tight)]

    async def run():
        bench = governed(script, EVERYTHING, RUNNING, *few)
        with contextlib.suppress(InterlockError):
            if not streamed:
                await bench.chat(caller=ANN)
            else:
                pieces = bench.gateway.stream(ANN, ask(stream=True))
                async with contextlib.aclosing(pieces):
                    place = 0
                    async for _ in pieces:
                        if place == stop_after:
                            break
                        place += 1
        return bench

    bench = asyncio.run(run())
    event = bench.event
    assert standing(bench, "concurrency") == 0
    assert standing(bench, "nano_usd") == event.cost_nano_usd
    assert standing(bench, "requests") == int(event.status != "refused")
    assert bench.parts.quotas is not None
    for row in bench.parts.quotas.standings():
        if row[2] == "tokens":
            assert row[3] == event.usage.input_total + event.usage.output_total
