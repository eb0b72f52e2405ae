"""Handing out due tasks, beside a job queue on the same PostgreSQL: CPU of worker and server for each, and how soon one is taken.

Ours: a task is taken with its lease and fence, and given back. The queue's (procrastinate): an empty job is deferred, fetched and finished; that would come
on top of our lease and fence, which no queue spares. In turns within one run, 10,000 waiting on either side. `make bench-dispatch` makes an environment with the
queue (`build/queue`), INTERLOCK_QUEUE names another Python that has it; where there is none, ours alone is measured. Above: bench. Below: workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

from interlock.core.caller import Caller, Versions
from interlock.core.events import Record, Started
from interlock.core.store import Store
from interlock.storage.postgres import PostgresStore
from tests.postgres import Postgres

from .workers import S, cpu_of, hand_over, spent, wait_for_people, woken
from .workers_ground import TENANT, ground

COMMAND = "make bench-dispatch"
HERE = Path(__file__).parents[1] / "build" / "queue" / "bin" / "python"
PEER = Path(__file__).with_name("dispatch_peer.py")
TOGETHER = (1, 8)
WAKES = 20


class Spent(NamedTuple):
    """CPU milliseconds of one task or job."""

    worker_ms: float
    server_ms: float

    @property
    def both_ms(self) -> float:
        return self.worker_ms + self.server_ms


class Turn(NamedTuple):
    """One of us, then the queue."""

    ours: Spent
    defer: Spent
    fetch: Spent


class Queue:
    """The queue's process, and what it is told."""

    def __init__(self, process: subprocess.Popen[str], server: Postgres) -> None:
        self._process, self._server = process, server

    def told(self, each_of: int, **what: Any) -> Spent:
        """What doing this cost for each of so many."""
        before = cpu_of(self._server)
        cpu_s = self._asked(what)["cpu_s"]
        return Spent(cpu_s / each_of * 1000, (cpu_of(self._server) - before) / each_of * 1000)

    def woken(self, idle: subprocess.Popen[str]) -> float:
        """Median milliseconds from before a job is deferred until another process has begun it."""
        self._say({"do": "wake", "times": WAKES})
        assert idle.stdout is not None
        for _ in range(WAKES):
            assert "deferred" in self._heard()
            self._say(float(idle.stdout.readline()))
        return statistics.median(self._heard()["took"])

    def _asked(self, what: dict[str, Any]) -> dict[str, Any]:
        self._say(what)
        return self._heard()

    def _say(self, what: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the queue's process has ended; what it said stands above"
        return dict(json.loads(line))


def run(quick: bool) -> list[dict[str, Any]]:
    python = os.environ.get("INTERLOCK_QUEUE", "") or (str(HERE) if HERE.exists() else "")
    waiting, rounds, tasks = (500, 2, 80) if quick else (10_000, 7, 400)
    figures: list[dict[str, Any]] = []
    turns: dict[int, list[Turn]] = {size: [] for size in TOGETHER}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Postgres(fsync=True))
        store = stack.enter_context(contextlib.closing(PostgresStore.open(server.fresh())))
        wait_for_people(store, waiting)
        queue, address = None, server.fresh()
        if python:
            queue = Queue(stack.enter_context(_process(python, address)), server)
            queue.told(1, do="schema", waiting=waiting)
        server.run("psql", "-q", "-c", "VACUUM ANALYZE", server.address())
        for number in range(rounds + 1):
            for size in TOGETHER:
                turn = _turn(store, server, queue, f"{number}-{size}", size, tasks)
                if number:  # the first one warms both up
                    turns[size].append(turn)
        for size in TOGETHER:
            figures += _figures(size, turns[size], python != "")
        if queue is not None:
            with _process(python, address, "idle") as idle:
                time.sleep(3.0)
                figures.append(
                    _figure(
                        "a new job is begun by an idle worker of procrastinate after (median)", queue.woken(idle), "ms"
                    )
                )
    return [*figures, asyncio.run(_ours_woken())]


