"""CPU of the gateway's walk alone: no network, no store, a provider that answers at once."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from typing import Any

from interlock.core.budget import Limits
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, ChatResponse, Chunk, Message
from interlock.core.events import Settled
from interlock.core.ids import SystemIds
from interlock.core.money import Price, Rates, Usage
from interlock.core.ports import Deployment
from interlock.core.time import Deadline, SystemClock
from interlock.gateway.chat import Gateway
from interlock.gateway.settings import Caching, Parts, Settings, Tier, Workflow
from interlock.plugins.caches.front import FrontedCache
from interlock.plugins.caches.memory import MemoryCache
from interlock.plugins.profiles import profile_of

COMMAND = "python -m bench walk"
AT = Deployment("openai", "gpt-4o-mini", "openai")
PRICE = Price("openai/gpt-4o-mini", Rates(input=150_000_000, output=600_000_000), "bench", "2026-01-01", "v")
ANSWER = ChatResponse("gpt-4o-mini", "It ships tomorrow.", usage=Usage(input=200, output=6))
REQUEST = ChatRequest(
    "support",
    (Message("system", "You are a helpful person. " * 10), Message("user", "Where is my parcel FH-10234? " * 20)),
    max_output_tokens=200,
)
LIMITED = Workflow(limits=Limits(max_model_calls=5, max_input_tokens=6_000, max_output_tokens=700))
PIECES = 200


class Instant:
    """A provider that costs nothing."""

    async def chat(self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str) -> ChatResponse:
        return ANSWER

    async def stream(
        self, deployment: Deployment, request: ChatRequest, deadline: Deadline, key: str
    ) -> AsyncIterator[Chunk]:
        for _ in range(PIECES):
            yield Chunk(text=" word", raw=b"data: {}\n\n", raw_dialect="openai")
        yield Chunk(finish="stop", usage=Usage(input=200, output=PIECES))


class Nowhere:
    """A ledger that keeps nothing."""

    async def ready(self, deadline: Deadline) -> None:
        pass

    def has_room(self) -> bool:
        return True

    def open(self, if_crashed: Settled) -> int:
        return 1

    def settle(self, slot: int, settled: Settled, content: Any = None, *, fence: int = 0) -> None:
        pass

    async def append(self, records: Any) -> None:
        pass


def gateway(settings: Settings) -> Gateway:
    clock = SystemClock()
    return Gateway(
        settings,
        Parts(
            ledger=Nowhere(),
            clock=clock,
            ids=SystemIds(clock),
            rng=random.Random(1),
            price_of=lambda _at, _tokens: PRICE,
            providers={"openai": Instant()},
            tiers_of=lambda _name: (Tier("small", (AT,)),),
            target_of=lambda _target, _alias: (),
            profile_of=profile_of,
            validator_of=lambda _schema: lambda _value: [],
            answers=FrontedCache(clock, MemoryCache()),
        ),
    )


async def walk_us(settings: Settings, calls: int) -> float:
    """CPU microseconds of one call, the best of five rounds."""
    place, caller = gateway(settings), Caller(tenant="acme", workflow="support_reply")
    rounds: list[float] = []
    for _ in range(6):
        began = time.process_time()
        for _ in range(calls):
            await place.chat(caller, REQUEST)
        rounds.append((time.process_time() - began) / calls * 1e6)
    return min(rounds[1:])


async def piece_us(streams: int) -> float:
    """CPU microseconds that the relay adds to one streamed piece, the best of five rounds."""
    place, caller, provider = gateway(Settings()), Caller(tenant="acme"), Instant()
    rounds: list[float] = []
    for _ in range(6):
        began = time.process_time()
        for _ in range(streams):
            async for _ in place.stream(caller, REQUEST):
                pass
        relayed = time.process_time()
        for _ in range(streams):
            async for _ in provider.stream(AT, REQUEST, Deadline(0.0, 0.0), ""):
                pass
        bare = time.process_time() - relayed
        rounds.append((relayed - began - bare) / streams / PIECES * 1e6)
    return min(rounds[1:])


def json_us(times: int) -> float:
    """CPU microseconds of reading and writing the same request with the standard library: the measure of the machine."""
    body = json.dumps(
        {"model": "m", "messages": [{"role": each.role, "content": each.text} for each in REQUEST.messages]}
    )
    began = time.process_time()
    for _ in range(times):
        json.dumps(json.loads(body))
    return (time.process_time() - began) / times * 1e6


def run(quick: bool) -> list[dict[str, Any]]:
    """The walk's cost in its usual forms."""
    calls = 500 if quick else 3_000
    unit = min(json_us(calls * 3) for _ in range(3))
    plain = asyncio.run(walk_us(Settings(), calls))
    limited = asyncio.run(walk_us(Settings(anywhere=LIMITED), calls))
    hit = asyncio.run(walk_us(Settings(caching=Caching(exact=True)), calls))
    piece = asyncio.run(piece_us(calls // 20))

    def figure(name: str, value: float, unit: str, goal: float | None = None) -> dict[str, Any]:
        ok = None if goal is None else value <= goal
        return {
            "figure": name,
            "value": round(value, 2),
            "unit": unit,
            "goal": None if goal is None else f"<= {goal:g}",
            "ok": ok,
            "command": COMMAND,
        }

    return [
        figure("the walk of a plain call", plain, "CPU µs", 60),
        figure("the same under limits", limited, "CPU µs", 60),
        figure("a hit of the exact cache", hit, "CPU µs"),
        figure("the relay of one streamed piece, beside the provider's own work", piece, "CPU µs", 5),
        figure(
            "the walk of a plain call ÷ reading and writing its JSON with the standard library", plain / unit, "ratio"
        ),
    ]
