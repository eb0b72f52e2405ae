"""What an outage costs: upstream, callers, and the tasks that could have waited."""

import asyncio

import pytest

from interlock.core.caller import Caller
from interlock.core.errors import CircuitOpen, ConnectFailed, Exhausted, InterlockError, UpstreamRefused
from interlock.gateway.settings import Retrying, Settings, Tier
from interlock.gateway.terms import Hedging
from interlock.testing import virtual
from tests.gateway.kit import Bench, Scripted, deployment, reply

ONE = (Tier("small", (deployment("small"),)),)
PAIR = (Tier("small", (deployment("small"), deployment("small2"))),)
FOUR = (*PAIR, Tier("mid", (deployment("mid"),)), Tier("premium", (deployment("premium"),)))


def down():
    return UpstreamRefused("status 503.", upstream_status=503)


class Vendors(Scripted):
    """Fails at `dead` models; each answer takes its time."""

    def __init__(self, *dead, seconds=0.0):
        super().__init__()
        self.dead, self.seconds = set(dead), seconds

    async def chat(self, target, request, deadline, key):
        self.sent.append((target.model, request))
        await asyncio.sleep(self.seconds)
        if target.model in self.dead:
            raise down()
        return reply(target.model)


ALL = ("small", "small2", "mid", "premium")


@pytest.mark.requirement("GW-25", "GW-26")
@pytest.mark.parametrize("tiers", [ONE, PAIR, FOUR], ids=["one", "two", "four"])
@pytest.mark.parametrize("at_once", [1, 100, 400])
@pytest.mark.parametrize("warm", [False, True])
def test_a_full_outage_is_amplified_at_most_by_a_tenth_fallbacks_and_hedges_counted(tiers, at_once, warm):
    async def outage(clock):
        vendors = Vendors(seconds=0.2)
        bench = Bench(vendors, Settings(hedging=Hedging()), tiers=tiers, clock=clock)
        for _ in range(50 * warm):
            await asyncio.gather(*(bench.chat() for _ in range(8)))
        vendors.dead, before = set(ALL), len(vendors.sent)
        for _ in range(400 // at_once):
            ends = await asyncio.gather(*(bench.chat() for _ in range(at_once)), return_exceptions=True)
            assert all(isinstance(end, InterlockError) for end in ends)
        assert len(vendors.sent) - before <= 1.1 * 400

    virtual.run(outage)


@pytest.mark.requirement("GW-26")
@pytest.mark.parametrize("at_once", [1, 20, 400])
async def test_when_only_one_vendor_is_down_every_call_is_answered_by_the_other(at_once):
    vendors = Vendors("small")
    bench = Bench(vendors, tiers=PAIR)
    for _ in range(400 // at_once):
        ends = await asyncio.gather(*(bench.chat() for _ in range(at_once)))
        assert {end.response.model for end in ends} == {"small2"}
    assert vendors.models.count("small") <= at_once + 16


@pytest.mark.requirement("GW-26")
async def test_an_outage_is_over_soon_after_the_vendor_is_back():
    vendors = Vendors(*ALL)
    bench = Bench(vendors, tiers=FOUR)
    for _ in range(100):
        await asyncio.gather(bench.chat(), return_exceptions=True)
        bench.clock.advance(0.1)
    vendors.dead = set()
    bench.clock.advance(30.0)
    assert (await bench.chat()).response.model == "small"
    ends = await asyncio.gather(*(bench.chat() for _ in range(50)))
    assert {end.response.model for end in ends} == {"small"}


@pytest.mark.requirement("GW-26")
async def test_while_a_circuit_is_open_callers_are_told_what_opened_it_and_when_to_ask_again():
    bench = Bench(Scripted(small=ConnectFailed("refused by 10.0.0.1.")), tiers=ONE)
    for _ in range(20):
        await asyncio.gather(bench.chat(), return_exceptions=True)
    bench.clock.advance(0.5)
    with pytest.raises(CircuitOpen, match=r"upstream_unreachable: refused by 10\.0\.0\.1") as refused:
        await bench.chat()
    assert 0 < refused.value.retry_after_s <= 2.0
    assert refused.value.cause == "upstream_unreachable"
    assert refused.value.status == 503
    assert bench.ledger.last.retry_after_s == refused.value.retry_after_s, "so that a task may wait for it"
    assert "0.5 s ago" in bench.ledger.last.message


@pytest.mark.requirement("GW-26")
async def test_nobody_reads_in_an_open_circuit_what_another_tenant_had_asked():
    said = UpstreamRefused("cannot answer 'my secret diagnosis'.", upstream_status=500)
    bench = Bench(Scripted(small=said), Settings(retrying=Retrying(max_tries=1)), tiers=ONE)
    for _ in range(20):
        await asyncio.gather(bench.chat(caller=Caller("patient")), return_exceptions=True)
    with pytest.raises(CircuitOpen, match="upstream_refused: status 500") as refused:
        await bench.chat(caller=Caller("stranger"))
    assert "diagnosis" not in str(refused.value)
    assert "diagnosis" not in str(bench.ledger.last)


@pytest.mark.requirement("GW-26")
async def test_of_several_candidates_the_real_errors_and_the_shortest_wait_are_told():
    bench = Bench(Scripted(**dict.fromkeys(ALL, down())), Settings(retrying=Retrying(max_tries=1)), tiers=PAIR)
    for _ in range(30):
        await asyncio.gather(bench.chat(), return_exceptions=True)
    with pytest.raises(Exhausted, match=r"small: .*status 503.*small2: .*status 503"):
        await bench.chat()
    assert bench.ledger.last.retry_after_s > 0


async def test_a_call_that_gave_up_frees_its_place_and_its_turn():
    gate = asyncio.Event()

    class Stuck(Vendors):
        async def chat(self, target, request, deadline, key):
            if target.model == "small2":
                await gate.wait()
            return await super().chat(target, request, deadline, key)

    vendors = Stuck("small")
    bench = Bench(vendors, tiers=PAIR)
    calls = [asyncio.ensure_future(bench.chat()) for _ in range(10)]
    for _ in range(20):
        await asyncio.sleep(0)
    for each in calls[1:9]:
        each.cancel()
    gate.set()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [not isinstance(end, BaseException) for end in ends] == [True, *[False] * 8, True]
    line = bench.gateway._desk.health.deployment("fake/small2").line
    standing = bench.gateway._desk.health.deployment("fake/small2").standing
    assert (line.inside, line.waiting, standing.under_way) == (0, 0, 0)
