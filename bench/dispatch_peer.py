"""A job queue's side of the bench of dispatch: run by a Python that has procrastinate, told what to do by lines of JSON, answers with its own CPU seconds.

Version and settings: procrastinate 3.10 on psycopg 3.3 in C, its defaults (LISTEN/NOTIFY on, jobs kept); an empty asynchronous task in one queue.
"""

# pyright: basic

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import procrastinate  # pyright: ignore[reportMissingImports]


class Peer:
    def __init__(self, address: str) -> None:
        self.app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=address))

        @self.app.task(name="empty", queue="bench")
        async def empty() -> None:
            """Does nothing."""

        self.empty = empty

    async def schema(self, told: dict[str, Any]) -> None:
        await self.app.schema_manager.apply_schema_async()
        later = self.app.configure_task("empty", queue="bench", schedule_in={"days": 1})
        for start in range(0, told["waiting"], 500):
            await later.batch_defer_async(*[{}] * min(500, told["waiting"] - start))

    async def defer(self, told: dict[str, Any]) -> None:
        for _ in range(told["jobs"] // told["at_once"]):
            if told["at_once"] == 1:
                await self.empty.defer_async()
            else:
                await self.empty.batch_defer_async(*[{}] * told["at_once"])

    async def work(self, told: dict[str, Any]) -> None:
        """Until nothing is due."""
        await self.app.run_worker_async(wait=False, concurrency=told["at_once"], install_signal_handlers=False)

    async def wake(self, told: dict[str, Any]) -> list[float]:
        """Milliseconds from before a job is deferred until a worker of another process has begun it. That one writes when it did."""
        took: list[float] = []
        for _ in range(told["times"]):
            await asyncio.sleep(0.1)
            began = time.monotonic()
            await self.empty.defer_async()
            print(json.dumps({"deferred": began}), flush=True)
            took.append((float(sys.stdin.readline()) - began) * 1000)
        return took


async def main(address: str) -> None:
    peer = Peer(address)
    async with peer.app.open_async():
        for line in sys.stdin:
            told = json.loads(line)
            began = time.process_time()
            took = await getattr(peer, told["do"])(told)
            print(json.dumps({"cpu_s": time.process_time() - began, "took": took}), flush=True)


async def idle(address: str) -> None:
    """A worker that waits for jobs; says when each began."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=address))

    @app.task(name="empty", queue="bench")
    async def empty() -> None:
        print(time.monotonic(), flush=True)

    async with app.open_async():
        await app.run_worker_async(install_signal_handlers=True)


if __name__ == "__main__":
    asyncio.run((idle if sys.argv[2:] == ["idle"] else main)(sys.argv[1]))
