"""The durable runtime: what a step costs, against a bare commit of the same bytes and against other engines; crowds, waiting, resume, replay, fork.

Peers are measured where a Python that has them is named: INTERLOCK_PEERS=/path/to/venv/bin/python (dbos, langgraph, langgraph-checkpoint-sqlite).
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from interlock.agents.fork import held_back
from interlock.agents.replay import replay
from interlock.agents.state import fold
from interlock.core.caller import Caller, Versions
from interlock.core.events import Intended, Record, Settled, Started
from interlock.server.serve import run as run_loop
from interlock.storage import SqliteStore
from interlock.storage.bodies import kept_short
from interlock.storage.rows import body_of, encode, event_row
from interlock.storage.statements import statements

from .runtime_ground import RESULT, Ground, ground, spread

COMMAND = "python -m bench runtime"
LONG_STEPS = 200
PEERS = Path(__file__).with_name("runtime_peers.py")


def run(quick: bool) -> list[dict[str, Any]]:
    """On the event loop that `interlock serve` and `interlock worker` run on."""
    figures = run_loop(lambda: _steps(quick))
    figures += run_loop(lambda: _crowd(100 if quick else 1_000))
    figures += run_loop(lambda: _waiting(500 if quick else 10_000))
    figures += run_loop(lambda: _again(quick))
    return figures


# --- A step against a bare commit -----------------------------------------------------------------------------------


async def _steps(quick: bool) -> list[dict[str, Any]]:
    """Intention and result of one step through the log, against one commit of their bytes; alone, and 100 tasks at once."""
    alone, crowd, rounds = (40, 4, 2) if quick else (300, 20, 7)
    ratios: dict[str, list[tuple[float, ...]]] = {"alone": [], "crowd": []}
    parts: list[tuple[float, float]] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            async with ground(Path(folder)) as made:
                for name, tasks, steps in (("alone", 1, alone), ("crowd", 100, crowd)):
                    bare = *_bare(Path(folder), tasks, steps), *_bare_rows(Path(folder), tasks, steps)
                    ratios[name].append((*await _ours(made, tasks, steps), *bare))
                parts.append(await _parts(made, Path(folder), alone))
    figures: list[dict[str, Any]] = []
    for name, words, goal in (("alone", "one task alone", "<= 2"), ("crowd", "100 tasks at once", None)):
        wall, cpu, bare_wall, bare_cpu, _, rows_cpu = (spread([each[at] for each in ratios[name]]) for at in range(6))
        figures += [
            _figure(
                f"durable step, {words}: wall / one bare commit of its bytes",
                round(wall / bare_wall, 2),
                "ratio",
                goal,
                wall / bare_wall <= 2 if goal else None,
            ),
            _figure(
                f"durable step, {words}: CPU / one bare commit of its bytes",
                round(cpu / bare_cpu, 2),
                "ratio",
                goal,
                cpu / bare_cpu <= 2 if goal else None,
            ),
            _figure(
                f"durable step, {words}: CPU / one bare commit of its rows as the log has them",
                round(cpu / rows_cpu, 2),
                "ratio",
            ),
            _figure(f"durable step, {words}", round(cpu * 1e3, 3), "CPU ms"),
        ]
    way, commit = (spread([each[at] for each in parts]) for at in range(2))
    figures += [
        _figure("of one task alone: the way to the writing thread and back", round(way * 1e3, 3), "CPU ms"),
        _figure("the same with the bare commit made there", round(commit * 1e3, 3), "CPU ms"),
    ]
    return figures + await _peers(quick)


async def _ours(made: Ground, tasks: int, steps: int) -> tuple[float, float]:
    """(wall, CPU) seconds of one step of tasks that have begun: its intention is durable before, its result with the next one's intention."""

    async def begun(number: int) -> tuple[str, Caller, int]:
        task = f"tsk_{os.urandom(8).hex()}{number:010d}"
        caller = Caller("bench", workflow="bench", task=task)
        started = Started("bench", caller, Versions())
        return task, caller, await made.log.begin(Record(task, 0, "bench", 1, started, {"input": {"text": "x"}}))

    async def one(task: str, caller: Caller, fence: int) -> None:
        for step in range(1, 2 * steps, 2):
            await made.log.append([_intended(task, step, fence)])
            slot = made.ledger.open(_settled(caller, step + 1, "crashed"))
            made.ledger.settle(slot, _settled(caller, step + 1, "ok"), {"result": RESULT}, fence=fence)
        await made.log.append([_intended(task, 2 * steps + 1, fence)])

    all_of_them = await asyncio.gather(*(begun(number) for number in range(tasks)))
    return await _timed(lambda: asyncio.gather(*(one(*each) for each in all_of_them)), tasks * steps)


