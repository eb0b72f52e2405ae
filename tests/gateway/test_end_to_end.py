"""The gateway over the real client and the real dialect, against a vendor on this machine that counts what it bills."""

import asyncio
import contextlib
import random

import pytest

from interlock.core.caller import Caller, Secret
from interlock.core.chat import ChatRequest, Message
from interlock.core.errors import InterlockError
from interlock.core.ids import SystemIds
from interlock.core.ports import Deployment, PluginEnv
from interlock.core.time import SystemClock
from interlock.gateway.chat import Gateway
from interlock.gateway.settings import Caching, Parts, Retrying, Settings, Tier
from interlock.net.client import PooledClient
from interlock.plugins.caches.front import FrontedCache
from interlock.plugins.caches.memory import MemoryCache
from interlock.plugins.profiles import profile_of
from interlock.plugins.providers import openai
from interlock.testing.clock import FakeClock
from interlock.testing.ledger import MemoryLedger
from interlock.testing.upstream import Answer, Upstream
from tests.gateway.kit import price_of

CALLER = Caller(tenant="acme")
RAW = b'{"model":"support","messages":[{"role":"user","content":"Where is my parcel?"}],"stream":%b}'


class Place:
    """A gateway, its ledger, and the vendor."""

    def __init__(self, vendor, http, settings):
        clock = SystemClock()
        self.vendor = vendor
        self.ledger = MemoryLedger()
        at = Deployment(
            "openai", "gpt-4o-mini", "openai", vendor.base_url, Secret("sk-test"), timeout_s=4.0, stall_s=0.5
        )
        self.gateway = Gateway(
            settings,
            Parts(
                ledger=self.ledger,
                clock=clock,
                ids=SystemIds(clock),
                rng=random.Random(1),
                price_of=price_of,
                providers={"openai": openai.build(PluginEnv(http=http, clock=clock, rng=random.Random(1), tier0={}))},
                tiers_of=lambda _: (Tier("small", (at,)),),
                target_of=lambda target, alias: (),
                profile_of=profile_of,
                validator_of=lambda schema: lambda value: [],
                answers=FrontedCache(FakeClock(), MemoryCache()),
            ),
        )

    def request(self, *, stream=False, text="Where is my parcel?"):
        return ChatRequest(
            "support",
            (Message("user", text),),
            stream=stream,
            raw=RAW % (b"true" if stream else b"false"),
            raw_dialect="openai",
        )

    @property
    def booked(self):
        return sum(each.usage.output_total for each in self.ledger.settled)


@pytest.fixture
async def place(request):
    settings = getattr(request, "param", Settings(retrying=Retrying(base_s=0.001)))
    http = PooledClient(SystemClock())
    async with Upstream(api_key="sk-test") as vendor:
        yield Place(vendor, http, settings)
        await http.close()


async def test_a_call_is_forwarded_with_only_the_model_changed_and_answered_with_the_vendors_bytes(place):
    got = await place.gateway.chat(CALLER, place.request())
    assert place.vendor.asked[-1].body == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Where is my parcel?"}],
        "stream": False,
    }
    assert got.response.raw.startswith(b'{"id":')
    assert got.settled.usage.output_total == place.vendor.served.output_tokens


async def test_a_stream_is_relayed_as_the_vendors_bytes_and_its_usage_booked(place):
    pieces = [piece async for piece in place.gateway.stream(CALLER, place.request(stream=True))]
    relayed = b"".join(piece.raw for piece in pieces[:-1])
    assert relayed.endswith(b"data: [DONE]\n\n")
    assert b'"usage":{' not in relayed, "the caller had not asked for it"
    assert place.booked == place.vendor.served.output_tokens > 0


@pytest.mark.parametrize("place", [Settings(caching=Caching(exact=True))], indirect=True)
@pytest.mark.requirement("GW-19")
async def test_a_cached_stream_is_the_same_bytes_and_asks_nobody(place):
    first = [
        piece.raw async for piece in place.gateway.stream(CALLER, place.request(stream=True)) if hasattr(piece, "raw")
    ]
    again = [
        piece.raw async for piece in place.gateway.stream(CALLER, place.request(stream=True)) if hasattr(piece, "raw")
    ]
    assert b"".join(again) == b"".join(first)
    assert place.vendor.served.requests == 1


@pytest.mark.requirement("GW-25")
async def test_an_answer_that_was_cut_and_asked_again_is_booked_twice(place):
    answers = [Answer(cut_after=420, output_tokens=9), Answer(output_tokens=9)]
    place.vendor.script = lambda asked: answers[min(asked.number, 2) - 1]
    await place.gateway.chat(CALLER, place.request())
    (event,) = place.ledger.settled
    assert [each.status for each in event.attempts] == ["error", "ok"]
    assert event.attempts[0].usage.input > 0, "the vendor billed the first one too"
    assert event.cost_nano_usd > event.attempts[1].cost_nano_usd


async def test_a_client_that_leaves_ends_the_vendors_work_and_is_booked_about_what_it_got(place):
    place.vendor.script = lambda asked: Answer(text="word " * 60, piece_delay_s=0.005)
    pieces = place.gateway.stream(CALLER, place.request(stream=True))
    for _ in range(12):
        await anext(pieces)
    await pieces.aclose()
    async with asyncio.timeout(60):
        while not place.vendor.served.aborted:
            await asyncio.sleep(0.005)
    (event,) = place.ledger.settled
    assert event.status == "client_gone"
    assert abs(event.usage.output_total - place.vendor.served.output_tokens) <= 10


async def test_every_call_of_a_mixed_crowd_settles_once_and_nothing_stays_open(place):
    luck = random.Random(7)
    kinds = [
        Answer(),
        Answer(status=500, text="oops"),
        Answer(cut_after=3),
        Answer(stall_after=3),
        Answer(status=429, text="slow", headers=(("retry-after", "0"),)),
        Answer(raw=b"nonsense\r\n\r\n"),
    ]
    place.vendor.script = lambda asked: luck.choice(kinds)

    async def one(number):
        request = place.request(stream=number % 2 == 0)
        with contextlib.suppress(InterlockError):
            if not request.stream:
                await place.gateway.chat(CALLER, request)
                return
            pieces = place.gateway.stream(CALLER, request)
            async with contextlib.aclosing(pieces):
                taken = 0
                async for _ in pieces:
                    taken += 1
                    if number % 5 == 0 and taken == 2:
                        break

    await asyncio.gather(*(one(number) for number in range(60)))
    assert len(place.ledger.settled) == 60
    assert place.ledger.open_slots == {}
    for event in place.ledger.settled:
        assert event.cost_nano_usd == sum(each.cost_nano_usd for each in event.attempts)
