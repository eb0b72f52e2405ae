"""The ledger after a month of many spans: the questions that pages ask, at one size and at ten times that, and what writing costs.

A month of calls: three in four are tasks of their own (a gateway's traffic), the rest belong to tasks of eight steps, a hundred of them to tasks of
eighty. `INTERLOCK_BENCH_SPANS` sets the larger size (default 2,000,000; 10,000,000 takes 4.5 GB of disk and six minutes of CPU). With `INTERLOCK_BENCH_FOLDER`
the stores stay there, and another run asks those that are there.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec import structs

from interlock.core.events import Finished, Record, Settled, Started
from interlock.core.sketch import merged, percentile_us
from interlock.core.store import RollFilter, Store, TaskFilter
from interlock.economics import statements as statements_of
from interlock.ledger.flight import encode
from interlock.ledger.read import Reader
from interlock.server.serve import quiet_collector
from interlock.storage import SqliteStore
from interlock.storage.rows import event_row
from interlock.storage.statements import statements

from .ledger import PRICE, settled

COMMAND = "python -m bench store"
DAYS = 30
DAY_NS = 86_400 * 10**9
BEGIN_NS = 1_790_035_200_000_000_000
"""A midnight."""
GROUP = 128
"""Calls and tasks that come at one moment and are committed together."""
UNDER_LOAD = 512
"""The same when as many come as the ledger's writer takes at once."""
STEPS = 8
LONG_STEPS, LONG_TASKS = 80, 100
WORKFLOWS = ("support_reply", "triage", "summary", "search", "review", "extract")
DEPLOYMENTS = ("openai/gpt-4o-mini", "openai/gpt-4o", "anthropic/claude-haiku", "local/qwen")
LONG = "tsk_long_000"
GROWTH = 1.5

Groups = list[list[Record]]


def lone(number: int, at_ns: int, rng: random.Random) -> list[Record]:
    """A call that is a task of its own."""
    call = _call(number, at_ns, rng)
    return [_record(call, encode(call))]


def task(number: int, at_ns: int, rng: random.Random, *, steps: int = STEPS, name: str = "") -> list[Record]:
    """A finished task of so many calls."""
    name = name or f"tsk_of_{number:020d}"
    first = _call(number, at_ns, rng)
    caller = structs.replace(first.caller, task=name, step=0)
    records = [Record(name, 0, "fernhill", at_ns, Started(caller.workflow, caller, caller.versions))]
    for step in range(1, steps + 1):
        call = _call(number + step, at_ns + step * 10**9, rng, caller.workflow)
        own = structs.replace(call, call=f"cal_of_{number + step:020d}", caller=structs.replace(caller, step=step))
        records.append(_record(own, encode(own)))
    outcome = "resolved" if rng.random() < 0.9 else "handed_to_human"
    return [*records, Record(name, steps + 1, "fernhill", at_ns + steps * 10**9, Finished(outcome, tier="small"))]


def _call(number: int, at_ns: int, rng: random.Random, workflow: str = "") -> Settled:
    call = settled(number)
    deployment = rng.choice(DEPLOYMENTS)
    tried = structs.replace(call.attempts[0], deployment=deployment, started_ns=at_ns)
    return structs.replace(
        call,
        caller=structs.replace(call.caller, workflow=workflow or rng.choice(WORKFLOWS)),
        started_ns=at_ns,
        duration_us=int(rng.lognormvariate(13, 0.6)),
        deployment=deployment,
        attempts=(tried,),
    )


def _record(call: Settled, encoded: bytes) -> Record:
    at_ns = call.started_ns + call.duration_us * 1000
    return Record(call.caller.task, call.caller.step, "fernhill", at_ns, call, None, 0, encoded)


def month(spans: int, group_of: int = GROUP) -> Iterator[Groups]:
    """Batches of records over the month, in the order of time; about so many calls in all."""
    rng = random.Random(7)
    number, waiting, made, begin_ns = 0, list[list[Record]](), 0, BEGIN_NS
    long_at = {round(spans * (each + 0.5) / LONG_TASKS): each for each in range(LONG_TASKS)}
    while made < spans:
        at_ns = begin_ns + len(waiting) * 1_000_000
        if rng.random() < 3 * STEPS / (3 * STEPS + 1):
            group, size = lone(number, at_ns, rng), 1
        else:
            group, size = task(number, at_ns, rng), STEPS
        for each in range(made, made + size):
            if each in long_at:
                name = f"{LONG[:-3]}{long_at[each]:03d}"
                waiting.append(task(10**12 + each * 100, at_ns, rng, steps=LONG_STEPS, name=name))
        number, made = number + size, made + size
        waiting.append(group)
        if len(waiting) >= group_of:
            yield waiting
            waiting = []
            begin_ns = BEGIN_NS + DAYS * DAY_NS * made // spans
    yield waiting


def filled(store: Store, spans: int, group_of: int = GROUP) -> float:
    """Writes a month; returns records per CPU-second of the writing alone."""
    spent_s, records = 0.0, 0
    gc.freeze()
    for groups in month(spans, group_of):
        before = time.process_time()
        store.write(groups, [PRICE])
        spent_s += time.process_time() - before
        records += sum(map(len, groups))
    return records / spent_s


def bare(folder: Path, spans: int, group_of: int) -> float:
    """The same records as rows, made beforehand, by `executemany` into the same table."""
    SqliteStore.open(folder / "bare.db").close()
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    spent_s, place = 0.0, 0
    for groups in month(spans, group_of):
        records = [record for group in groups for record in group]
        rows = [(place + at, *event_row(record, None)) for at, record in enumerate(records)]
        place += len(rows)
        before = time.process_time()
        db.execute("BEGIN IMMEDIATE")
        db.executemany(statements("events")["insert"], rows)
        db.execute("COMMIT")
        spent_s += time.process_time() - before
    db.close()
    return place / spent_s


