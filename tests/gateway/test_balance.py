"""How replicas of one tier share its calls, and which of them is left out."""

import asyncio
import random
from collections import Counter

import pytest

from interlock.core.errors import InvalidRequest, UpstreamRefused
from interlock.gateway import outlier
from interlock.gateway.outlier import Seen, judge
from interlock.gateway.settings import Retrying, Settings, Tier
from interlock.gateway.terms import Balance, Ejecting
from interlock.testing import virtual
from tests.gateway.kit import Bench, Scripted, deployment, reply

PAIR = (Tier("small", (deployment("small"), deployment("small2"))),)


def sharing(balance, tiers=PAIR, provider=None, **fields):
    return Bench(provider or Scripted(), Settings(balance={"support": balance}), tiers, **fields)


@pytest.mark.requirement("GW-13")
async def test_weights_share_calls_and_the_heavier_one_is_not_the_only_one():
    bench = sharing(Balance("weights", {"fake/small": 3.0, "fake/small2": 1.0}))
    for _ in range(800):
        await bench.chat()
    share = Counter(bench.provider.models)["small"] / 800
    assert 0.70 <= share <= 0.80


@pytest.mark.requirement("GW-13")
async def test_a_weight_of_zero_is_for_when_all_others_fail():
    down = UpstreamRefused("status 503.", upstream_status=503)
    bench = sharing(Balance("weights", {"fake/small": 0.0}), provider=Scripted(small2=[reply("small2")] * 50 + [down]))
    for _ in range(50):
        await bench.chat()
    assert set(bench.provider.models) == {"small2"}
    assert (await bench.chat()).response.model == "small"


@pytest.mark.requirement("GW-13")
def test_least_latency_finds_the_faster_replica_and_goes_back_when_it_turns_slow():
    async def load(clock):
        class Paced(Scripted):
            def __init__(self):
                super().__init__()
                self.seconds = {"small": 1.0, "small2": 0.2}

            async def chat(self, target, request, deadline, key):
                self.sent.append((target.model, request))
                await asyncio.sleep(self.seconds[target.model])
                return reply(target.model)

        bench = sharing(Balance("latency"), provider=Paced(), clock=clock)
        for _ in range(100):
            await asyncio.gather(*(bench.chat() for _ in range(3)))
        assert Counter(bench.provider.models)["small2"] > 200
        bench.provider.sent.clear()
        bench.provider.seconds = {"small": 0.2, "small2": 5.0}
        for _ in range(100):
            await asyncio.gather(*(bench.chat() for _ in range(3)))
        assert Counter(bench.provider.models)["small"] > 200

    virtual.run(load)


@pytest.mark.requirement("GW-13")
async def test_least_cost_asks_the_cheapest_for_this_call():
    tiers = (Tier("small", (deployment("mid"), deployment("small2"), deployment("small"))),)
    bench = sharing(Balance("cost"), tiers)
    await bench.chat()
    assert bench.provider.models == ["small"]


@pytest.mark.requirement("GW-13")
async def test_a_region_that_is_pinned_is_never_left():
    tiers = (
        Tier("small", (deployment("small", region="us"), deployment("small2", region="eu"))),
        Tier("mid", (deployment("mid", region="us"),)),
    )
    down = UpstreamRefused("status 503.", upstream_status=503)
    bench = sharing(Balance(regions=("eu",)), tiers, Scripted(small2=[reply("small2"), down]))
    await bench.chat()
    with pytest.raises(UpstreamRefused):
        await bench.chat()
    assert set(bench.provider.models) == {"small2"}
    nowhere = sharing(Balance(regions=("ch",)), tiers)
    with pytest.raises(InvalidRequest, match="ch"):
        await nowhere.chat()
    assert nowhere.provider.models == []


@pytest.mark.requirement("GW-13")
async def test_tiers_keep_their_order_whatever_the_balance():
    tiers = (*PAIR, Tier("mid", (deployment("mid"),)))
    bench = sharing(Balance("latency"), tiers)
    for _ in range(50):
        await bench.chat()
    assert "mid" not in bench.provider.models


@pytest.mark.requirement("GW-26")
async def test_a_replica_that_does_much_worse_than_its_peers_is_left_out_for_a_while():
    luck = random.Random(2)

    class Shaky(Scripted):
        async def chat(self, target, request, deadline, key):
            self.sent.append((target.model, request))
            if target.model == "small" and luck.random() < 0.5:
                raise UpstreamRefused("status 500.", upstream_status=500)
            return reply(target.model)

    settings = Settings(balance={"support": Balance("weights")}, retrying=Retrying(max_tries=1))
    bench = Bench(Shaky(), settings, PAIR)
    for _ in range(200):
        await bench.chat()
    asked = Counter(bench.provider.models)
    assert asked["small"] < 60, "it was left out"
    assert any("left out" in reason for event in bench.ledger.settled for reason in event.reasons)
    bench.clock.advance(60.0)
    bench.provider.sent.clear()
    for _ in range(10):
        await bench.chat()
    assert "small" in bench.provider.models, "and is tried again"


@pytest.mark.requirement("GW-26")
def test_a_bad_hour_of_all_is_no_outlier():
    ejecting = Ejecting()
    bad = Seen(20, 0.6, 1.0)
    assert judge(bad, [Seen(20, 0.05, 1.0)], ejecting)
    assert judge(bad, [Seen(20, 0.5, 1.0)], ejecting) == "", "its peers fail too"
    assert judge(Seen(3, 1.0, 1.0), [Seen(20, 0.0, 1.0)], ejecting) == "", "too little is known of it"
    assert judge(bad, [Seen(2, 0.0, 1.0)], ejecting) == "", "or of its peers"
    assert judge(bad, [Seen(20, 0.0, 1.0, out=True), Seen(20, 0.0, 1.0)], ejecting) == "", "half of them stay in"
    assert judge(Seen(20, 0.0, 9.0), [Seen(20, 0.0, 1.0)], ejecting), "slowness counts as well"
    assert outlier.out_for_s(2, ejecting) == 45.0
