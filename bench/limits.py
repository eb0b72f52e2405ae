"""Holding a call at its limits and settling it: CPU per call, beside a loop that does nothing, and what a round trip to Redis adds."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from interlock.core.caller import Caller, Secret
from interlock.core.errors import StoreUnavailable
from interlock.core.ids import SystemIds
from interlock.core.limits import Limit
from interlock.core.time import SystemClock
from interlock.gateway.quota import Held, Quotas
from interlock.storage import MappedCells
from interlock.storage.redis_counts import RedisCounts
from interlock.storage.redis_keys import RedisKeys
from interlock.storage.sqlite import SqliteStore

COMMAND = "python -m bench limits"
CALLER = Caller("acme", user="ann", key_id="key_1", workflow="support")
USED = (1, 90, 50, 140, 4_000, 0)
USUAL = (
    Limit("per minute", ("key",), period="minute", requests=10**9),
    Limit("budget", ("tenant",), period="month", nano_usd=10**15),
    Limit("at once", ("key",), concurrency=10**6),
)
ROLLING = (Limit("rolling", ("key",), period="minute", rolling=True, tokens=10**12),)
SHARED = (Limit("global", ("tenant",), period="day", nano_usd=10**15, scope="global"),)


def run(quick: bool) -> list[dict[str, Any]]:
    calls = 5_000 if quick else 50_000
    with tempfile.TemporaryDirectory() as folder:
        one = MappedCells.open(Path(folder) / "one.db")
        figures = [
            *_local("three limits, one process", USUAL, one, calls, goal=2.0),
            *_local("one rolling limit, one process", ROLLING, one, calls, goal=2.0),
        ]
        pair = [MappedCells.open(Path(folder) / "pair.db", seen_wait_s=0) for _ in range(2)]
        pair[0].refresh()
        figures += _local("three limits, two processes counting", USUAL, pair[0], calls, goal=None)
        for cells in (one, *pair):
            cells.close()
    figures += _global(calls // 10)
    return figures


def _local(
    what: str, limits: tuple[Limit, ...], cells: MappedCells, calls: int, goal: float | None
) -> list[dict[str, Any]]:
    """Microseconds of CPU, the best of five rounds, in which nobody else has taken the core."""
    quotas = Quotas(limits, SystemClock(), cells=cells)
    best = [float("inf"), float("inf")]
    for _ in range(5):
        started = time.process_time()
        held = [quotas.reserve(CALLER, "gpt-4o", 100, 200, 5_000, 400, 16) for _ in range(calls // 5)]
        between = time.process_time()
        for each in held:
            assert each is not None
            quotas.settle(each, USED)
        ended = time.process_time()
        rounds = calls // 5
        best = [min(best[0], (between - started) / rounds * 1e6), min(best[1], (ended - between) / rounds * 1e6)]
    return [
        _figure(f"reserve: {what}", best[0], "µs of CPU", goal),
        _figure(f"settle: {what}", best[1], "µs of CPU", goal),
    ]


def _global(calls: int) -> list[dict[str, Any]]:
    with _redis() as url:
        if url is None:
            return []
        return asyncio.run(_round_trips(url, calls))


async def _round_trips(url: Secret, calls: int) -> list[dict[str, Any]]:
    """Wall time of a lone reservation, and CPU of this process for each of many at the same moment, which share round trips."""
    clock = SystemClock()
    counts = RedisCounts(url, clock, SystemIds(clock), timeout_s=5.0)
    quotas = Quotas(SHARED, clock, shared=counts)

    async def one() -> Held:
        held = quotas.reserve(CALLER, "gpt-4o", 100, 200, 5_000, 400, 16)
        assert held is not None
        await quotas.confirm(held, 60.0)
        return held

    quotas.settle(await one(), USED)
    lone: list[float] = []
    for _ in range(200):
        started = time.perf_counter()
        held = await one()
        lone.append(time.perf_counter() - started)
        quotas.settle(held, USED)
    started = time.process_time()
    for _ in range(max(1, calls // 64)):
        for held in await asyncio.gather(*(one() for _ in range(64))):
            quotas.settle(held, USED)
    spent = time.process_time() - started
    await counts.close()
    return [
        _figure("a lone reservation at Redis", sorted(lone)[len(lone) // 2] * 1e6, "µs until answered (median)", None),
        _figure(
            "reserve and settle at Redis, 64 at a time", spent / (max(1, calls // 64) * 64) * 1e6, "µs of CPU", None
        ),
    ]


@contextlib.contextmanager
def _redis() -> Generator[Secret | None]:
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "redis.sock"
        line = [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no"]
        server = subprocess.Popen(line, stdout=subprocess.DEVNULL)
        url = Secret(f"unix://{path}")
        try:
            store = SqliteStore.open(Path(folder) / "keys.db")
            for _ in range(200):
                with contextlib.suppress(StoreUnavailable):
                    RedisKeys(url, store.keys).keys_version()
                    break
                time.sleep(0.02)
            store.close()
            yield url
        finally:
            server.kill()
            server.wait()


def _figure(name: str, value: float, unit: str, goal: float | None) -> dict[str, Any]:
    return {
        "figure": name,
        "value": round(value, 2),
        "unit": unit,
        "goal": None if goal is None else f"<= {goal:g}",
        "ok": None if goal is None else value <= goal,
        "command": COMMAND,
    }
