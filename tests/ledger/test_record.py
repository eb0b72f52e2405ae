"""The recorder: one event per call, whatever happens to the store meanwhile."""

import asyncio
import threading

import pytest

from interlock.core.answers import CacheEntry, Keeping
from interlock.core.errors import Fenced, LedgerFull, StoreUnavailable
from interlock.core.store import Signal, TaskFilter
from interlock.core.time import SystemClock
from interlock.ledger import Recorder, RecorderLimits, StoredCache, TaskLog
from interlock.storage import SqliteStore
from tests.ledger.kit import PRICE, T0, Clock, Gate, call, calls_in, crashed, die, finished, locked, started

SMALL = RecorderLimits(
    calls=32, group=8, flush_window_s=0.001, append_wait_s=0.2, retry_first_s=0.005, retry_longest_s=0.02
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def store(path):
    opened = SqliteStore.open(path, busy_timeout_s=0.05, synchronous="normal")
    yield opened
    opened.close()


@pytest.fixture
def gate(store):
    return Gate(store)


@pytest.fixture
async def recorder(gate, path):
    made = Recorder(gate, SystemClock(), path=path, price_of_version={"v1": PRICE}.get, limits=SMALL)
    made.start()
    yield made
    gate.down = False
    await made.close()


def settle(recorder, name, **fields):
    slot = recorder.open(crashed(name))
    recorder.settle(slot, call(name, **fields), {"response": {"text": "Friday."}})


async def until(condition):
    """Waits for the writing thread, at most a minute."""
    for _ in range(6_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within a minute")


@pytest.mark.requirement("OB-03")
async def test_every_settled_call_becomes_one_event_with_its_price(recorder, store, path):
    for n in range(100):
        settle(recorder, f"t{n}")
        if n % 10 == 9:
            await until(lambda: recorder.health().queued < 16)
    assert await recorder.close() == 0
    assert calls_in(path) == sorted(f"cal_t{n}_1" for n in range(100))
    assert store.price("v1") == PRICE
    assert store.totals().events_nano_usd == 100 * call("t").cost_nano_usd
    assert list(path.parent.glob("*.flight*")) == []


async def test_an_append_is_committed_when_it_returns_after_everything_settled_before(recorder, store):
    await recorder.append([started("t1")])
    slot = recorder.open(crashed("t1"))
    recorder.settle(slot, call("t1"))
    await recorder.append([finished("t1", 2)])
    assert [each.seq for each in store.records("t1")] == [0, 1, 2]


async def test_appends_of_many_tasks_share_transactions(recorder, gate, store):
    await asyncio.gather(*(recorder.append([started(f"t{n}")]) for n in range(64)))
    assert len(store.tasks.list(TaskFilter(limit=100))) == 64
    assert gate.writes < 40


async def test_a_fenced_append_fails_alone(recorder, store):
    log = TaskLog(recorder, store, SystemClock())
    fence = await log.begin(started("t1"))
    stale, fine = await asyncio.gather(
        recorder.append([finished("t1", 5, fence=fence + 1)]), recorder.append([started("t2")]), return_exceptions=True
    )
    assert isinstance(stale, Fenced)
    assert fine is None


@pytest.mark.requirement("OB-03")
async def test_calls_go_on_while_the_store_fails_up_to_the_stated_bound_and_nothing_is_lost(
    recorder, gate, store, path
):
    settle(recorder, "before")
    gate.down = True
    for n in range(SMALL.calls):
        settle(recorder, f"t{n}")
        if n == 10:
            await until(lambda: recorder.health().state == "behind")
            assert "disk is full" in recorder.health().last_error
        if recorder._slots.used == SMALL.calls:
            break
    while recorder._slots.used < SMALL.calls:
        settle(recorder, f"more{recorder._slots.used}")
    with pytest.raises(LedgerFull, match=r"no further call can be accounted for.*disk is full.*Mend the store"):
        recorder.open(crashed("refused"))
    health = recorder.health()
    assert (health.state, health.refused, health.queued >= SMALL.calls - 1) == ("full", 1, True)
    gate.down = False
    await until(lambda: recorder.health().queued == 0)
    assert recorder.health().state == "ok"
    settle(recorder, "after")
    await recorder.close()
    written = calls_in(path)
    assert len(written) == len(set(written)) >= SMALL.calls + 1
    assert {"cal_before_1", "cal_t0_1", "cal_after_1"} <= set(written)
    totals = store.totals()
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd


async def test_a_database_locked_by_somebody_else_only_delays(recorder, path):
    with locked(path):
        for n in range(20):
            settle(recorder, f"t{n}")
        await until(lambda: recorder.health().state == "behind")
        assert "Another process holds" in recorder.health().last_error
    await until(lambda: recorder.health().queued == 0)
    assert len(calls_in(path)) == 20


async def test_a_full_disk_only_delays(recorder, store, path):
    writer = store._database._writer
    writer.execute(f"PRAGMA max_page_count = {writer.execute('PRAGMA page_count').fetchone()[0]}")
    for n in range(30):
        settle(recorder, f"t{n}")
    await until(lambda: recorder.health().state == "behind")
    assert "free some space" in recorder.health().last_error
    writer.execute("PRAGMA max_page_count = 1000000")
    await until(lambda: recorder.health().queued == 0)
    assert len(calls_in(path)) == 30


async def test_an_append_gives_up_within_its_bound_and_is_then_not_written(recorder, gate, store):
    gate.down = True
    with pytest.raises(StoreUnavailable, match=r"not written within 0\.2 s.*disk is full"):
        await recorder.append([started("t1")])
    gate.down = False
    await recorder.append([started("t2")])
    assert store.tasks.get("t1") is None


async def test_a_cancelled_append_that_was_still_waiting_is_not_written(recorder, gate, store):
    gate.down = True
    waiting = asyncio.create_task(recorder.append([started("t1")]))
    await until(lambda: recorder.health().queued == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.down = False
    await recorder.append([started("t2")])
    assert store.tasks.get("t2") is not None


async def test_the_byte_bound_counts_contents(gate, path):
    limits = RecorderLimits(
        calls=32, buffered_bytes=50_000, flush_window_s=0.001, retry_first_s=0.005, retry_longest_s=0.02
    )
    recorder = Recorder(gate, SystemClock(), path=path, limits=limits)
    recorder.start()
    gate.down = True
    for n in range(3):
        recorder.settle(recorder.open(crashed(f"t{n}")), call(f"t{n}"), {"text": "x" * 20_000})
    with pytest.raises(LedgerFull):
        recorder.open(crashed("t9"))
    gate.down = False
    await recorder.close()
    assert len(calls_in(path)) == 3


async def test_one_record_that_cannot_be_written_does_not_hold_up_the_others(recorder, store, path, caplog):
    settle(recorder, "t1")
    recorder.settle(recorder.open(crashed("t2")), call("t2", started_ns=2**63), None)
    settle(recorder, "t3")
    await until(lambda: recorder.health().queued == 0)
    assert recorder.health().rejected == 1
    assert "cannot hold these records" in caplog.text
    assert calls_in(path) == ["cal_t1_1", "cal_t3_1"]


async def test_what_is_left_at_the_end_of_the_drain_is_there_at_the_next_start(gate, store, path):
    first = Recorder(gate, SystemClock(), path=path, limits=SMALL)
    first.start()
    gate.down = True
    settle(first, "t1")
    first.open(crashed("t2"))
    assert await first.close(0.05) == 1
    gate.down = False
    second = Recorder(gate, SystemClock(), path=path, limits=SMALL)
    assert second.start() == 2
    assert second.health().recovered == 2
    await second.close()
    assert calls_in(path) == ["cal_t1_1", "cal_t2_1"]
    assert store.records("t1")[0].event == call("t1")
    assert store.records("t1")[0].content == {"response": {"text": "Friday."}}
    assert store.records("t2")[0].event.status == "crashed"


async def test_a_process_that_dies_leaves_each_call_once(gate, path):
    first = Recorder(gate, SystemClock(), path=path, limits=SMALL)
    first.start()
    settle(first, "committed")
    await until(lambda: first.health().queued == 0)
    gate.down = True
    settle(first, "settled")
    first.open(crashed("open"))
    die(first)
    gate.down = False
    for _ in range(2):
        again = Recorder(gate, SystemClock(), path=path, limits=SMALL)
        again.start()
        await again.close()
    assert calls_in(path) == ["cal_committed_1", "cal_open_1", "cal_settled_1"]


async def test_a_closed_ledger_takes_on_no_call(recorder):
    await recorder.close()
    with pytest.raises(LedgerFull, match="shutting down"):
        recorder.open(crashed("t1"))


async def test_a_call_that_ends_after_the_ledger_was_closed_is_settled_at_the_next_start(gate, path):
    first = Recorder(gate, SystemClock(), path=path, limits=SMALL)
    first.start()
    slot = first.open(crashed("t1"))
    await first.close()
    first.settle(slot, call("t1"))
    second = Recorder(gate, SystemClock(), path=path, limits=SMALL)
    assert second.start() == 1
    await second.close()
    assert calls_in(path) == ["cal_t1_1"]


async def test_two_recorders_of_one_process_have_their_own_journals(gate, store, path):
    one, two = (Recorder(gate, SystemClock(), path=path, limits=SMALL) for _ in range(2))
    one.start()
    slot = one.open(crashed("t1"))
    assert two.start() == 0
    one.settle(slot, call("t1"))
    settle(two, "t2")
    await one.close()
    await two.close()
    assert calls_in(path) == ["cal_t1_1", "cal_t2_1"]


async def test_threads_may_settle(recorder, path):
    def work(name):
        for n in range(5):
            settle(recorder, f"{name}{n}")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    await recorder.close()
    assert len(calls_in(path)) == 20


async def test_a_task_goes_through_its_life_in_the_log(recorder, store):
    clock = Clock()
    log = TaskLog(recorder, store, clock, owner="worker-1", lease_s=30, is_alive=lambda owner: owner != "dead")
    fence = await log.begin(started("t1", batch="f", line=3))
    assert await log.claim("t1") is None
    assert await log.renew(["t1"]) == []
    assert await log.signal(Signal("t1", "s1", "approval", {"decision": "approve"}, T0)) is True
    assert [each.name for each in await log.pending("t1")] == ["approval"]
    await log.consume("t1", ["s1"])
    assert await log.pending("t1") == []
    assert await log.release("t1", fence) is True
    assert [row.id for row in await log.runnable()] == ["t1"]
    again = await log.claim("t1")
    assert again is not None
    assert again == fence + 1
    with pytest.raises(Fenced):
        await log.append([finished("t1", 1, fence=fence)])
    await log.append([finished("t1", 1, fence=again)])
    assert [row and row.status for row in (await log.get("t1"), await log.find("f", 3))] == ["finished", "finished"]
    assert len(await log.records("t1")) == 2
    assert await log.scrub("t1", "none", str) == 2
    assert await log.unfinished() == []
    assert [row.id for row in await log.of_batch("f")] == ["t1"]


async def test_the_cache_writes_behind_the_ledger_and_loses_what_cannot_be_written(recorder, gate):
    clock = Clock()
    cache = StoredCache(gate, recorder, clock)
    key = b"k" * 20
    await cache.put([Keeping("acme", key, b"answer", T0, T0 + 10, T0 + 20)])
    await recorder.run(lambda _: None)
    assert await cache.get("acme", key) == CacheEntry(b"answer", T0, T0 + 10)
    gate.down = True
    settle(recorder, "t1")
    await until(lambda: recorder.health().state == "behind")
    await cache.put([Keeping("acme", b"l" * 20, b"x", T0, T0, T0 + 99)])
    gate.down = False
    await recorder.run(lambda _: None)
    assert await cache.get("acme", b"l" * 20) is None
