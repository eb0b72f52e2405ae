"""Identical calls at the same time."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, Chunk
from interlock.core.errors import UpstreamRejected, UpstreamTimeout
from interlock.core.money import Usage
from interlock.core.ports import ChatReply, Deployment
from interlock.core.time import Deadline
from interlock.gateway.settings import Caching, Settings
from interlock.plugins.caches.front import FrontedCache
from interlock.plugins.caches.memory import MemoryCache
from interlock.testing.clock import FakeClock
from tests.gateway.kit import CALLER, Bench, ask, reply

COALESCE = Settings(caching=Caching(exact=True, coalesce=True))


class Slow:
    """A vendor that answers when it is told to, and counts who asks."""

    def __init__(self, said=None):
        self.said = said
        self.late = None
        """Raised once, by the first to be answered."""
        self.go = asyncio.Event()
        self.sent = 0
        self.cancelled = 0
        self.pieces: asyncio.Queue[str | None] = asyncio.Queue()

    async def chat(self, target: Deployment, request: ChatRequest, deadline: Deadline, key: str):
        self.sent += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        late, self.late = self.late, None
        wrong = late or self.said
        if isinstance(wrong, BaseException):
            raise wrong
        return reply("small")

    async def stream(
        self, target: Deployment, request: ChatRequest, deadline: Deadline, key: str
    ) -> AsyncIterator[Chunk]:
        self.sent += 1
        whole = False
        try:
            while (piece := await self.pieces.get()) is not None:
                yield Chunk(text=piece, raw=f"data: {piece}\n\n".encode(), raw_dialect="fake")
            yield Chunk(finish="stop", usage=Usage(input=20, output=10))
            whole = True
        finally:
            self.cancelled += not whole


def coalescing(provider, settings=COALESCE, **parts):
    return Bench(provider, settings, answers=FrontedCache(FakeClock(), MemoryCache()), **parts)


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


async def read(bench, taken, request=None):
    async for piece in bench.gateway.stream(CALLER, request or ask(stream=True)):
        taken.append(piece)


def raw(pieces):
    return b"".join(piece.raw for piece in pieces if isinstance(piece, Chunk))


@pytest.mark.requirement("GW-23")
async def test_a_thousand_identical_concurrent_calls_make_one_upstream_call():
    bench = coalescing(provider := Slow())
    calls = [asyncio.create_task(bench.chat()) for _ in range(1_000)]
    await turns()
    provider.go.set()
    replies = await asyncio.gather(*calls)
    assert provider.sent == 1
    assert {each.response.text for each in replies} == {"an answer"}
    events = bench.ledger.settled
    assert len(events) == 1_000
    assert not bench.ledger.open_slots
    paid = [each for each in events if each.status == "ok"]
    assert len(paid) == 1
    rest = [each for each in events if each.cache == "coalesced"]
    assert len(rest) == 999
    assert all(each.status == "cache_hit" and each.cost_nano_usd == 0 for each in rest)
    assert {each.saved_nano_usd for each in rest} == {paid[0].cost_nano_usd}


@pytest.mark.requirement("GW-23")
async def test_nothing_is_shared_between_tenants():
    bench = coalescing(provider := Slow())
    calls = [asyncio.create_task(bench.chat(caller=Caller(tenant=each, workflow="w"))) for each in ("a", "b", "a")]
    await turns()
    provider.go.set()
    await asyncio.gather(*calls)
    assert provider.sent == 2


@pytest.mark.requirement("GW-23")
async def test_where_the_leader_is_cancelled_one_who_waits_takes_over():
    bench = coalescing(provider := Slow())
    calls = [asyncio.create_task(bench.chat()) for _ in range(5)]
    await turns()
    calls[0].cancel()
    await turns()
    assert (provider.sent, provider.cancelled) == (2, 1)
    provider.go.set()
    await asyncio.gather(*calls[1:])
    assert provider.sent == 2
    assert sorted(each.status for each in bench.ledger.settled) == ["cache_hit"] * 3 + ["client_gone", "ok"]


async def test_one_who_waits_may_go_and_the_rest_is_served():
    bench = coalescing(provider := Slow())
    calls = [asyncio.create_task(bench.chat()) for _ in range(3)]
    await turns()
    calls[1].cancel()
    await turns()
    provider.go.set()
    await asyncio.gather(calls[0], calls[2])
    assert provider.sent == 1
    assert sorted(each.status for each in bench.ledger.settled) == ["cache_hit", "client_gone", "ok"]


async def test_what_the_vendor_says_of_the_request_is_shared_and_a_limit_of_the_leader_is_not():
    settings = structs.replace(COALESCE, degradation=())
    bench = coalescing(provider := Slow(UpstreamRejected("no such parameter", upstream_status=400)), settings)
    calls = [asyncio.create_task(bench.chat()) for _ in range(10)]
    await turns()
    provider.go.set()
    failed = await asyncio.gather(*calls, return_exceptions=True)
    sent = provider.sent
    assert all(isinstance(each, UpstreamRejected) or "no such parameter" in str(each) for each in failed)
    assert sent <= 2, "one call, and the fallback of its tier"
    assert len(bench.ledger.settled) == 10
    bench = coalescing(provider := Slow())
    short = asyncio.create_task(bench.chat(deadline=Deadline.after(bench.clock, 0.0)))
    other = asyncio.create_task(bench.chat())
    await turns()
    provider.go.set()
    await asyncio.gather(short, other, return_exceptions=True)
    assert other.exception() is None
    bench = coalescing(provider := Slow(UpstreamTimeout("no answer in time.")), settings)
    short = asyncio.create_task(bench.chat(deadline=Deadline.after(bench.clock, 1.0)))
    await turns()
    other = asyncio.create_task(bench.chat())
    await turns()
    bench.clock.advance(2)
    provider.said, late = None, provider.said
    provider.late = late
    provider.go.set()
    await asyncio.gather(short, other, return_exceptions=True)
    assert other.exception() is None, "the leader's patience is its own"


@pytest.mark.requirement("GW-23")
async def test_who_joins_a_stream_late_gets_its_pieces_from_the_beginning():
    bench = coalescing(provider := Slow())
    first, second = [], []
    leader = asyncio.create_task(read(bench, first))
    for piece in ("a", "b"):
        provider.pieces.put_nowait(piece)
    await turns()
    follower = asyncio.create_task(read(bench, second))
    await turns()
    for piece in ("c", "d", None):
        provider.pieces.put_nowait(piece)
    await asyncio.gather(leader, follower)
    assert provider.sent == 1
    assert raw(first) == raw(second) == b"data: a\n\ndata: b\n\ndata: c\n\ndata: d\n\n"
    assert isinstance(second[-1], ChatReply)
    assert second[-1].settled.cache == "coalesced"
    assert [each.status for each in bench.ledger.settled].count("ok") == 1
    later = await bench.streamed()
    assert raw(later) == raw(first)
    assert later[-1].settled.cache == "exact"


@pytest.mark.requirement("GW-23")
async def test_a_stream_that_others_read_goes_on_when_its_leader_leaves():
    bench = coalescing(provider := Slow())
    first, second = [], []
    leader = asyncio.create_task(read(bench, first))
    provider.pieces.put_nowait("a")
    await turns()
    follower = asyncio.create_task(read(bench, second))
    await turns()
    provider.pieces.put_nowait("b")
    await turns()
    leader.cancel()
    await turns()
    for piece in ("c", None):
        provider.pieces.put_nowait(piece)
    await follower
    await turns()
    assert (provider.sent, provider.cancelled) == (1, 0)
    assert raw(second) == b"data: a\n\ndata: b\n\ndata: c\n\n"
    gone, read_along = sorted(bench.ledger.settled, key=lambda each: each.status, reverse=True)
    assert (gone.status, read_along.status) == ("client_gone", "cache_hit")
    assert gone.usage == Usage(input=20, output=10), "the vendor bills it once, and it is counted once"
    assert read_along.cost_nano_usd == 0
    assert not bench.ledger.open_slots


@pytest.mark.requirement("GW-23")
async def test_a_stream_that_nobody_reads_any_more_is_cut_off_and_counted():
    bench = coalescing(provider := Slow())
    leader = asyncio.create_task(read(bench, []))
    provider.pieces.put_nowait("a")
    await turns()
    follower = asyncio.create_task(read(bench, []))
    await turns()
    provider.pieces.put_nowait("b")
    await turns()
    leader.cancel()
    await turns()
    follower.cancel()
    await turns(40)
    assert provider.cancelled == 1
    assert [each.status for each in bench.ledger.settled] == ["client_gone", "client_gone"]
    assert not bench.ledger.open_slots
    assert not bench.gateway._desk.flights.tasks


async def test_a_leader_that_goes_before_anything_was_passed_on_leaves_its_place():
    bench = coalescing(provider := Slow())
    second = []
    leader = asyncio.create_task(read(bench, []))
    await turns()
    follower = asyncio.create_task(read(bench, second))
    await turns()
    leader.cancel()
    await turns()
    for piece in ("x", None):
        provider.pieces.put_nowait(piece)
    await follower
    assert provider.sent == 2
    assert raw(second) == b"data: x\n\n"
    assert second[-1].settled.status == "ok"


@pytest.mark.requirement("GW-23")
@pytest.mark.parametrize("seed", range(12))
async def test_whoever_leaves_whenever_each_call_settles_once_and_the_vendor_is_paid_once(seed):
    """Callers of two tenants come and go at random while the vendor answers piece by piece."""
    rng = random.Random(seed)
    bench = coalescing(provider := Slow())
    tasks: list[asyncio.Task[object]] = []
    began = 0
    for _ in range(60):
        step = rng.random()
        if step < 0.35:
            caller = Caller(tenant=rng.choice(("a", "b")), workflow="w")
            tasks.append(asyncio.create_task(taken_by(bench, caller, stream=rng.random() < 0.7)))
            began += 1
        elif step < 0.5 and tasks:
            rng.choice(tasks).cancel()
        elif step < 0.8:
            provider.pieces.put_nowait("x")
        else:
            await turns(rng.randrange(1, 4))
    await turns()
    provider.go.set()
    for _ in range(60):
        provider.pieces.put_nowait(None)
    done = await asyncio.gather(*tasks, return_exceptions=True)
    await turns(60)
    events = bench.ledger.settled
    entered = len(events)
    assert entered <= began
    assert not bench.ledger.open_slots, "every call that was opened has settled"
    assert len({each.call for each in events}) == entered, "and once"
    attempts = sum(len(each.attempts) for each in events)
    assert attempts == provider.sent, "what the vendor was sent stands in the events, once"
    assert all(each.cost_nano_usd == 0 for each in events if each.cache)
    assert len(bench.gateway._desk.flights) == 0
    assert not bench.gateway._desk.flights.tasks
    unexpected = [each for each in done if isinstance(each, Exception)]
    assert unexpected == []


async def taken_by(bench, caller, *, stream):
    if not stream:
        return await bench.chat(caller=caller)
    return [piece async for piece in bench.gateway.stream(caller, ask(stream=True))]