def _turn(store: Store, server: Postgres, queue: Queue | None, name: str, size: int, tasks: int) -> Turn:
    now_ns = time.time_ns()
    _make_due(store, name, tasks, now_ns)
    worker_s, server_s = spent(lambda: hand_over(store, tasks, size, now_ns), server)
    ours = Spent(worker_s / tasks * 1000, server_s / tasks * 1000)
    if queue is None:
        return Turn(ours, Spent(0, 0), Spent(0, 0))
    idle = queue.told(tasks, do="work", at_once=size)  # what a worker costs that finds nothing is not the jobs'
    defer = queue.told(tasks, do="defer", jobs=tasks, at_once=size)
    fetch = queue.told(tasks, do="work", at_once=size)
    return Turn(ours, defer, Spent(fetch.worker_ms - idle.worker_ms, fetch.server_ms - idle.server_ms))


def _make_due(store: Store, name: str, tasks: int, now_ns: int) -> None:
    for start in range(0, tasks, 200):
        groups: list[list[Record]] = []
        for n in range(start, min(tasks, start + 200)):
            began = Started("errand", Caller(TENANT, workflow="errand"), Versions(), "", 0, {}, None)
            groups.append([Record(f"t{name}-{n}", 0, TENANT, now_ns - S + n, began, {"input": {}})])
        store.write(groups)


def _figures(size: int, turns: list[Turn], with_queue: bool) -> list[dict[str, Any]]:
    together = "one at a time" if size == 1 else f"{size} at a time"
    ours = [turn.ours for turn in turns]
    found = [
        _figure(f"CPU of handing over a task, {together}, worker", _median(each.worker_ms for each in ours), "ms"),
        _figure(f"CPU of handing over a task, {together}, server", _median(each.server_ms for each in ours), "ms"),
    ]
    if not with_queue:
        return [*found, _figure(f"… ÷ procrastinate's, {together}: not measured, it is not installed", "", "")]
    whole = _median(turn.ours.both_ms / (turn.defer.both_ms + turn.fetch.both_ms) for turn in turns)
    part = _median(turn.ours.both_ms / turn.fetch.both_ms for turn in turns)
    return [
        _figure(
            f"CPU of handing over a task ÷ an empty job of procrastinate (defer, fetch, finish), {together}",
            whole,
            "ratio",
            1.0,
        ),
        _figure(f"… ÷ its fetch and finish alone, {together}", part, "ratio"),
        *found,
        _figure(f"procrastinate's defer, {together}, client", _median(turn.defer.worker_ms for turn in turns), "ms"),
        _figure(f"procrastinate's defer, {together}, server", _median(turn.defer.server_ms for turn in turns), "ms"),
        _figure(
            f"procrastinate's fetch and finish, {together}, worker",
            _median(turn.fetch.worker_ms for turn in turns),
            "ms",
        ),
        _figure(
            f"procrastinate's fetch and finish, {together}, server",
            _median(turn.fetch.server_ms for turn in turns),
            "ms",
        ),
    ]


async def _ours_woken() -> dict[str, Any]:
    async with ground(1.0) as place:
        store = place.store()
        worker = place.start("worker")
        await place.ready(worker)
        await asyncio.sleep(3.0)
        took_ms = await woken(place, store, WAKES)
        store.close()
        place.end(worker)
    return _figure("a new task is taken by an idle `interlock worker` after (median)", took_ms, "ms", 100.0)


@contextlib.contextmanager
def _process(python: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [python, str(PEER), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _median(values: Any) -> float:
    return statistics.median(values)


def _figure(name: str, value: float | str, unit: str, goal: float | None = None) -> dict[str, Any]:
    kept = None if goal is None or isinstance(value, str) else value <= goal
    shown = value if isinstance(value, str) else round(value, 3)
    return {"figure": name, "value": shown, "unit": unit, "goal": goal, "ok": kept, "command": COMMAND}
