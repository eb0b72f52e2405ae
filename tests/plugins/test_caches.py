"""The back ends of the exact cache, and the memory in front of them."""

import asyncio
from hashlib import blake2b

import pytest

from interlock.core.answers import Keeping
from interlock.core.errors import StoreUnavailable
from interlock.ledger import Recorder, StoredCache
from interlock.plugins.caches.front import FrontedCache
from interlock.plugins.caches.known import KnownKeys
from interlock.plugins.caches.memory import MemoryCache
from interlock.storage import SqliteStore
from interlock.storage.redis_answers import RedisAnswers
from interlock.testing.answers import CASES, Subject, key, put
from interlock.testing.clock import FakeClock
from tests.storage.redis_kit import Server


async def at_once():
    return None


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.kill()


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def subject(request, tmp_path):
    clock = FakeClock()
    if request.param == "memory":
        memory = MemoryCache()
        yield Subject(memory, clock, at_once, memory)
    elif request.param == "sqlite":
        store = SqliteStore.open(tmp_path / "cache.db", synchronous="normal")
        recorder = Recorder(store, clock)
        recorder.start()
        one, other = (StoredCache(store, recorder, clock) for _ in range(2))
        yield Subject(one, clock, lambda: recorder.run(lambda _: None), other)
        await recorder.close()
        store.close()
    else:
        answers = RedisAnswers(request.getfixturevalue("redis_url"), clock, prefix=f"t{id(clock)}", timeout_s=5.0)
        yield Subject(answers, clock, at_once, answers)
        await answers.close()


@pytest.mark.requirement("GW-19")
@pytest.mark.parametrize("case", CASES, ids=[case.__name__ for case in CASES])
async def test_every_back_end_keeps_the_contract(case, subject):
    await case(subject)


@pytest.mark.requirement("GW-19")
async def test_an_answer_outlives_the_memory_that_it_was_put_into(subject):
    first = FrontedCache(subject.clock, MemoryCache(), subject.store)
    first.start()
    now = subject.clock.wall_ns()
    first.put([Keeping("acme", key("k"), b"answer", now, now + 10**10, now + 10**11)])
    await first.close()
    await subject.settled()
    second = FrontedCache(subject.clock, MemoryCache(), subject.elsewhere)
    assert not second.elsewhere(key("k")), "nothing is known before the keys were read"
    await second.look_once()
    assert second.at_hand(key("k")) is None
    assert second.elsewhere(key("k"))
    assert not second.elsewhere(key("other"))
    found = await second.fetch(key("k"), "acme")
    assert found is not None
    assert found.value == b"answer"
    assert second.at_hand(key("k")) is not None, "what was fetched is at hand from then on"


async def test_what_another_process_puts_is_learned_at_the_next_look(subject):
    mine = FrontedCache(subject.clock, MemoryCache(), subject.elsewhere, lifetime_s=60.0)
    await put(subject, "first", b"x")
    await mine.look_once()
    subject.clock.advance(3)
    await put(subject, "second", b"x")
    assert not mine.elsewhere(key("second"))
    await mine.look_once()
    assert mine.elsewhere(key("first"))
    assert mine.elsewhere(key("second"))


async def test_what_a_process_stored_itself_is_not_read_back_to_it(tmp_path):
    clock, store = FakeClock(), SqliteStore.open(tmp_path / "cache.db", synchronous="normal")
    recorder = Recorder(store, clock)
    recorder.start()
    one, other = (StoredCache(store, recorder, clock) for _ in range(2))
    ours, theirs = (Subject(each, clock, lambda: recorder.run(lambda _: None), each) for each in (one, other))
    await put(ours, "a", b"x")
    await put(ours, "b", b"x")
    assert await one.keys(1) == []
    assert set(await one.keys(0)) == {key("a"), key("b")}, "asked for all of them"
    await put(theirs, "c", b"x")
    await put(ours, "d", b"x")
    assert set(await one.keys(1)) == {key("c"), key("d")}
    assert await one.keys(1) == []
    await recorder.close()
    store.close()


async def test_redis_keeps_no_more_than_it_may(redis_url):
    clock = FakeClock()
    answers = RedisAnswers(redis_url, clock, prefix="bounded", max_entries=4, timeout_s=5.0)
    subject = Subject(answers, clock, at_once, answers)
    for place in range(10):
        await put(subject, f"k{place}", b"x", kept_s=100 + place)
    kept = await answers.keys(0)
    assert kept == [key(f"k{place}") for place in (9, 8, 7, 6)], "those that live longest"
    assert await answers.get("acme", key("k0")) is None
    await answers.close()


class Broken(MemoryCache):
    """A store that is down, or hangs."""

    def __init__(self, *, hangs=False):
        super().__init__()
        self.hangs = hangs
        self.asked = 0

    async def get(self, tenant, key):
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        raise StoreUnavailable("down.")


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_store_that_is_down_or_hangs_is_a_miss_within_its_bound(hangs):
    store = Broken(hangs=hangs)
    cache = FrontedCache(FakeClock(), MemoryCache(), store)
    cache._known.add([key("k")])
    assert cache.elsewhere(key("k"))
    assert await cache.fetch(key("k"), "acme") is None
    assert cache.failing
    assert not cache.elsewhere(key("k")), "nobody waits for it again"
    await cache.look_once()
    assert cache.elsewhere(key("k")), "until it has told its keys"


async def test_a_miss_asks_no_store():
    store = Broken()
    cache = FrontedCache(FakeClock(), MemoryCache(), store)
    assert cache.at_hand(key("k")) is None
    assert not cache.elsewhere(key("k"))
    assert store.asked == 0


async def test_many_answers_are_written_in_few_groups():
    groups = []

    class Counting(MemoryCache):
        async def put(self, group):
            groups.append(len(group))
            await super().put(group)

    cache = FrontedCache(FakeClock(), MemoryCache(), store := Counting())
    cache.start()
    for place in range(3_000):
        cache.put([Keeping("acme", key(str(place)), b"x" * 100, 0, 1, 2)])
    assert groups == []
    await cache.close()
    assert groups == [2048, 952]
    assert len(store) == 3_000


async def test_clearing_a_tenant_takes_what_waits_too():
    cache = FrontedCache(FakeClock(), MemoryCache(), store := MemoryCache())
    cache.start()
    cache.put([Keeping("a", key("1"), b"x", 0, 1, 2)])
    cache.put([Keeping("b", key("2"), b"x", 0, 1, 2)])
    assert await cache.clear("a") == 1
    await cache.close()
    assert await store.keys(0) == [key("2")]
    assert cache.at_hand(key("1")) is None
    assert cache.at_hand(key("2")) is not None


def test_known_keys_forget_nothing_recent_and_the_oldest_in_time():
    known = KnownKeys(2_000)
    keys = [place.to_bytes(8, "big") * 2 + b"tail" for place in range(6_000)]
    mixed = [blake2b(each, digest_size=20).digest() for each in keys]
    for at in range(0, 5_000, 500):
        known.add(mixed[at : at + 500])
    assert all(each in known for each in mixed[3_000:5_000])
    assert sum(each in known for each in mixed[5_000:]) <= 30, "one in a hundred or so of those that are not there"
    assert sum(each in known for each in mixed) <= 4_100
