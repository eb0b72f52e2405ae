"""Limits and keys that replicas share, on a real redis-server that is killed and paused."""

import asyncio
import contextlib
import gc
import random

import pytest

from interlock.core.caller import Caller, Secret
from interlock.core.errors import LimitUnknown, QuotaReached, StoreUnavailable
from interlock.core.ids import SystemIds
from interlock.core.keys import KeyRecord
from interlock.core.limits import Limit
from interlock.core.time import SystemClock
from interlock.gateway.quota import Quotas
from interlock.storage.redis_counts import RedisCounts
from interlock.storage.redis_keys import RedisKeys
from interlock.storage.sqlite import SqliteStore
from interlock.testing.clock import FakeClock
from tests.storage.redis_kit import Server

ANN = Caller("acme", user="ann", key_id="key_1")
BUDGET = Limit("budget", ("tenant",), period="day", tokens=1_000, scope="global")


# redis-py drops a connection whose handshake timed out without closing it, and says so when it is collected.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def redis(tmp_path):
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()
    gc.collect()


class Replica:
    """One gateway's limits over the shared Redis."""

    def __init__(self, redis, *limits, timeout_s=20.0, clock=None):
        clock = clock or SystemClock()
        self.counts = RedisCounts(redis.url, clock, SystemIds(clock), timeout_s=timeout_s)
        self.quotas = Quotas(limits, clock, shared=self.counts)

    async def ask(self, tokens=100, caller=ANN):
        held = self.quotas.reserve(caller, "m", tokens, 0, 0, 0, 16)
        if held is not None and held.who.shared:
            await self.quotas.confirm(held, 60.0)
        return held

    def settle(self, held, tokens):
        self.quotas.settle(held, (1, tokens, 0, tokens, 0, 0))

    async def settled(self):
        """Returns when everything that was settled has arrived."""
        async with asyncio.timeout(60):
            while (
                self.counts._waiting or self.counts._lost or (self.counts._sending and not self.counts._sending.done())
            ):
                await asyncio.sleep(0.01)


def at_once(asking):
    """What comes of it without a wait: only the first to notice that Redis is gone waits."""
    try:
        asking.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def counted(redis, place=3):
    client = redis.client()
    return sum(int(client.hget(key, place) or 0) for key in client.scan_iter("interlock:count:*"))


