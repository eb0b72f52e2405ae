"""A rolling restart under load: replicas and workers are ended one after the other, politely and not, and PostgreSQL and Redis restarted.

`python -m bench.workers_storm SECONDS SEED RESULT` writes its figures to RESULT. Every call that a client made must have been answered and stand in the ledger; every task
that was accepted must have ended well; and no effect may have happened under two keys.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import ssl
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
from msgspec import Struct

from interlock.core.events import Settled
from tests.servers import free_port

from .workers_ground import Ground, ground, start_redis

WORKERS, REPLICAS = 3, 2
CALLERS, MAKERS = 4, 2
WAIT_S = 0.1
GIVE_UP_S = 120.0


class Seen(Struct):
    """What the clients saw."""

    calls: list[str] = []
    """Ids of calls that were answered."""
    tasks: list[str] = []
    """Ids of tasks that were accepted."""
    retries: int = 0
    happened: Counter[str] = Counter()


class Storm:
    """One run."""

    def __init__(
        self, place: Ground, rng: random.Random, *, every_s: float, replicas: int = REPLICAS, workers: int = WORKERS
    ) -> None:
        self.place, self.rng, self.every_s = place, rng, every_s
        self.ports = [free_port() for _ in range(replicas)]
        self._workers = workers
        self.seen = Seen([], [], 0, Counter())
        self.stopping = asyncio.Event()
        self._no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        """Trusts nobody. Reading the machine's authorities for each call would take longer than the call, from processes that are starting."""
        self.workers: list[subprocess.Popen[bytes]] = []
        self.replicas: list[subprocess.Popen[bytes]] = []

    async def begin(self) -> None:
        self.replicas = [self._replica(port) for port in self.ports]
        self.workers = [self._worker() for _ in range(self._workers)]
        for each in (*self.replicas, *self.workers):
            await self.place.ready(each)

    async def run(self, seconds: float) -> None:
        """Load and mishaps for so long, then until everything that was accepted has ended."""
        load = self.load()
        mishaps = asyncio.create_task(self._mishaps())
        await asyncio.sleep(seconds)
        self.stopping.set()
        await mishaps
        await asyncio.gather(*load)
        store = await asyncio.to_thread(self.place.store)
        try:
            await self.place.finished(store, len(set(self.seen.tasks)), GIVE_UP_S)
        finally:
            store.close()
        for each in (*self.replicas, *self.workers):
            await asyncio.to_thread(self.place.end, each)

    def load(self) -> list[asyncio.Task[None]]:
        """Clients that call and make tasks until `stopping`."""
        callers = [asyncio.create_task(self._call(n)) for n in range(CALLERS)]
        return callers + [asyncio.create_task(self._make(n)) for n in range(MAKERS)]

    async def _mishaps(self) -> None:
        kinds = ["worker killed"] * 4 + ["worker told to stop"] * 2 + ["replica told to stop"] * 2
        kinds += ["replica killed", "PostgreSQL restarted", "Redis restarted"]
        self.rng.shuffle(kinds)
        while not self.stopping.is_set():
            for kind in kinds:
                await asyncio.sleep(self.every_s * self.rng.uniform(0.5, 1.0))
                if self.stopping.is_set():
                    return
                await self._mishap(kind)
                self.seen.happened[kind] += 1

    async def _mishap(self, kind: str) -> None:
        how = signal.SIGKILL if kind.endswith("killed") else signal.SIGTERM
        if kind.startswith("worker"):
            at = self.rng.randrange(len(self.workers))
            await asyncio.to_thread(self.place.end, self.workers[at], how)
            self.workers[at] = self._worker()
        elif kind.startswith("replica"):
            at = self.rng.randrange(len(self.replicas))
            await asyncio.to_thread(self.place.end, self.replicas[at], how)
            self.replicas[at] = self._replica(self.ports[at])
            await self.place.ready(self.replicas[at])  # one after the other, as a rolling restart goes
        elif kind.startswith("PostgreSQL"):
            await asyncio.to_thread(self.place.postgres.stop)
            await asyncio.sleep(self.rng.uniform(0.0, 0.5))
            await asyncio.to_thread(self.place.postgres.start)
        else:
            await asyncio.to_thread(self._redis_again)

    def _redis_again(self) -> None:
        assert self.place.redis is not None
        self.place.redis.kill()
        self.place.redis.wait()
        self.place.redis = start_redis(self.place.redis_port)

    def _replica(self, port: int) -> subprocess.Popen[bytes]:
        return self.place.start("serve", "--port", str(port))

    def _worker(self) -> subprocess.Popen[bytes]:
        return self.place.start("worker", "--concurrency", "8")

    async def _call(self, number: int) -> None:
        body = {"model": "chat", "messages": [{"role": "user", "content": f"hello {number}"}]}
        while not self.stopping.is_set():
            reply = await self._sent("/v1/chat/completions", body, {})
            self.seen.calls.append(reply.headers["x-interlock-call-id"])

    async def _make(self, number: int) -> None:
        made = 0
        while not self.stopping.is_set():
            made += 1
            key = f"k{number}-{made}"
            body = {"workflow": "errand", "input": {"order": f"o{number}-{made}"}}
            reply = await self._sent("/api/tasks", body, {"idempotency-key": key})
            self.seen.tasks.append(reply.json()["task"])
            await asyncio.sleep(0.05)

    async def _sent(self, path: str, body: Any, headers: dict[str, str]) -> httpx2.Response:
        """As any careful client: at the other replica when one does not answer, with the same key."""
        headers = {"authorization": "Bearer il-bench", **headers}
        async with httpx2.AsyncClient(headers=headers, timeout=30.0, verify=self._no_tls) as client:
            async with asyncio.timeout(GIVE_UP_S):
                while True:
                    port = self.rng.choice(self.ports)
                    try:
                        reply = await client.post(f"http://127.0.0.1:{port}{path}", json=body)
                    except httpx2.HTTPError:
                        reply = None
                    if reply is not None and reply.status_code < 300:
                        return reply
                    if reply is not None and reply.status_code < 429:
                        raise AssertionError(f"{path}: {reply.status_code} {reply.text}")
                    self.seen.retries += 1
                    await asyncio.sleep(0.05)