async def _parts(made: Ground, folder: Path, steps: int) -> tuple[float, float]:
    """CPU seconds of one step of one task alone in a store that writes nothing, and in one that makes the bare commit on the writing thread. The last
    that is done with `made`.
    """
    db = _bare_db(folder, check_same_thread=False)

    def bare(groups: Sequence[Sequence[Record]], *_: object) -> list[None]:
        rows = [(r.task, r.seq, encode(r.event), body_of(r).decode()) for group in groups for r in group]
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        db.execute("COMMIT")
        return [None] * len(groups)

    def nothing(groups: Sequence[Sequence[Record]], *_: object) -> list[None]:
        return [None] * len(groups)

    setattr(made.store, "write", nothing)  # noqa: B010 - in the place of a method
    _, way_s = await _ours(made, 1, steps)
    setattr(made.store, "write", bare)  # noqa: B010
    _, commit_s = await _ours(made, 1, steps)
    delattr(made.store, "write")
    db.close()
    return way_s, commit_s


def _bare_db(folder: Path, *, check_same_thread: bool = True) -> sqlite3.Connection:
    db = sqlite3.connect(folder / "bare.db", isolation_level=None, check_same_thread=check_same_thread)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(
        "CREATE TABLE IF NOT EXISTS events (task TEXT, seq INTEGER, event TEXT, content TEXT, PRIMARY KEY (task, seq)) WITHOUT ROWID"
    )
    return db


def _bare(folder: Path, tasks: int, steps: int) -> tuple[float, float]:
    """(wall, CPU) seconds of the same bytes for one step, `tasks` steps to a commit."""
    caller = Caller("bench", workflow="bench", task="t")
    intended = encode(_intended("t" * 30, 1, 1).event), encode({"arguments": {"order": "FO-1"}})
    settled = encode(_settled(caller, 2, "ok")), encode({"result": RESULT})
    db = _bare_db(folder)
    salt = os.urandom(6).hex()
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    for step in range(steps):
        db.execute("BEGIN IMMEDIATE")
        rows = [
            (f"tsk_{salt}{task:014d}", 2 * step + at, *texts)
            for task in range(tasks)
            for at, texts in enumerate((intended, settled))
        ]
        db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        db.execute("COMMIT")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    db.close()
    return wall / (tasks * steps), cpu / (tasks * steps)


def _bare_rows(folder: Path, tasks: int, steps: int) -> tuple[float, float]:
    """The same of the two rows as the log has them: every column, compressed content, the log's key and indexes; no row of the task, no sums."""
    path = folder / f"rows-{os.urandom(4).hex()}.db"
    SqliteStore.open(path).close()
    caller, sql = Caller("bench", workflow="bench", task="t"), statements("events")["insert"]
    pair = _intended("t" * 30, 1, 1), Record("t" * 30, 2, "bench", 1, _settled(caller, 2, "ok"), {"result": RESULT})
    kept = [event_row(each, kept_short(body_of(each))) for each in pair]
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = FULL")
    salt, place = os.urandom(6).hex(), 1
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    for step in range(steps):
        db.execute("BEGIN IMMEDIATE")
        rows = [
            (place + 2 * task + at, f"tsk_{salt}{task:014d}", 2 * step + at, *row[2:])
            for task in range(tasks)
            for at, row in enumerate(kept)
        ]
        place += len(rows)
        db.executemany(sql, rows)
        db.execute("COMMIT")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    db.close()
    return wall / (tasks * steps), cpu / (tasks * steps)