def newest(store: Store) -> object:
    """The newest fifty of an agent, with what they cost."""
    rows = store.tasks.list(TaskFilter(tenant="fernhill", workflow=WORKFLOWS[0], limit=50))
    assert len(rows) == 50
    return rows


def tree(store: Store) -> object:
    """One task of eighty steps."""
    trace = Reader(store).trace(f"{LONG[:-3]}{LONG_TASKS // 2:03d}")
    assert trace is not None
    assert len(trace.steps) >= LONG_STEPS
    return trace


def latencies(store: Store) -> object:
    """A day of p50, p95 and p99 by model."""
    day_ns = BEGIN_NS + 20 * DAY_NS
    which = RollFilter("fernhill", role="call", since_ns=day_ns, until_ns=day_ns + DAY_NS, by_hour=False)
    rows = store.rolls(which)
    found: dict[str, list[int | None]] = {}
    for name in sorted({row.deployment for row in rows}):
        whole = merged(row.latency for row in rows if row.deployment == name)
        found[name] = [percentile_us(whole, share) for share in (0.5, 0.95, 0.99)]
    assert len(found) == len(DEPLOYMENTS)
    return found


def successes(store: Store) -> object:
    """What a successful task cost, by workflow, over the month: the statement that `interlock pnl` prints."""
    found = statements_of(store, tenant="fernhill", since_ns=BEGIN_NS, until_ns=BEGIN_NS + DAYS * DAY_NS)
    assert len(found) == len(WORKFLOWS)
    return found


QUESTIONS: dict[str, Callable[[Store], object]] = {
    "newest 50 of an agent, with costs": newest,
    "the tree of 80 steps": tree,
    "a day of p50, p95, p99 by model": latencies,
    "a month of cost per successful task": successes,
}


def cpu_ms(ask: Callable[[], object]) -> float:
    before = time.process_time()
    ask()
    return (time.process_time() - before) * 1e3


def built(path: Path, spans: int) -> SqliteStore:
    """A store with a month of so many spans, opened anew; one that stands there is taken as it is."""
    if not path.exists():
        unfinished = path.with_suffix(".part")
        store = SqliteStore.open(unfinished, synchronous="normal")
        filled(store, spans)
        store.settle()
        store.close()
        unfinished.replace(path)
    return SqliteStore.open(path)


def rates(spans: int, group_of: int) -> tuple[float, float]:
    """(records per CPU-second with roll-ups, the same ÷ bare rows); the median of three pairs, under the garbage collector's pace of a server."""
    pairs: list[tuple[float, float]] = []
    for _ in range(3):
        with quiet_collector(), tempfile.TemporaryDirectory() as name:
            rows = bare(Path(name), spans, group_of)
            store = SqliteStore.open(Path(name) / "ours.db")
            rate = filled(store, spans, group_of)
            store.close()
            pairs.append((rate, rate / rows))
    return statistics.median(rate for rate, _ in pairs), statistics.median(ratio for _, ratio in pairs)


def growth(folder: Path, small: int, large: int) -> list[dict[str, Any]]:
    """What each question costs at both sizes."""
    few, many = (built(folder / f"{spans}.db", spans) for spans in (small, large))
    figures: list[dict[str, Any]] = []
    for question, ask in QUESTIONS.items():
        for store in (few, many):
            ask(store)
        # In turns: what else the machine does meets both.
        pairs = [(cpu_ms(lambda ask=ask: ask(few)), cpu_ms(lambda ask=ask: ask(many))) for _ in range(15)]
        grown = statistics.median(at_many / at_few for at_few, at_many in pairs)
        figures.append(_figure(f"{question}: CPU at {large:,} spans ÷ at {small:,}", grown, "ratio", GROWTH))
        figures.append(_figure(f"{question}, {large:,} spans", statistics.median(each for _, each in pairs), "CPU ms"))
    few.close()
    many.close()
    size = (folder / f"{large}.db").stat().st_size / large
    return [*figures, _figure("the file, for each span", size, "bytes")]


def run(quick: bool) -> list[dict[str, Any]]:
    """Growth of each question over ten times the spans, and the rate of writing beside bare rows."""
    large = 200_000 if quick else int(os.environ.get("INTERLOCK_BENCH_SPANS", "2000000"))
    small, kept = large // 10, os.environ.get("INTERLOCK_BENCH_FOLDER", "")
    with contextlib.nullcontext(kept) if kept else tempfile.TemporaryDirectory() as name:
        figures = growth(Path(name), small, large)
    for group_of in (GROUP, UNDER_LOAD):
        rate, ratio = rates(min(small, 60_000), group_of)
        name = f"writing with roll-ups, {group_of} calls and tasks to a commit"
        figures.append(_figure(f"{name}, ÷ bare executemany", ratio, "ratio", 0.5, at_least=True))
        figures.append(_figure(name, rate, "records/CPU-s"))
    return figures


def _figure(
    figure: str, value: float, unit: str, goal: float | None = None, *, at_least: bool = False
) -> dict[str, Any]:
    ok = None if goal is None else value >= goal if at_least else value <= goal
    said = None if goal is None else f"{'>=' if at_least else '<='} {goal:g}"
    return {"figure": figure, "value": float(f"{value:.4g}"), "unit": unit, "goal": said, "ok": ok, "command": COMMAND}
