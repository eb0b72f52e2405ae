"""Calls wait for room while the store is merely slow, and are refused when it has failed."""

import asyncio
import threading

import pytest

from interlock.core.errors import LedgerFull
from interlock.core.time import Deadline, SystemClock
from interlock.ledger import Recorder, RecorderLimits
from interlock.storage import SqliteStore
from tests.ledger.kit import Gate, call, crashed

CLOCK = SystemClock()
LIMITS = RecorderLimits(calls=16, group=8, flush_window_s=0.001, retry_first_s=0.005, retry_longest_s=0.02)


class Slow(Gate):
    """A store whose next write waits until it is let go."""

    def __init__(self, store) -> None:
        super().__init__(store)
        self.go = threading.Event()
        self.go.set()

    def write(self, groups, prices=(), lots=()):
        self.go.wait(10.0)
        return super().write(groups, prices, lots)


@pytest.fixture
async def slow(tmp_path):
    store = SqliteStore.open(tmp_path / "store.db", synchronous="normal")
    made = Slow(store)
    yield made
    made.go.set()
    store.close()


@pytest.fixture
async def recorder(slow, tmp_path):
    made = Recorder(slow, CLOCK, path=tmp_path / "store.db", limits=LIMITS)
    made.start()
    yield made
    slow.down = False
    slow.go.set()
    await made.close()


async def one(recorder, name, seconds=60.0):
    await recorder.ready(Deadline.after(CLOCK, seconds))
    recorder.settle(recorder.open(crashed(name)), call(name), {"response": {"text": "Friday."}})


async def filled(recorder):
    """As many calls as the ledger takes on."""
    for number in range(LIMITS.calls):
        await one(recorder, f"t{number}")


@pytest.mark.requirement("OB-03")
async def test_no_call_is_refused_while_the_store_can_be_written_however_fast_they_come(recorder, slow):
    async def client(number):
        for turn in range(50):
            await one(recorder, f"t{number}.{turn}")

    await asyncio.gather(*(client(number) for number in range(12)))
    await recorder.close()
    assert recorder.health().refused == 0
    assert slow.totals().events_nano_usd == 600 * call("t0").cost_nano_usd


async def test_whoever_comes_when_every_slot_is_taken_waits_until_some_are_written(recorder, slow):
    slow.go.clear()
    await filled(recorder)
    waiting = [asyncio.create_task(one(recorder, f"late{number}")) for number in range(4)]
    await asyncio.sleep(0)
    assert not any(each.done() for each in waiting)
    slow.go.set()
    await asyncio.wait_for(asyncio.gather(*waiting), 60.0)
    assert recorder.health().refused == 0


async def test_the_wait_ends_with_the_deadline_and_the_refusal_says_why(recorder, slow):
    slow.go.clear()
    await filled(recorder)
    with pytest.raises(LedgerFull, match="16 calls are open or waiting to be written"):
        await one(recorder, "late", seconds=0.05)


async def test_nobody_waits_for_a_store_that_has_failed(recorder, slow):
    slow.go.clear()
    await filled(recorder)
    waiting = asyncio.create_task(one(recorder, "late"))
    await asyncio.sleep(0)
    slow.down = True
    slow.go.set()
    with pytest.raises(LedgerFull, match="the store has not been writable"):
        await asyncio.wait_for(waiting, 60.0)
    with pytest.raises(LedgerFull, match="the store has not been writable"):
        await asyncio.wait_for(one(recorder, "later"), 60.0)


async def test_a_caller_that_leaves_the_line_holds_up_nobody(recorder, slow):
    slow.go.clear()
    await filled(recorder)
    gone = asyncio.create_task(one(recorder, "gone"))
    waiting = asyncio.create_task(one(recorder, "late"))
    await asyncio.sleep(0)
    gone.cancel()
    slow.go.set()
    await asyncio.wait_for(waiting, 60.0)
    assert gone.cancelled() or (await asyncio.gather(gone, return_exceptions=True))
    assert len(recorder._line) == 0
