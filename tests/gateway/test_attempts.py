"""Retries, deadlines, breakers, fallback."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import (
    ConnectFailed,
    DeadlineMissed,
    Exhausted,
    InvalidRequest,
    RateLimited,
    Shed,
    UpstreamAuth,
    UpstreamRefused,
    UpstreamRejected,
    UpstreamStalled,
    UpstreamTimeout,
)
from interlock.core.time import Deadline
from interlock.gateway import retry
from interlock.gateway.breaker import Breaker
from interlock.gateway.settings import Breaking, Retrying, Settings, Tier
from tests.gateway.kit import Bench, Scripted, ask, deployment, reply

ONE = (Tier("small", (deployment("small"),)),)


def down(status=503):
    return UpstreamRefused(f"status {status}.", upstream_status=status)


def limited(wait_s):
    return RateLimited("slow down.", upstream_status=429, retry_after_s=wait_s)


@pytest.mark.requirement("GW-25")
async def test_retry_after_is_honoured_to_the_second():
    bench = Bench(Scripted(small=[limited(3.0), reply("small")]), tiers=ONE)
    await bench.chat()
    assert bench.clock.slept == [3.0]
    assert [each.status for each in bench.event.attempts] == ["error", "ok"]


@pytest.mark.requirement("GW-25")
async def test_a_wait_longer_than_the_deadline_is_not_begun():
    bench = Bench(Scripted(small=limited(30.0)), tiers=ONE)
    with pytest.raises(RateLimited):
        await bench.chat(deadline=Deadline.after(bench.clock, 5.0))
    assert bench.clock.slept == []


@pytest.mark.requirement("GW-25")
async def test_calls_that_come_while_a_vendor_wants_none_wait_for_it_where_nobody_else_stands_by():
    bench = Bench(Scripted(small=[limited(5.0), reply("small")]), Settings(retrying=Retrying(max_tries=1)), tiers=ONE)
    with pytest.raises(RateLimited):
        await bench.chat()
    got = await bench.chat()
    assert got.response.model == "small"
    assert 5.0 <= bench.clock.slept[0] <= 5.25, "and not all at the same instant"
    bench = Bench(Scripted(small=limited(5.0)), Settings(retrying=Retrying(max_tries=1)), tiers=ONE)
    with pytest.raises(RateLimited):
        await bench.chat(deadline=Deadline.after(bench.clock, 2.0))
    with pytest.raises(RateLimited) as refused:
        await bench.chat(deadline=Deadline.after(bench.clock, 2.0))
    assert refused.value.retry_after_s == 5.0
    assert len(bench.provider.sent) == 1, "the second call was not sent: its deadline comes before"


async def test_no_room_for_a_connection_is_no_try_and_costs_nothing():
    bench = Bench(Scripted(small=Shed("too many wait for a connection.", retry_after_s=1.0)))
    assert (await bench.chat()).response.model == "small2"
    assert bench.event.attempts[0].usage.input_total == 0
    assert bench.gateway.breakers()["fake/small"] == "closed"


async def test_a_rate_limited_candidate_gives_way_to_another_of_its_tier_at_once():
    bench = Bench(Scripted(small=limited(3.0)))
    got = await bench.chat()
    assert (got.response.model, bench.clock.slept) == ("small2", [])
    again = await bench.chat()
    assert again.response.model == "small2"
    assert bench.provider.models == ["small", "small2", "small2"], "it is left alone for as long as it asked"


@pytest.mark.requirement("GW-25")
@given(tries=st.integers(1, 6), seed=st.integers(0, 1000))
def test_waits_are_jittered_over_the_whole_range_and_capped(tries, seed):
    retrying = Retrying(max_tries=10)
    again = retry.decide(down(), tries, 100.0, 10.0, retrying, random.Random(seed))
    assert isinstance(again, retry.Again)
    assert 0.0 <= again.wait_s <= min(retrying.cap_s, retrying.base_s * 2 ** (tries - 1))


@pytest.mark.requirement("GW-25", "GW-26")
@pytest.mark.parametrize("at_once", [1, 50, 400])
async def test_a_full_outage_is_amplified_at_most_by_a_tenth(at_once):
    class Down(Scripted):
        async def chat(self, target, request, deadline, key):
            self.sent.append((target.model, request))
            await asyncio.sleep(0)  # all that came together are under way before the first has failed
            raise down()

    bench = Bench(Down(), tiers=ONE)
    calls = 400
    for _ in range(calls // at_once):
        await asyncio.gather(*(bench.chat() for _ in range(at_once)), return_exceptions=True)
    assert len(bench.ledger.settled) == calls
    assert len(bench.provider.sent) <= 1.1 * calls


@pytest.mark.requirement("GW-26")
async def test_an_open_breaker_lets_one_probe_through_and_closes_on_its_success():
    script = Scripted(small=[down()] * 8 + [reply("small")])
    bench = Bench(script, Settings(retrying=Retrying(max_tries=1)), tiers=ONE)
    for _ in range(12):
        with pytest.raises(Exception, match=r"status 503|circuit open"):
            await bench.chat()
    assert len(script.sent) == 8, "once it is open nothing is sent"
    assert bench.gateway.breakers() == {"fake/small": "open"}
    bench.clock.advance(2.1)
    await bench.chat()
    assert bench.gateway.breakers() == {"fake/small": "closed"}


@pytest.mark.requirement("GW-26")
@given(events=st.lists(st.sampled_from(["enter", "ok", "fail", "gone", "wait"]), max_size=60))
def test_a_breaker_never_has_two_probes_under_way_and_always_recovers(events):
    breaker = Breaker(Breaking())
    now, inside = 0.0, 0
    for event in events:
        if event == "wait":
            now += 3.0
        elif event == "enter":
            was = breaker.state
            if not breaker.enter(now):
                inside += 1
                assert was == "closed" or breaker.state == "half_open"
        elif inside and breaker.state != "open":
            inside -= 1
            if event == "fail":
                breaker.failed(now)
            else:
                (breaker.succeeded if event == "ok" else breaker.abandoned)()
            inside = inside if breaker.state == "closed" else 0
    now += 1_000
    if breaker.state == "half_open":
        breaker.abandoned()
    assert breaker.enter(now) == ""
    breaker.succeeded()
    assert breaker.state == "closed"


@pytest.mark.requirement("GW-26")
async def test_an_outage_of_one_provider_costs_no_task():
    bench = Bench(Scripted(small=ConnectFailed("refused.")))
    replies = [await bench.chat() for _ in range(200)]
    assert {each.response.model for each in replies} == {"small2"}
    assert bench.provider.models.count("small") <= 12, "eight failures, then the breaker; a probe now and then"


async def test_a_vendor_that_fails_one_call_in_ten_costs_its_callers_next_to_nothing():
    luck = random.Random(3)

    class Shaky(Scripted):
        async def chat(self, target, request, deadline, key):
            self.sent.append((target.model, request))
            if luck.random() < 0.1:
                raise down()
            return reply("small")

    bench = Bench(Shaky(), tiers=ONE)
    ends = [await asyncio.gather(bench.chat(), return_exceptions=True) for _ in range(1_000)]
    answered = sum(not isinstance(end, Exception) for (end,) in ends)
    assert answered >= 975, "retries help"
    assert len(bench.provider.sent) <= 1_120, "and are bounded all the same"


async def test_a_whole_tier_that_is_down_is_stood_in_for_by_the_tier_above():
    bench = Bench(Scripted(small=down(), small2=down()))
    got = await bench.chat()
    assert got.settled.tier == "mid"
    assert got.settled.degraded == ""


async def test_a_refused_credential_is_not_retried_and_the_next_candidate_asked():
    bench = Bench(Scripted(small=UpstreamAuth("wrong key.", upstream_status=401)))
    got = await bench.chat()
    assert bench.provider.models == ["small", "small2"]
    assert got.response.model == "small2"


async def test_a_request_that_the_vendor_rejects_goes_back_to_the_caller():
    bench = Bench(Scripted(small=UpstreamRejected("temperature is out of range.", upstream_status=400)))
    with pytest.raises(UpstreamRejected, match="temperature"):
        await bench.chat()
    assert bench.provider.models == ["small"]


async def test_a_model_that_one_vendor_does_not_know_is_asked_of_the_next():
    bench = Bench(Scripted(small=UpstreamRejected("no such model.", upstream_status=404)))
    assert (await bench.chat()).response.model == "small2"


async def test_a_request_that_a_dialect_cannot_carry_goes_to_one_that_can():
    bench = Bench(Scripted(small=InvalidRequest("no audio here.", param="messages")))
    assert (await bench.chat()).response.model == "small2"
    assert bench.event.attempts[0].usage.input_total == 0, "nothing was sent"


async def test_a_plug_in_that_breaks_is_a_failed_attempt_and_not_our_end():
    bench = Bench(Scripted(small=ZeroDivisionError("oops")))
    assert (await bench.chat()).response.model == "small2"
    assert "ZeroDivisionError" in bench.event.attempts[0].message


async def test_all_candidates_failing_lists_each_of_them():
    bench = Bench(Scripted(**{name: down() for name in ("small", "small2", "mid", "premium")}))
    with pytest.raises(Exhausted) as failed:
        await bench.chat()
    assert [getattr(each, "deployment", "") for each in failed.value.errors] == [
        "fake/small",
        "fake/small2",
        "fake/mid",
        "fake/premium",
    ]
    assert bench.event.status == "error"


async def test_when_nobody_has_room_the_caller_is_told_the_shortest_wait():
    waits = {"small": 20.0, "small2": 9.0, "mid": 40.0, "premium": 12.0}
    bench = Bench(
        Scripted(**{name: limited(wait) for name, wait in waits.items()}), Settings(retrying=Retrying(max_tries=1))
    )
    with pytest.raises(RateLimited) as refused:
        await bench.chat()
    assert refused.value.retry_after_s == 9.0


class Hanging(Scripted):
    """Says nothing, for as long as one waits."""

    async def chat(self, target, request, deadline, key):
        self.sent.append((target.model, request))
        await asyncio.get_running_loop().create_future()
        raise AssertionError


@pytest.mark.requirement("GW-24")
async def test_a_silent_deployment_ends_at_its_own_timeout_with_a_typed_error():
    bench = Bench(Hanging(), tiers=(Tier("small", (deployment("small", timeout_s=0.01),)),))
    with pytest.raises(UpstreamTimeout):
        await bench.chat()
    assert bench.event.status == "timeout"
    assert bench.event.attempts[0].usage.input > 0, "the vendor may bill what it has read"


@pytest.mark.requirement("GW-24")
async def test_one_deadline_covers_every_try_and_candidate():
    class Sluggish(Scripted):
        async def chat(self, target, request, deadline, key):
            left.append(deadline.left_s(bench.clock))
            bench.clock.advance(min(4.0, deadline.left_s(bench.clock)))
            raise UpstreamTimeout("no answer.")

    left = []
    bench = Bench(Sluggish(), Settings(retrying=Retrying(base_s=0.0)))
    with pytest.raises(DeadlineMissed):
        await bench.chat(deadline=Deadline.after(bench.clock, 10.0))
    assert left == pytest.approx([6.0, 3.6, 1.44, 0.96]), (
        "what remains only shrinks, and each leaves a part to whoever stands in"
    )
    assert bench.event.status == "timeout"


@pytest.mark.requirement("GW-24")
async def test_a_callers_short_patience_does_not_open_the_breaker_for_others():
    class Sluggish(Scripted):
        async def chat(self, target, request, deadline, key):
            bench.clock.advance(deadline.left_s(bench.clock))
            raise UpstreamTimeout("no answer.")

    bench = Bench(Sluggish(), tiers=ONE)
    for _ in range(20):
        with pytest.raises(DeadlineMissed):
            await bench.chat(deadline=Deadline.after(bench.clock, 0.5))
    assert bench.gateway.breakers() == {"fake/small": "closed"}


async def test_a_stalled_answer_is_a_timeout_on_the_event():
    bench = Bench(Scripted(small=UpstreamStalled("silence.")), Settings(retrying=Retrying(max_tries=1)), tiers=ONE)
    with pytest.raises(UpstreamStalled):
        await bench.chat(ask())
    assert bench.event.status == "timeout"