def judged(place: Ground, seen: Seen) -> dict[str, Any]:
    """What became of everything that was accepted. Raises AssertionError where anything was lost or doubled."""
    store = place.store()
    rows = {row.id: row for row in place.rows(store)}
    lost = [task for task in set(seen.tasks) if task not in rows or rows[task].outcome != "resolved"]
    unrecorded = [call for call in seen.calls if not store.records(f"tsk{call[3:]}")]
    totals = store.totals()
    under: dict[str, set[str]] = {}
    for line in place.books():
        order, _, key = line.partition(" ")
        under.setdefault(order, set()).add(key)
    doubled = [order for order, keys in under.items() if len(keys) > 1]
    crashed = sum(
        isinstance(record.event, Settled) and record.event.status == "crashed"
        for row in rows.values()
        for record in store.records(row.id)
    )
    store.close()
    figures = {
        "calls answered": len(seen.calls),
        "tasks accepted": len(set(seen.tasks)),
        "tries that clients made again": seen.retries,
        "lost calls": len(unrecorded),
        "lost tasks": len(lost),
        "effects under two keys": len(doubled),
        "effects done again under the same key": len(place.books()) - sum(len(keys) for keys in under.values()),
        "calls of tasks that a mishap cut off": crashed,
        "mishaps": dict(seen.happened),
    }
    assert not lost, (lost[:3], [rows.get(task) for task in lost[:3]], figures)
    assert not unrecorded, (unrecorded[:3], figures)
    assert not doubled, (doubled[:3], figures)
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd, totals
    assert len(under) == len(set(seen.tasks))
    return figures


async def storm(seconds: float, seed: int, *, every_s: float = 3.0) -> dict[str, Any]:
    """Figures of one run. Raises AssertionError where anything was lost or doubled."""
    async with ground(WAIT_S, replicas=True) as place:
        run = Storm(place, random.Random(seed), every_s=every_s)
        await run.begin()
        await run.run(seconds)
        return judged(place, run.seen)


if __name__ == "__main__":
    found = {"seconds": float(sys.argv[1]), "seed": int(sys.argv[2])}
    found |= asyncio.run(storm(float(sys.argv[1]), int(sys.argv[2])))
    Path(sys.argv[3]).write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
