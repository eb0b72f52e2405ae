"""A second try for the slowest calls, on virtual time."""

import asyncio
import random

import pytest

from interlock.core.chat import Chunk
from interlock.core.errors import UpstreamRefused
from interlock.core.money import Usage
from interlock.gateway.settings import Settings, Tier
from interlock.gateway.terms import Hedging
from interlock.testing import virtual
from tests.gateway.kit import Bench, Scripted, ask, deployment, reply

PAIR = (Tier("small", (deployment("small"), deployment("small2"))),)


class HeavyTail(Scripted):
    """One call in fifty takes thirty times as long."""

    def __init__(self, seed=1):
        super().__init__()
        self.luck, self.gone = random.Random(seed), 0

    async def _work(self):
        slow = self.luck.random() < 0.02
        try:
            await asyncio.sleep(self.luck.uniform(0.8, 1.2) * (30.0 if slow else 1.0))
        except asyncio.CancelledError:
            self.gone += 1
            raise

    async def chat(self, target, request, deadline, key):
        self.sent.append((target.model, request))
        await self._work()
        return reply(target.model)

    async def stream(self, target, request, deadline, key):
        self.sent.append((target.model, request))
        await self._work()
        yield Chunk(text="word")
        yield Chunk(finish="stop", usage=Usage(input=20, output=1))


def latencies(hedging, calls=1_500, streamed=False):
    async def load(clock):
        vendor = HeavyTail()
        bench = Bench(vendor, Settings(hedging=hedging), tiers=PAIR, clock=clock)

        async def one():
            began = clock.monotonic_s()
            await (bench.streamed() if streamed else bench.chat())
            return clock.monotonic_s() - began

        times = []
        for _ in range(calls // 10):
            times += await asyncio.gather(*(one() for _ in range(10)))
        return sorted(times), vendor, bench

    return virtual.run(load)


@pytest.mark.requirement("GW-29")
@pytest.mark.parametrize("streamed", [False, True])
def test_hedging_cuts_the_tail_for_at_most_a_twentieth_more_calls(streamed):
    plain, _, _ = latencies(None, streamed=streamed)
    hedged, vendor, bench = latencies(Hedging(), streamed=streamed)
    p99 = int(len(plain) * 0.99)
    assert hedged[p99] < plain[p99] / 5
    assert len(vendor.sent) <= 1.05 * len(hedged) + 5
    assert vendor.gone > 0, "the slower one is cancelled"
    events = bench.ledger.settled
    overtaken = [each for event in events for each in event.attempts if each.error == "overtaken"]
    assert len(overtaken) == vendor.gone, "and accounted for"
    assert all(each.usage.input_total > 0 for each in overtaken), "as the vendor may bill what it has read"
    assert all(event.status == "ok" for event in events)
    assert sum(len(event.attempts) for event in events) == len(vendor.sent)
    lines = [bench.gateway._desk.health.deployment(f"fake/{name}").line for name in ("small", "small2")]
    assert [line.inside for line in lines] == [0, 0]


@pytest.mark.requirement("GW-29")
def test_a_second_try_that_fails_does_no_harm_and_a_client_that_leaves_ends_both():
    async def both(clock):
        class Second(Scripted):
            second_s = 0.1

            async def chat(self, target, request, deadline, key):
                self.sent.append((target.model, request))
                if target.model == "small2":
                    await asyncio.sleep(self.second_s)
                    raise UpstreamRefused("status 503.", upstream_status=503)
                await asyncio.sleep(30.0 if len(self.sent) > 40 else 1.0)
                return reply("small")

        vendor = Second()
        bench = Bench(vendor, Settings(hedging=Hedging()), tiers=PAIR, clock=clock)
        for _ in range(40):
            await bench.chat()
        got = await bench.chat()
        assert got.response.model == "small"
        assert [each.status for each in got.settled.attempts] == ["error", "ok"]
        bench.gateway._desk.health.deployment("fake/small2").answered(0.0, 0.1, 1)
        hedges = bench.gateway._desk.health.hedges
        assert hedges is not None
        hedges.in_hand = 5.0
        vendor.second_s = 100.0
        leaving = asyncio.ensure_future(bench.chat())
        await asyncio.sleep(5.0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await asyncio.sleep(0.1)
        event = bench.ledger.last
        assert event.status == "client_gone"
        assert [each.status for each in event.attempts] == ["client_gone", "client_gone"]

    virtual.run(both)


def test_calls_without_a_peer_are_not_hedged():
    async def alone(clock):
        bench = Bench(
            HeavyTail(), Settings(hedging=Hedging()), tiers=(Tier("small", (deployment("small"),)),), clock=clock
        )
        for _ in range(200):
            await bench.chat(ask())
        assert len(bench.provider.sent) == 200

    virtual.run(alone)
