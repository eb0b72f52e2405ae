"""Vendors' rate limits, learned from what they say and kept before they are hit."""

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.errors import RateLimited
from interlock.core.ports import Deployment, PluginEnv, Room
from interlock.core.time import Deadline
from interlock.gateway.settings import Tier
from interlock.gateway.vendor_limits import VendorLimits
from interlock.plugins import rooms
from interlock.testing import virtual
from interlock.testing.clock import FakeClock
from tests.gateway.kit import Bench, Scripted, ask, deployment, reply

ONE = (Tier("small", (deployment("small"),)),)
PAIR = (Tier("small", (deployment("small"), deployment("small2"))),)


class Metered(Scripted):
    """Vendors with a token bucket of requests each, told in every reply; a call above it is refused with 429."""

    def __init__(self, clock, per_minute, burst, steps=False):
        super().__init__()
        self.clock, self.rate, self.burst, self.steps = clock, per_minute / 60.0, burst, steps
        self.level = {"small": burst, "small2": burst}
        self.at_s = dict.fromkeys(self.level, clock.monotonic_s())
        self.window = dict.fromkeys(self.level, int(clock.monotonic_s() // 60))
        self.refused = 0
        self.bench: Any = None

    def _fill(self, model):
        now = self.clock.monotonic_s()
        if self.steps:
            if int(now // 60) != self.window[model]:
                self.window[model], self.level[model] = int(now // 60), self.burst
            return 60.0 - now % 60
        self.level[model] = min(self.burst, self.level[model] + (now - self.at_s[model]) * self.rate)
        self.at_s[model] = now
        return (self.burst - self.level[model]) / self.rate

    async def chat(self, target, request, deadline, key):
        self.sent.append((target.model, request))
        self._fill(target.model)
        if self.level[target.model] < 1.0:
            self.refused += 1
            raise RateLimited("slow down.", upstream_status=429, retry_after_s=1.0)
        self.level[target.model] -= 1.0
        full_in_s = self._fill(target.model)
        await asyncio.sleep(0.05)
        room = Room("requests", self.burst, self.level[target.model], full_in_s)
        self.bench.gateway.heard(target.name, (room,))
        return reply(target.model)


def metered(clock, tiers, **fields):
    vendor = Metered(clock, **fields)
    vendor.bench = Bench(vendor, tiers=tiers, clock=clock)
    return vendor, vendor.bench


@pytest.mark.requirement("GW-27")
@pytest.mark.parametrize("steps", [False, True])
def test_no_call_is_refused_while_another_candidate_has_room(steps):
    async def load(clock):
        vendor, bench = metered(clock, PAIR, per_minute=600, burst=20, steps=steps)
        for _ in range(30):
            ends = await asyncio.gather(*(bench.chat() for _ in range(4)))
            assert all(end.response.model in ("small", "small2") for end in ends)
            await asyncio.sleep(7.0 if steps else 0.2)
        assert vendor.refused <= 8, "at first nothing is known; then limits are kept beforehand"
        assert {model for model, _ in vendor.sent} == {"small", "small2"}

    virtual.run(load)


@pytest.mark.requirement("GW-27")
def test_alone_a_vendor_is_waited_for_instead_of_run_into():
    async def load(clock):
        vendor, bench = metered(clock, ONE, per_minute=60, burst=5)
        await bench.chat()
        began = clock.monotonic_s()
        for _ in range(20):
            await bench.chat(deadline=Deadline.after(clock, 30.0))
        assert vendor.refused == 0
        assert 14.0 <= clock.monotonic_s() - began <= 30.0, "about one each second once the bucket is empty"

    virtual.run(load)


@pytest.mark.requirement("GW-27")
async def test_what_the_files_say_holds_until_the_vendor_says_better():
    tiers = (Tier("small", (deployment("small", requests_per_minute=3), deployment("small2"))),)
    bench = Bench(Scripted(), tiers=tiers)
    for _ in range(6):
        await bench.chat()
    assert bench.provider.models[:3] == ["small"] * 3
    assert bench.provider.models[3:] == ["small2"] * 3
    bench.gateway.heard("fake/small", (Room("requests", 1_000, 900, 6.0),))
    await bench.chat()
    assert bench.provider.models[-1] == "small"


@pytest.mark.requirement("GW-27")
async def test_tokens_count_too_and_input_that_does_not_fit_goes_elsewhere():
    bench = Bench(Scripted(), tiers=PAIR)
    bench.gateway.heard("fake/small", (Room("tokens", 10_000, 1_500, 51.0),))
    await bench.chat(ask("word " * 2_000))
    await bench.chat(ask("short", max_output_tokens=50))
    assert bench.provider.models == ["small2", "small"]


async def test_one_that_is_larger_than_the_whole_bucket_is_sent_when_that_is_full():
    limits = VendorLimits()
    limits.heard((Room("tokens", 1_000, 1_000, 0.0),), 0.0)
    assert limits.wait_s(5_000, 0.0) == 0.0
    limits.sent(5_000, 0.0)
    assert limits.wait_s(5_000, 0.0) > 100


@given(
    told=st.lists(st.tuples(st.floats(1, 1e6), st.floats(0, 1), st.floats(0, 600)), min_size=1, max_size=5),
    steps=st.lists(st.tuples(st.sampled_from(["sent", "ended", "wait", "refused"]), st.floats(0, 100)), max_size=40),
)
def test_every_wait_ends(told, steps):
    limits, now = VendorLimits(), 0.0
    for limit, share, full_in_s in told:
        limits.heard((Room("requests", limit, limit * share, full_in_s), Room("tokens", limit, limit, 0.0)), now)
    for step, amount in steps:
        now += amount
        if step == "sent":
            limits.sent(int(amount), now)
        elif step == "ended":
            limits.ended(int(amount))
        elif step == "refused":
            limits.refused(now)
    waited = 0
    while (wait_s := limits.wait_s(10, now)) > 0 and waited < 100:
        now += wait_s
        waited += 1
    assert waited < 100


def heard_of(headers, status=200, body=b""):
    told = []
    nothing: Any = None
    env = PluginEnv(
        http=nothing,
        clock=FakeClock(),
        rng=random.Random(1),
        tier0={},
        heard=lambda name, found: told.append((name, found)),
    )
    rooms.hear(env, Deployment("vendor", "m", "d"), headers, status, body)
    return told


@pytest.mark.requirement("GW-27")
def test_headers_of_each_family_are_understood():
    ((name, found),) = heard_of(
        {
            "x-ratelimit-limit-requests": "5000",
            "x-ratelimit-remaining-requests": "4999",
            "x-ratelimit-reset-requests": "12ms",
            "x-ratelimit-limit-tokens": "160000",
            "x-ratelimit-remaining-tokens": "120000",
            "x-ratelimit-reset-tokens": "1m0.5s",
        }
    )
    assert name == "vendor/m"
    assert found == (Room("requests", 5_000, 4_999, 0.012), Room("tokens", 160_000, 120_000, 60.5))
    at = "2026-09-21T14:14:00Z"  # twenty seconds after the fake clock's instant
    ((_, found),) = heard_of(
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": at,
            "anthropic-ratelimit-input-tokens-limit": "30000",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": at,
        }
    )
    assert [(each.kind, each.limit, each.left) for each in found] == [("requests", 50, 49), ("input_tokens", 30_000, 0)]
    assert found[0].full_in_s == pytest.approx(found[1].full_in_s)
    assert 0 <= found[0].full_in_s <= 60


@pytest.mark.requirement("GW-27")
def test_geminis_error_names_its_quota():
    body = b"""{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure",
      "violations":[{"quotaMetric":"generativelanguage.googleapis.com/generate_content_free_tier_requests",
      "quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier","quotaDimensions":{"model":"gemini-2.0-flash","location":"global"},
      "quotaValue":"15"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38s"}]}}"""
    ((_, found),) = heard_of({}, 429, body)
    assert found == (Room("requests", 15, 0, 60.0),)
    assert heard_of({}, 429, b'{"error":{}}') == []
    assert heard_of({"content-type": "application/json"}) == []


@pytest.mark.requirement("GW-25")
async def test_a_wait_that_no_vendor_can_mean_ends_a_deployment_for_an_hour_at_most():
    absurd = RateLimited("slow down.", upstream_status=429, retry_after_s=10.0**9)
    bench = Bench(Scripted(small=[absurd, reply("small")]), tiers=ONE)
    for _ in range(2):
        with pytest.raises(RateLimited):
            await bench.chat()
    assert bench.provider.models == ["small"], "it is kept to"
    bench.clock.advance(3_601.0)
    assert (await bench.chat()).response.model == "small"