@pytest.mark.requirement("GW-34")
async def test_replicas_never_reserve_more_than_the_limit_and_come_to_the_truth(redis):
    rng = random.Random(5)
    replicas = [Replica(redis, BUDGET) for _ in range(3)]
    spent, refused, highest = 0, 0, 0
    open_calls = []

    async def call(replica):
        nonlocal refused
        try:
            held = await replica.ask(rng.randrange(20, 120))
        except QuotaReached:
            refused += 1
        else:
            open_calls.append((replica, held))

    for _ in range(40):
        await asyncio.gather(*(call(rng.choice(replicas)) for _ in range(8)))
        assert sum(held.amounts[3] for _, held in open_calls) + spent <= 1_000
        highest = max(highest, counted(redis))
        rng.shuffle(open_calls)
        for _ in range(len(open_calls) // 2):
            replica, held = open_calls.pop()
            used = rng.randrange(held.amounts[3] // 4)
            replica.settle(held, used)
            spent += used
    for replica, held in open_calls:
        replica.settle(held, 0)
    for replica in replicas:
        await replica.settled()
        await replica.counts.close()
    assert refused
    assert 900 < highest <= 1_000
    assert counted(redis) == spent


async def test_calls_at_the_same_time_are_counted_over_replicas_and_end_with_their_time(redis):
    limit = Limit("at once", ("key",), concurrency=2, scope="global")
    one, two = Replica(redis, limit), Replica(redis, limit)
    first, _ = await one.ask(), await two.ask()
    with pytest.raises(QuotaReached, match="calls at the same time"):
        await two.ask()
    one.settle(first, 10)
    await one.settled()
    assert await two.ask()
    key = next(iter(redis.client().scan_iter("interlock:count:*")))
    assert redis.client().pttl(key) > 60_000, "a replica that dies holds it no longer than its calls may take"
    for each in (one, two):
        await each.counts.close()


async def test_a_rolling_period_is_added_up_over_its_parts(redis):
    limit = Limit("rolling", ("key",), period="second", rolling=True, requests=3, scope="global")
    clock = FakeClock()
    replica = Replica(redis, limit, clock=clock)
    for _ in range(3):
        replica.settle(await replica.ask(), 1)
    with pytest.raises(QuotaReached):
        await replica.ask()
    clock.advance(1.1)
    assert await replica.ask()
    await replica.counts.close()


@pytest.mark.parametrize("loss", ["kill", "pause"])
async def test_without_redis_each_limit_does_what_it_declares_and_afterwards_the_count_is_true_again(redis, loss):
    lenient = Limit("lenient", ("tenant",), period="day", tokens=1_000, scope="global", on_store_loss="open")
    strict = Limit("strict", ("user",), period="day", tokens=1_000, scope="global")
    opened, closed = Replica(redis, lenient, timeout_s=1.5), Replica(redis, strict, timeout_s=1.5)
    before = await opened.ask()
    getattr(redis, loss)()
    uncounted = [await opened.ask(50), *(at_once(opened.ask(50)) for _ in range(19))]
    with pytest.raises(LimitUnknown, match="strict"):
        await closed.ask()
    with pytest.raises(LimitUnknown):
        at_once(closed.ask())
    opened.settle(before, 30)
    for held in uncounted:
        opened.settle(held, 7)
    redis.start() if loss == "kill" else redis.go_on()
    for each in (opened, closed):
        await each.settled()
    client = redis.client()
    total = sum(int(client.hget(key, 3) or 0) for key in client.scan_iter("interlock:count:lenient*"))
    assert total == 140 if loss == "kill" else total == 170, "a Redis that forgot everything knows what came after"
    if loss == "kill":  # one that only stood still may have taken in a question after its withdrawal
        assert not any(int(client.hget(key, 3) or 0) for key in client.scan_iter("interlock:count:strict*"))
    assert await closed.ask()
    for each in (opened, closed):
        await each.counts.close()


async def test_a_client_that_leaves_while_redis_is_asked_holds_nothing(redis):
    replica = Replica(redis, BUDGET)
    task = asyncio.create_task(replica.ask())
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await replica.settled()
    assert counted(redis) == 0
    await replica.counts.close()


async def test_a_settlement_that_arrives_twice_counts_once(redis):
    replica = Replica(redis, BUDGET)
    held = await replica.ask()
    assert held is not None
    remote = held.remote
    assert remote is not None
    replica.settle(held, 40)
    replica.counts.settle(remote.reservation, remote.asks, (1, 40, 0, 40, 0, 0), counted=False)
    await replica.settled()
    assert counted(redis) == 40
    await replica.counts.close()


async def test_limits_of_replicas_without_a_redis_do_what_they_declare():
    clock = SystemClock()
    nowhere = RedisCounts(Secret("redis://127.0.0.1:1/0"), clock, SystemIds(clock), timeout_s=0.2)
    quotas = Quotas([BUDGET], clock, shared=nowhere)
    held = quotas.reserve(ANN, "m", 10, 0, 0, 0, 16)
    assert held is not None
    with pytest.raises(LimitUnknown, match="budget"):
        await quotas.confirm(held, 1.0)
    await nowhere.close()


def record(name, created_ns=1, **fields):
    return KeyRecord(name, name, "acme", f"hash-{name}", "il-abc", created_ns, **fields)


@pytest.mark.requirement("GW-34")
def test_keys_are_the_same_for_every_replica_and_stay_when_redis_goes(redis, tmp_path):
    stores = [SqliteStore.open(tmp_path / f"{name}.db") for name in "ab"]
    one, two = (RedisKeys(redis.url, store.keys, timeout_s=20.0) for store in stores)
    one.put_key(record("x"))
    version = two.keys_version()
    one.put_key(record("x", revoked_ns=7))
    assert two.keys_version() > version
    assert [each.revoked_ns for each in two.records()] == [7]
    redis.kill()
    assert [each.revoked_ns for each in two.records()] == [7], "its own copy"
    with pytest.raises(StoreUnavailable):
        two.put_key(record("y"))
    redis.start()
    assert [each.id for each in one.records()] == ["x"], "a Redis that has forgotten them is told"
    assert [each.id for each in two.records()] == ["x"]
    for store in stores:
        store.close()


@pytest.mark.requirement("GW-34")
def test_a_redis_that_comes_back_with_an_older_memory_brings_no_revoked_key_back(redis, tmp_path):
    store = SqliteStore.open(tmp_path / "a.db")
    keys = RedisKeys(redis.url, store.keys, timeout_s=20.0)
    keys.put_key(record("x"))
    older = keys._redis.hgetall(keys._all)
    keys.put_key(record("x", revoked_ns=7))
    keys._redis.hset(keys._all, mapping=older)
    assert [each.revoked_ns for each in keys.records()] == [7]
    assert '"revoked_ns":7' in keys._redis.hgetall(keys._all)["x"], "the others learn of it"
    store.close()