def _intended(task: str, seq: int, fence: int) -> Record:
    event = Intended(seq + 1, "tool", "look", f"{task}:{seq + 1}", arguments_hash="0" * 16, tool_call_id="call_1")
    return Record(task, seq, "bench", time.time_ns(), event, {"arguments": {"order": "FO-1"}}, fence)


def _settled(caller: Caller, step: int, status: Any) -> Settled:
    at = replace(caller, step=step)
    return Settled(f"cal_{step:026d}", "tool", "look", at, status, time.time_ns(), duration_us=900)


# --- Against other engines ------------------------------------------------------------------------------------------


async def _peers(quick: bool) -> list[dict[str, Any]]:
    """Our step and a trivial one of theirs on the same disk; nothing of theirs where they are not installed."""
    python = os.environ.get("INTERLOCK_PEERS", "")
    steps = 40 if quick else 200
    with tempfile.TemporaryDirectory() as folder:
        async with ground(Path(folder)) as made:
            await made.tasks(1, 3)
            _, alone_s = await _ours(made, 1, steps)
            _, crowd_s = await _ours(made, 50, steps // 10)
            _, loop_s = await _timed(lambda: made.tasks(20, steps // 20), 20 * (2 * (steps // 20) + 1))
    figures = [
        _figure("a step in the whole loop (decide, intend, call, settle), 20 tasks", round(loop_s * 1e3, 3), "CPU ms")
    ]
    if not python:
        return figures
    told = subprocess.run([python, PEERS, str(steps)], capture_output=True, text=True, check=True, timeout=600)  # noqa: ASYNC221
    theirs: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    for ours, name, of, words, goal in (
        (crowd_s, "dbos_crowd", "DBOS", "50 at once", 0.1),
        (alone_s, "dbos", "DBOS", "alone", None),
        (crowd_s, "langgraph", "LangGraph", "50 of ours at once, theirs alone", 0.2),
        (alone_s, "langgraph", "LangGraph", "alone", None),
    ):
        ratio = ours / theirs[name]
        figures += [
            _figure(
                f"durable step / {of} step on SQLite, {words}",
                round(ratio, 4),
                "CPU ratio",
                f"<= {goal}" if goal else None,
                ratio <= goal if goal else None,
            ),
            _figure(f"{of} step on SQLite, {words}", round(theirs[name] * 1e3, 3), "CPU ms"),
        ]
    return figures


# --- Crowds, waiting ------------------------------------------------------------------------------------------------


async def _crowd(agents: int) -> list[dict[str, Any]]:
    """So many tasks under way at once in one process, each of two tool calls and three model calls."""
    with tempfile.TemporaryDirectory() as folder:
        async with ground(Path(folder), crowd=max(1_024, 2 * agents)) as made:
            await made.tasks(10, 2)
            before = _resident_mb()
            wall, cpu = await _timed(lambda: made.tasks(agents, 2), agents)
            grown = _resident_mb() - before
    words = f"{agents:,} agents at once in one process"
    return [
        _figure(f"{words}: each, of 5 steps", round(cpu * 1e3, 2), "CPU ms"),
        _figure(f"{words}: steps", round(5 / wall), "per second"),
        _figure(f"{words}: memory above 10", round(grown * 1024 / agents, 1), "KiB each"),
    ]


async def _waiting(count: int) -> list[dict[str, Any]]:
    """Tasks that wait for a signal: what each takes in the store, and what a process uses that would work on them."""
    with tempfile.TemporaryDirectory() as folder:
        async with ground(Path(folder)) as made:
            made.model.waits = True
            size, wall = _size(made.path), time.perf_counter()
            for at in range(0, count, 50):
                part = range(at, min(at + 50, count))
                await asyncio.gather(*(made.agents.run("bench", {"text": "wait"}) for _ in part))
            began_s = (time.perf_counter() - wall) / count
            bytes_each, before = (_size(made.path) - size) / count, _resident_mb()
            working = asyncio.ensure_future(made.agents.shift().run())
            await asyncio.sleep(1.0)
            cpu = time.process_time()
            await asyncio.sleep(5.0)
            idle = (time.process_time() - cpu) / 5.0
            threads, coroutines = threading.active_count(), len(asyncio.all_tasks())
            grown = _resident_mb() - before
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
    words = f"{count:,} waiting tasks"
    return [
        _figure(f"{words}: store", round(bytes_each), "bytes each"),
        _figure(
            f"{words}: a process that would work on them, idle", round(idle, 4), "of a core", "<= 0.01", idle <= 0.01
        ),
        _figure(f"{words}: its memory for them", round(grown, 1), "MB", "<= 1", grown <= 1),
        _figure(f"{words}: its threads and coroutines", f"{threads} and {coroutines}", ""),
        _figure(f"{words}: to begin one and let it wait", round(began_s * 1e3, 2), "wall ms"),
    ]


# --- Resume, replay, fork -------------------------------------------------------------------------------------------


async def _again(quick: bool) -> list[dict[str, Any]]:
    """A task of 200 steps: from its log to the state that goes on, decided again, and gone on with from its middle."""
    turns = (40 if quick else LONG_STEPS) // 2
    with tempfile.TemporaryDirectory() as folder:
        async with ground(Path(folder), max_steps=10 * turns) as made:
            [task] = await made.tasks(1, turns)
            contract = made.agents.contract("bench")
            records = await made.log.records(task)
            read = _cpu(lambda: made.store.records(task), 20)
            folded = _cpu(lambda: fold(records), 20)
            replayed = _cpu(lambda: replay(records, contract), 3)
            identical = replay(records, contract).identical
            middle = next(
                r.seq
                for r in records
                if r.seq >= len(records) // 2 and isinstance(r.event, Intended) and r.event.kind == "model"
            )
            wall, cpu = await _timed(lambda: made.agents.again.fork(task, middle, lambda each: each), 1)
            left = sum(isinstance(r.event, Settled) and r.seq >= middle for r in records)
            held_back(contract, fold(records))
    steps = 2 * turns + 1
    return [
        _figure(f"resume of a task of {steps} steps: log read and folded", round((read + folded) * 1e3, 2), "CPU ms"),
        _figure(f"… of that the fold, each of {len(records)} records", round(folded / len(records) * 1e6, 1), "CPU µs"),
        _figure("replay, each step", round(replayed / steps * 1e3, 3), "CPU ms"),
        _figure("replay of it comes out the same", identical, "", "True", identical),
        _figure("fork from its middle, each further step", round(cpu / max(1, left) * 1e3, 2), "CPU ms"),
        _figure("fork from its middle, the whole", round(wall * 1e3), "wall ms"),
    ]


def _cpu(work: Callable[[], object], times: int) -> float:
    """CPU seconds of one."""
    work()
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


async def _timed(work: Callable[[], Awaitable[object]], count: int) -> tuple[float, float]:
    """(wall, CPU) seconds of one of `count`, all threads together."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    return (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count


def _size(path: Path) -> int:
    """Of the store, its log included."""
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))


def _resident_mb() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def _figure(name: str, value: object, unit: str, goal: str | None = None, ok: bool | None = None) -> dict[str, Any]:
    return {"figure": name, "value": value, "unit": unit, "goal": goal, "ok": ok, "command": COMMAND}
