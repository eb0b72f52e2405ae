"""Workers on one PostgreSQL: throughput by their number, what 10,000 waiting tasks cost, how soon a due task is taken, and what taking costs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interlock.app import Interlock
from interlock.core.caller import Caller, Versions
from interlock.core.due import Wanted
from interlock.core.events import ApprovalAsked, Record, Started
from interlock.core.store import Store
from interlock.storage import SqliteStore
from interlock.storage.postgres import PostgresStore
from tests.postgres import Postgres

from .workers_ground import TENANT, Ground, cpu_s, ground

COMMAND = "python -m bench workers"
AT_ONCE = 8
WAIT_S = 1.0
"""Each of a task's two model calls."""
S = 1_000_000_000
SERVED = ((TENANT, "errand"),)


def run(quick: bool) -> list[dict[str, Any]]:
    return [
        *asyncio.run(_throughput(32 if quick else 128)),
        *asyncio.run(_waiting(500 if quick else 10_000, 3.0 if quick else 20.0)),
        *_taking(200 if quick else 2_000),
    ]


async def _throughput(tasks: int) -> list[dict[str, Any]]:
    """Tasks of two slow model calls and one tool call, by 1, 2 and 4 worker processes of 8 tasks at once."""
    took: dict[int, float] = {}
    for workers in (1, 2, 4):
        async with ground(WAIT_S) as place:
            started = [place.start("worker", "--concurrency", str(AT_ONCE)) for _ in range(workers)]
            for each in started:
                await place.ready(each)
            async with Interlock.from_file(place.folder) as il:
                began_s = time.monotonic()
                await place.submit(il, [f"o{n}" for n in range(tasks)])
                store = place.store()
                await place.finished(store, tasks, 600)
                took[workers] = time.monotonic() - began_s
                assert len(place.books()) == tasks
                store.close()
            for each in started:
                place.end(each)
    per_s = {workers: tasks / seconds for workers, seconds in took.items()}
    return [
        _figure(
            f"tasks per second with {workers} worker{'s' if workers > 1 else ''} of {AT_ONCE} tasks at once, each task waiting {2 * WAIT_S:g} s",
            per_s[workers],
            "1/s",
        )
        for workers in per_s
    ] + [
        _figure("throughput with 2 workers ÷ with 1", per_s[2] / per_s[1], "ratio", at_least=1.7),
        _figure("throughput with 4 workers ÷ with 1", per_s[4] / per_s[1], "ratio", at_least=3.0),
    ]


async def _waiting(tasks: int, look_s: float) -> list[dict[str, Any]]:
    """Tasks that wait for a person: bytes each, and the CPU of a worker (and its database) that has nothing to do."""
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        store = SqliteStore.open(path)
        before = path.stat().st_size
        wait_for_people(store, tasks)
        store.close()
        figures.append(_figure("bytes of a waiting task, SQLite", (path.stat().st_size - before) / tasks, "B"))
    async with ground(WAIT_S) as place:
        store = place.store()
        before = _size(place)
        wait_for_people(store, tasks)
        figures.append(_figure("bytes of a waiting task, PostgreSQL", (_size(place) - before) / tasks, "B"))
        worker = place.start("worker")
        await place.ready(worker)
        await asyncio.sleep(3.0)
        server = _server_cpu_s(place)
        spent, threads = cpu_s(worker.pid), _threads(worker.pid)
        await asyncio.sleep(look_s)
        share = (cpu_s(worker.pid) - spent) / look_s
        figures.append(
            _figure(f"a worker's idle CPU, {tasks:,} waiting tasks, PostgreSQL", share * 100, "% of a core", at_most=1)
        )
        served = (_server_cpu_s(place) - server) / look_s
        figures.append(_figure("the database's CPU meanwhile", served * 100, "% of a core", at_most=1))
        figures.append(_figure("threads of that worker", threads, "count"))
        took_ms = await woken(place, store, 20)
        figures.append(_figure("a new task is taken by an idle worker after (median)", took_ms, "ms", at_most=100))
        store.close()
        place.end(worker)
        sqlite = place.folder / "interlock.yaml"
        text = sqlite.read_text().splitlines()
        sqlite.write_text("\n".join(line for line in text if not line.startswith("store:")))
        store = place.store()
        wait_for_people(store, tasks)
        store.close()
        worker = place.start("worker")
        await place.ready(worker)
        await asyncio.sleep(3.0)
        spent = cpu_s(worker.pid)
        await asyncio.sleep(look_s)
        share = (cpu_s(worker.pid) - spent) / look_s
        figures.append(
            _figure(f"a worker's idle CPU, {tasks:,} waiting tasks, SQLite", share * 100, "% of a core", at_most=1)
        )
        place.end(worker)
    return figures


