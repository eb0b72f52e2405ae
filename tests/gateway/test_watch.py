"""The one timer of all tries: it ends whoever overstays, and nobody else."""

from __future__ import annotations

import asyncio

import pytest

from interlock.gateway.watch import Watch


async def stay(watch: Watch, seconds: float, sleep_s: float) -> str:
    try:
        with watch.over(seconds):
            await asyncio.sleep(sleep_s)
    except TimeoutError:
        return "expired"
    return "done"


async def test_only_those_who_overstay_are_ended_whatever_the_order_in_which_they_came():
    watch = Watch()
    ended = asyncio.gather(stay(watch, 60.0, 0.03), stay(watch, 0.01, 60.0), stay(watch, 0.02, 60.0))
    assert await asyncio.wait_for(ended, 30.0) == ["done", "expired", "expired"]


async def test_one_that_comes_after_the_timer_has_fired_is_watched_too():
    watch = Watch()
    assert await stay(watch, 0.01, 30.0) == "expired"
    assert await asyncio.wait_for(stay(watch, 0.01, 60.0), 30.0) == "expired"


async def test_a_cancellation_from_outside_stays_one():
    watch = Watch()
    task = asyncio.create_task(stay(watch, 30.0, 30.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_body_passes_through():
    with pytest.raises(ValueError, match="mine"), Watch().over(30.0):
        raise ValueError("mine")


def test_a_watch_may_be_used_by_one_event_loop_after_another():
    watch = Watch()
    assert asyncio.run(stay(watch, 30.0, 0.0)) == "done"
    assert asyncio.run(stay(watch, 0.01, 30.0)) == "expired"
