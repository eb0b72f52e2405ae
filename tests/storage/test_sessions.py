"""Sessions: shared by processes, apart by tenant, ended by time, never half changed; the same on SQLite, PostgreSQL and Redis."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from redis import Redis

from interlock.core.answers import Keeping
from interlock.core.errors import StoreUnavailable
from interlock.core.sessions import SessionStore, SessionTooLarge
from interlock.core.time import SystemClock
from interlock.ledger import Recorder
from interlock.ledger.sessions import StoredSessions
from interlock.storage.redis_answers import RedisAnswers
from interlock.storage.redis_sessions import RedisSessions
from interlock.storage.sealing.beside import room
from interlock.storage.sealing.envelope import Envelope
from interlock.storage.sealing.keyring import Keyring
from interlock.storage.sealing.master import LocalMaster
from interlock.storage.sealing.shared import SealedAnswers, SealedSharedSessions
from interlock.testing.clock import FakeClock
from tests.stepping import Stepping
from tests.storage.conftest import Opened
from tests.storage.redis_kit import Server

Another = Callable[[], SessionStore]
"""The same sessions once more, as another process has them."""


@pytest.fixture
async def stored(opened: Opened, tmp_path: Path) -> AsyncGenerator[Another]:
    recorders: list[Recorder] = []

    def another() -> SessionStore:
        store, clock = opened(), SystemClock()
        recorders.append(Recorder(store, clock, path=tmp_path / f"{len(recorders)}.db"))
        recorders[-1].start()
        return StoredSessions(recorders[-1], store, clock, ttl_s=60, max_bytes=1_000)

    yield another
    for each in recorders:
        await each.close()


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncGenerator[Another]:
    server, made = Server(tmp_path), list[RedisSessions]()
    server.start()

    def another() -> SessionStore:
        made.append(RedisSessions(server.url, ttl_s=60, max_bytes=1_000, timeout_s=5.0))
        return made[-1]

    yield another
    for each in made:
        await each.close()
    server.kill()


async def behaves(another: Another) -> None:
    """What holds wherever they are kept."""
    one, other = another(), another()
    assert await one.read("acme", "s1") == {}
    assert await one.change("acme", "s1", {"step": 1, "cart": ["a"], "gone": 1}) == {
        "step": 1,
        "cart": ["a"],
        "gone": 1,
    }
    assert await other.change("acme", "s1", {"step": 2, "gone": None}) == {"step": 2, "cart": ["a"]}
    assert await one.read("acme", "s1") == {"step": 2, "cart": ["a"]}
    assert await one.read("rival", "s1") == {}
    with pytest.raises(SessionTooLarge):
        await one.change("acme", "s1", {"long": "x" * 2_000})
    assert await one.read("acme", "s1") == {"step": 2, "cart": ["a"]}
    await asyncio.gather(*((one, other)[n % 2].change("acme", "s2", {f"k{n}": n}) for n in range(16)))
    assert await one.read("acme", "s2") == {f"k{n}": n for n in range(16)}
    assert await other.forget("acme", "s1")
    assert not await one.forget("acme", "s1")
    assert await other.read("acme", "s1") == {}


@pytest.mark.requirement("ME-01")
async def test_sessions_in_the_store_are_the_same_for_every_process(stored: Another):
    await behaves(stored)


@pytest.mark.requirement("ME-01")
async def test_sessions_in_redis_are_the_same_for_every_replica(redis: Another):
    await behaves(redis)


@pytest.mark.requirement("ME-01")
async def test_thousands_of_sessions_are_read_by_another_replica(redis: Another):
    one, other = redis(), redis()
    for at in range(0, 3_000, 100):
        await asyncio.gather(*(one.change("acme", f"s{n}", {"n": n}) for n in range(at, at + 100)))
    for at in range(0, 3_000, 100):
        found = await asyncio.gather(*(other.read("acme", f"s{n}") for n in range(at, at + 100)))
        assert [each["n"] for each in found] == list(range(at, at + 100))


@pytest.mark.requirement("ME-01")
async def test_a_session_ends_with_its_time_and_is_removed(opened: Opened, tmp_path: Path):
    store, clock = opened(), FakeClock()
    recorder = Recorder(store, clock, path=tmp_path / "one.db")
    recorder.start()
    sessions = StoredSessions(recorder, store, clock, ttl_s=60, max_bytes=1_000)
    await sessions.change("acme", "s1", {"a": 1})
    clock.advance(59)
    await sessions.change("acme", "s1", {"b": 2})
    clock.advance(59)
    assert await sessions.read("acme", "s1") == {"a": 1, "b": 2}
    clock.advance(1)
    assert await sessions.read("acme", "s1") == {}
    assert not await sessions.forget("acme", "s1")
    assert await sessions.change("acme", "s1", {"c": 3}) == {"c": 3}
    clock.advance(61)
    assert (store.sessions.sweep(clock.wall_ns()), store.sessions.sweep(clock.wall_ns())) == (1, 0)
    await recorder.close()


async def test_without_its_redis_it_says_so(tmp_path: Path):
    server = Server(tmp_path)
    sessions = RedisSessions(server.url, ttl_s=60, max_bytes=1_000)
    with pytest.raises(StoreUnavailable, match="read a session"):
        await sessions.read("acme", "s1")
    await sessions.close()


@pytest.mark.requirement("SG-08")
async def test_what_replicas_share_in_redis_behaves_the_same_when_sealed_and_shows_no_word(tmp_path: Path):
    server, clock = Server(tmp_path), SystemClock()
    server.start()
    keyring = Keyring(tmp_path / "keyring.json", [LocalMaster(bytes(32))], Stepping())
    envelope, made = Envelope(keyring), list[SessionStore]()

    def another() -> SessionStore:
        shared = RedisSessions(server.url, ttl_s=60, max_bytes=room(1_000), timeout_s=5.0)
        made.append(SealedSharedSessions(shared, envelope, 1_000))
        return made[-1]

    await behaves(another)
    store, answers = made[0], SealedAnswers(RedisAnswers(server.url, clock, timeout_s=5.0), envelope)
    for user in ("ada", "bob"):
        await store.change("acme", f"{user}/1", {"said": f"canary-{user}"})
    now_ns = clock.wall_ns()
    await answers.put([Keeping("acme", b"k" * 20, b"canary-answer", now_ns, now_ns + 10**12, now_ns + 10**12)])
    redis = Redis.from_url(server.url.reveal())
    held = [bytes(redis.dump(key) or b"") for key in redis.scan_iter("*")]
    assert len(held) > 3
    assert not any(b"canary" in each for each in held)
    assert (await store.read("acme", "ada/1"))["said"] == "canary-ada"
    entry = await answers.get("acme", b"k" * 20)
    assert entry is not None
    assert entry.value == b"canary-answer"
    plain = RedisSessions(server.url, ttl_s=60, max_bytes=1, timeout_s=5.0)
    assert await plain.forget_all("acme", "ada/") == 1
    assert (await store.read("acme", "ada/1"), "said" in await store.read("acme", "bob/1")) == ({}, True)
    keyring.destroy("acme", ("content", "answers"))
    assert (await answers.get("acme", b"k" * 20), await store.read("acme", "bob/1")) == (None, {})
    for each in (*made, answers, plain):
        await each.close()
    server.kill()