async def woken(place: Ground, store: Store, times: int) -> float:
    """Median milliseconds from the commit that makes a task due in this process until another process holds it."""
    took: list[float] = []
    async with Interlock.from_file(place.folder) as il:
        for n in range(times):
            await asyncio.sleep(0.1)
            began_s = time.monotonic()
            task, _ = await il.agents.submit("errand", {"order": f"w{n}"}, caller=Caller(TENANT))
            while not (row := store.tasks.get(task)) or row.fence < 2:  # noqa: ASYNC110 - another process is watched from outside
                await asyncio.sleep(0.001)
            took.append((time.monotonic() - began_s) * 1000)
    return statistics.median(took)


def wait_for_people(store: Store, tasks: int) -> None:
    now_ns = time.time_ns()
    caller = Caller(TENANT, workflow="errand")
    for start in range(0, tasks, 200):
        groups: list[list[Record]] = []
        for n in range(start, min(tasks, start + 200)):
            task = f"tsk_waiting{n:08}"
            began = Started("errand", caller, Versions(contract="c" * 16), "", 0, {}, None)
            asked = ApprovalAsked(2, "books.note", "h" * 32, "always", now_ns + 86_400 * S)
            groups.append([Record(task, 0, TENANT, now_ns, began, {"input": {"order": f"o{n}"}})])
            groups.append([Record(task, 1, TENANT, now_ns, asked, {"arguments": {"order": f"o{n}"}})])
        store.write(groups)


def _taking(tasks: int) -> list[dict[str, Any]]:
    """CPU of handing over one task: it is taken with its lease and fence, and given back. One by one, and eight in one go."""
    with Postgres(fsync=True) as server, contextlib.closing(PostgresStore.open(server.fresh())) as store:
        now_ns = time.time_ns()
        figures: list[dict[str, Any]] = []
        for size in (1, 8):
            for n in range(tasks):
                task, caller = f"t{size}-{n}", Caller(TENANT, workflow="errand")
                began = Started("errand", caller, Versions(), "", 0, {}, None)
                store.tasks.begin(Record(task, 0, TENANT, now_ns, began, {"input": {}}), "maker", now_ns + S)
                store.tasks.release(task, 1, wake_at_ns=0)
            ours, theirs = spent(lambda size=size: hand_over(store, tasks, size, now_ns), server)
            figures.append(_figure(f"CPU of handing over a task, {size} at a time, worker", ours / tasks * 1000, "ms"))
            figures.append(
                _figure(f"CPU of handing over a task, {size} at a time, server", theirs / tasks * 1000, "ms")
            )
    return figures


def hand_over(store: Store, tasks: int, size: int, now_ns: int) -> None:
    left = tasks
    while left:
        rows = store.tasks.take(Wanted(SERVED, size), "w", now_ns=now_ns, lease_until_ns=now_ns + 600 * S)
        assert rows
        for row in rows:
            store.tasks.release(row.id, row.fence, wake_at_ns=now_ns + 900 * S)
        left -= len(rows)


def spent(job: Callable[[], None], server: Postgres) -> tuple[float, float]:
    """CPU seconds of this process and of the database's."""
    used, theirs = resource.getrusage(resource.RUSAGE_SELF), cpu_of(server)
    job()
    now = resource.getrusage(resource.RUSAGE_SELF)
    return now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, cpu_of(server) - theirs


def _server_cpu_s(place: Ground) -> float:
    return cpu_of(place.postgres)


def cpu_of(server: Postgres) -> float:
    """Of the server and all its children, those included that have ended."""
    main = int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    ticks = sum(map(int, Path(f"/proc/{main}/stat").read_text().rpartition(")")[2].split()[11:15]))
    for other in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = other.read_text().rpartition(")")[2].split()
            if fields[1] == str(main):
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _size(place: Ground) -> int:
    query = "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE relkind = 'r' AND relname IN ('tasks', 'events', 'signals')"
    return int(place.postgres.run("psql", "-At", "-c", query, place.postgres.address()).strip())


def _figure(
    name: str, value: float, unit: str, *, at_most: float | None = None, at_least: float | None = None
) -> dict[str, Any]:
    goal = at_most if at_most is not None else at_least
    kept = None if goal is None else (value <= goal if at_most is not None else value >= goal)
    return {"figure": name, "value": round(value, 3), "unit": unit, "goal": goal, "ok": kept, "command": COMMAND}
