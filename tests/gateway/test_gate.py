"""Bounded concurrency."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.errors import Shed
from interlock.core.time import Deadline, SystemClock
from interlock.gateway.admit import Gate
from interlock.gateway.settings import Admission

CLOCK = SystemClock()


async def test_a_place_that_comes_free_goes_to_who_waits_longest():
    gate = Gate(Admission(max_concurrent=1, max_waiting=5))
    order = []

    async def call(name):
        with await gate.enter(Deadline.after(CLOCK, 5), CLOCK):
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*(call(name) for name in "abcde"))
    assert order == list("abcde")
    assert (gate.inside, gate.waiting) == (0, 0)


async def test_whoever_finds_the_line_full_is_turned_away_at_once():
    gate = Gate(Admission(max_concurrent=1, max_waiting=0, retry_after_s=2.0))
    with await gate.enter(Deadline.after(CLOCK, 5), CLOCK), pytest.raises(Shed) as shed:
        await gate.enter(Deadline.after(CLOCK, 5), CLOCK)
    assert shed.value.retry_after_s == 2.0


async def test_nobody_waits_longer_than_the_deadline():
    gate = Gate(Admission(max_concurrent=1, max_waiting=5))
    with await gate.enter(Deadline.after(CLOCK, 5), CLOCK), pytest.raises(Shed):
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
            with await gate.enter(Deadline.after(CLOCK, 5), CLOCK):
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
