"""Bounded concurrency."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.chat import Chunk
from interlock.core.errors import Shed
from interlock.core.money import Usage
from interlock.core.time import Deadline, SystemClock
from interlock.gateway.admit import Gate
from interlock.gateway.settings import Admission, Tier
from tests.gateway.kit import CALLER, Bench, deployment, reply

CLOCK = SystemClock()


async def test_a_place_that_comes_free_goes_to_who_waits_longest():
    gate = Gate(Admission(max_concurrent=1, max_waiting=5))
    order = []

    async def call(name):
        with await gate.enter(Deadline.after(CLOCK, 60), CLOCK):
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*(call(name) for name in "abcde"))
    assert order == list("abcde")
    assert (gate.inside, gate.waiting) == (0, 0)


async def test_whoever_finds_the_line_full_is_turned_away_at_once():
    gate = Gate(Admission(max_concurrent=1, max_waiting=0, retry_after_s=2.0))
    with await gate.enter(Deadline.after(CLOCK, 60), CLOCK), pytest.raises(Shed) as shed:
        await gate.enter(Deadline.after(CLOCK, 60), CLOCK)
    assert shed.value.retry_after_s == 2.0


async def test_nobody_waits_longer_than_the_deadline():
    gate = Gate(Admission(max_concurrent=1, max_waiting=5))
    with await gate.enter(Deadline.after(CLOCK, 60), CLOCK), pytest.raises(Shed):
        await gate.enter(Deadline.after(CLOCK, 0.01), CLOCK)
    assert (gate.inside, gate.waiting) == (0, 0)


@settings(max_examples=60, deadline=None)
@given(
    concurrent=st.integers(1, 4),
    waiting=st.integers(0, 4),
    steps=st.lists(st.integers(0, 3), min_size=1, max_size=20),
    cancelled=st.sets(st.integers(0, 19)),
)
def test_no_place_is_lost_or_given_twice_whatever_is_cancelled(concurrent, waiting, steps, cancelled):
    async def together():
        gate = Gate(Admission(max_concurrent=concurrent, max_waiting=waiting))
        most = 0

        async def call(yields):
            nonlocal most
            with await gate.enter(Deadline.after(CLOCK, 60), CLOCK):
                most = max(most, gate.inside)
                for _ in range(yields):
                    await asyncio.sleep(0)

        tasks = [asyncio.ensure_future(call(yields)) for yields in steps]
        await asyncio.sleep(0)
        for place in cancelled:
            if place < len(tasks):
                tasks[place].cancel()
                await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        return gate, most

    gate, most = asyncio.run(together())
    assert most <= concurrent
    assert (gate.inside, gate.waiting) == (0, 0)


class Slow:
    """Answers, and first pieces, that a test lets go."""

    def __init__(self):
        self.go, self.end = asyncio.Event(), asyncio.Event()

    async def chat(self, target, request, deadline, key):
        await self.go.wait()
        return reply(target.model)

    async def stream(self, target, request, deadline, key):
        await self.go.wait()
        yield Chunk(text="a")
        await self.end.wait()
        yield Chunk(finish="stop", usage=Usage(input=20, output=1))


async def settled_loop():
    for _ in range(30):
        await asyncio.sleep(0)


@pytest.mark.requirement("GW-28")
@pytest.mark.parametrize(("declared", "held"), [(0, 0), (3, 3)])
async def test_a_stream_holds_a_place_until_its_first_piece_unless_places_are_declared(declared, held):
    one = (Tier("small", (deployment("small", max_concurrent=declared),)),)
    bench = Bench(Slow(), tiers=one)
    calls = [asyncio.ensure_future(bench.streamed()) for _ in range(3)]
    await settled_loop()
    line = bench.gateway._desk.health.deployment("fake/small").line
    assert line.inside == 3
    bench.provider.go.set()
    await settled_loop()
    assert line.inside == held
    bench.provider.end.set()
    await asyncio.gather(*calls)
    assert (line.inside, line.waiting) == (0, 0)


@pytest.mark.requirement("GW-28")
async def test_a_declared_number_of_calls_at_once_is_never_exceeded_and_tenants_take_turns():
    one = (Tier("small", (deployment("small", max_concurrent=2),)),)
    bench = Bench(Slow(), tiers=one)
    order = []

    async def call(tenant):
        await bench.chat(caller=structs.replace(CALLER, tenant=tenant))
        order.append(tenant)

    calls = [asyncio.ensure_future(call(tenant)) for tenant in "llllllllqq"]
    await settled_loop()
    line = bench.gateway._desk.health.deployment("fake/small").line
    assert (line.inside, line.waiting) == (2, 8)
    bench.provider.go.set()
    await asyncio.gather(*calls)
    assert set(order[2:6]) == {"l", "q"}, (
        "the one who asked for eight does not keep the other one waiting for all of them"
    )


@pytest.mark.requirement("GW-28")
async def test_a_line_that_is_full_turns_the_flood_away_and_not_the_tenant_who_asks_for_little():
    gate = Gate(Admission(max_concurrent=1, max_waiting=3, retry_after_s=2.0))
    place = await gate.enter(Deadline.after(CLOCK, 60), CLOCK, "loud")
    loud = [asyncio.ensure_future(gate.enter(Deadline.after(CLOCK, 60), CLOCK, "loud")) for _ in range(3)]
    await settled_loop()
    with pytest.raises(Shed) as shed:
        await gate.enter(Deadline.after(CLOCK, 60), CLOCK, "loud")
    assert shed.value.retry_after_s >= 2.0
    quiet = asyncio.ensure_future(gate.enter(Deadline.after(CLOCK, 60), CLOCK, "quiet"))
    await settled_loop()
    assert [each.done() for each in loud] == [False, False, True]
    assert isinstance(loud[2].exception(), Shed)
    with place:
        pass
    for turn in (loud[0], quiet, loud[1]):
        with await turn:
            pass
    assert (gate.inside, gate.waiting) == (0, 0)
