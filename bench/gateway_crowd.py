"""The gateway bench's other loads: a fixed rate, a crowd at once, and very many open streams.

`python -m bench.gateway_crowd rate PORT COUNT PER_S whole|stream KEY` asks at fixed instants and measures from these, so that a server which falls
behind is not spared (no coordinated omission). `crowd PORT COUNT ROUNDS KEY`: so many connections, each with one request under way.
`streams PORT COUNT SECONDS KEY`: so many streams at the same time, and the longest silence that any of them saw. Each prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, cast

import httptools
import uvloop

from bench.gateway_load import request

WARM = 20
OPENING_PER_S = 1_000.0


class Call(asyncio.Protocol):
    """A connection that makes one call after another when it is told to."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] | None = None
        self.asked = self.first = self.last = self.longest = 0.0
        self.good = False
        self.size = self.pieces = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, data: bytes, asked: float) -> asyncio.Future[None]:
        self.asked, self.first, self.last, self.longest, self.size, self.pieces = asked, 0.0, asked, 0.0, 0, 0
        self.done = asyncio.get_running_loop().create_future()
        cast(asyncio.Transport, self.transport).write(data)
        return self.done

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        now = time.perf_counter()
        if self.first:
            self.longest = max(self.longest, now - self.last)
        else:
            self.first = now
        self.last = now
        self.pieces += 1
        self.size += len(body)

    def on_message_complete(self) -> None:
        self.last = time.perf_counter()
        self.end(good=self.parser.get_status_code() == 200 and self.size > 400)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(good=False)

    def end(self, *, good: bool) -> None:
        self.good = good
        if self.done is not None and not self.done.done():
            self.done.set_result(None)


async def connect(port: int) -> Call:
    _, call = await asyncio.get_running_loop().create_connection(Call, "127.0.0.1", port)
    return call


async def rate(port: int, count: int, per_s: float, streamed: bool, key: str) -> dict[str, Any]:
    """Each call at its instant, on a connection that is free then."""
    salt = time.time_ns()
    idle = [await connect(port) for _ in range(8)]
    whole: list[float] = []
    first: list[float] = []

    async def one(number: int, due: float) -> None:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        call = idle.pop() if idle else await connect(port)
        await call.ask(request(salt + number, streamed, key), due)
        if not call.good:
            raise RuntimeError(f"call {number} was not answered")
        if number >= WARM:
            whole.append(call.last - due)
            first.append(call.first - due)
        idle.append(call)

    begin = time.perf_counter() + 0.2
    await asyncio.gather(*(one(number, begin + number / per_s) for number in range(count + WARM)))
    return {"whole": spread(whole), "first": spread(first)}


async def crowd(port: int, count: int, rounds: int, key: str) -> dict[str, Any]:
    """Errors and times of `rounds` calls on each of `count` connections."""
    salt = time.time_ns()
    calls = [await connect(port) for _ in range(count)]
    taken: list[float] = []
    errors = 0
    for turn in range(rounds + 1):
        await asyncio.gather(
            *(
                call.ask(request(salt + turn * count + at, False, key), time.perf_counter())
                for at, call in enumerate(calls)
            )
        )
        errors += sum(not call.good for call in calls)
        if turn:  # the first round opens the connections to the upstream
            taken += [call.last - call.asked for call in calls]
    return {"errors": errors, **spread(taken)}


async def streams(port: int, count: int, seconds: float, key: str) -> dict[str, Any]:
    """Opens `count` streams one after another and reads them until `seconds` after the last was opened."""
    salt = time.time_ns()
    calls: list[Call] = []
    for at in range(count):
        call = await connect(port)
        call.ask(request(salt + at, True, key), time.perf_counter())
        calls.append(call)
        await asyncio.sleep(1 / OPENING_PER_S)
    opened = time.perf_counter()
    print(json.dumps({"open": len(calls)}), flush=True)
    await asyncio.sleep(seconds)
    now = time.perf_counter()
    live = [call for call in calls if call.first and call.done is not None and not call.done.done()]
    longest = max((max(call.longest, now - call.last) for call in live), default=0.0)
    return {
        "live": len(live),
        "longest_s": longest,
        "pieces": sum(call.pieces for call in calls),
        "watched_s": now - opened,
    }


def spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {f"p{share}_ms": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] * 1000 for share in (50, 99)}


def main() -> None:
    mode, port, count, number, *rest = sys.argv[1:]
    if mode == "rate":
        job = rate(int(port), int(count), float(number), rest[0] == "stream", rest[1])
    elif mode == "crowd":
        job = crowd(int(port), int(count), int(number), rest[0])
    else:
        job = streams(int(port), int(count), float(number), rest[0])
    print(json.dumps(uvloop.run(job)), flush=True)


if __name__ == "__main__":
    main()
