"""What every back end of the exact cache has to do, as checks that its own tests can run.

    async def test_my_store_conforms(case):      # parametrised over interlock.testing.answers.CASES
        await case(Subject(store, clock, settled, store_of_another_process))

Above: tests. Below: `core`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from interlock.core.answers import KEY_BYTES, AnswerStore, CacheEntry, Keeping
from interlock.core.time import NS_PER_S

from .clock import FakeClock


class Subject(Struct, frozen=True):
    """A back end under test, empty, with room for at least four entries."""

    store: AnswerStore
    clock: FakeClock
    settled: Callable[[], Awaitable[object]]
    """Returns when what was put before can be read."""
    elsewhere: AnswerStore
    """The same entries as another process has them; `store` itself where there is no other."""


def key(name: str) -> bytes:
    """A digest-like key."""
    return name.encode().ljust(KEY_BYTES, b"\x00")


async def put(subject: Subject, name: str, value: bytes, *, tenant: str = "acme", kept_s: float = 60.0) -> Keeping:
    """Keeps one entry, fresh for half its time."""
    now_ns = subject.clock.wall_ns()
    kept_ns = int(kept_s * NS_PER_S)
    keeping = Keeping(tenant, key(name), value, now_ns, now_ns + kept_ns // 2, now_ns + kept_ns)
    await subject.store.put([keeping])
    await subject.settled()
    return keeping


async def keeps_bytes_as_they_are(subject: Subject) -> None:
    """Every byte comes back, with its instants; what was never put is not there."""
    for name, value in (("empty", b""), ("all", bytes(range(256)) * 300)):
        kept = await put(subject, name, value)
        assert await subject.store.get("acme", key(name)) == CacheEntry(value, kept.stored_ns, kept.fresh_until_ns)
    assert await subject.store.get("acme", key("other")) is None


async def the_later_one_stays(subject: Subject) -> None:
    """Also inside one group."""
    now_ns = subject.clock.wall_ns()
    group = [Keeping("acme", key("k"), each, now_ns, now_ns + NS_PER_S, now_ns + 2 * NS_PER_S) for each in (b"1", b"2")]
    await subject.store.put(group)
    await subject.settled()
    found = await subject.store.get("acme", key("k"))
    assert found is not None
    assert found.value == b"2"


async def keeps_tenants_apart(subject: Subject) -> None:
    """Even under one key, and `clear` touches one tenant only."""
    await put(subject, "a", b"theirs", tenant="one")
    await put(subject, "b", b"ours", tenant="two")
    assert await subject.store.get("two", key("a")) is None
    assert await subject.store.clear("one") == 1
    await subject.settled()
    assert await subject.store.get("one", key("a")) is None
    assert await subject.store.get("two", key("b")) is not None
    assert await subject.store.clear() == 1


async def tells_its_keys(subject: Subject) -> None:
    """To another process: all of them, or what has come since it looked."""
    first = await put(subject, "a", b"x")
    assert await subject.elsewhere.keys(0) == [key("a")]
    subject.clock.advance(5)
    await put(subject, "b", b"x")
    assert await subject.elsewhere.keys(first.keep_until_ns) == [key("b")]
    assert set(await subject.elsewhere.keys(0)) == {key("a"), key("b")}


CASES = (keeps_bytes_as_they_are, the_later_one_stays, keeps_tenants_apart, tells_its_keys)
