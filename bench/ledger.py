"""Settling a call through the ledger, against writing the bare row: events per CPU-second, and what the caller pays."""

from __future__ import annotations

import gc
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from interlock.core.caller import Caller, Versions
from interlock.core.events import Attempt, Record, Settled
from interlock.core.lots import Brief, Form, Lot, Opened
from interlock.core.money import Price, Rates, Usage, cost_of
from interlock.core.time import SystemClock
from interlock.gateway.forms import form_of
from interlock.ledger import Recorder, RecorderLimits
from interlock.ledger.flight import encode, encode_content
from interlock.server.serve import quiet_collector
from interlock.storage import SqliteStore
from interlock.storage.rows import event_row
from interlock.storage.statements import statements

COMMAND = "python -m bench ledger"
GROUP = 512
TOGETHER = 64
"""Ordinary calls that the gateway hands over at once."""
PRICE = Price(
    "openai/gpt-4o-mini",
    Rates(input=150_000_000, cache_read=75_000_000, output=600_000_000),
    "list",
    "2026-10-12",
    "a1b2c3d4e5f6",
)
CONTENT = {
    "response": {
        "text": "Your order FO-10231 left our warehouse on Tuesday and should be with you on Friday.",
        "finish": "stop",
    }
}


def settled(number: int, status: str = "ok") -> Settled:
    """One call of a lone request, with the fields that a usual call has."""
    usage = Usage(input=612 + number % 97, cache_read=512, output=88 + number % 31)
    cost = cost_of(PRICE.rates, usage)
    started_ns = 1_790_000_000_000_000_000 + number * 5_000_000
    duration_us = 400_000 + number * 7919 % 900_000
    attempt = Attempt(PRICE.model, "ok", started_ns, duration_us, "small", usage, cost, PRICE.version)
    return Settled(
        call=f"cal_{number:026d}",
        kind="model",
        name="support",
        caller=Caller(
            tenant="fernhill",
            user=f"user-{number % 500}",
            key_id="key-1",
            workflow="support_reply",
            task=f"tsk_{number:026d}",
            step=1,
            versions=Versions("c0ffee00c0ff", "decaf000deca", "beef00000bee", "facade00faca"),
        ),
        status="ok" if status == "ok" else "crashed",
        started_ns=started_ns,
        duration_us=duration_us,
        deployment=PRICE.model,
        tier="small",
        attempts=(attempt,) if status == "ok" else (),
        usage=usage,
        cost_nano_usd=cost,
        reserved_nano_usd=2 * cost,
        price=PRICE.version,
        confidence=0.91,
        reasons=("small tier first", "no rule asked for another tier"),
    )


def ledger_run(folder: Path, events: list[tuple[Settled, Settled]]) -> tuple[float, float]:
    """(events per CPU-second from `open` to committed, CPU µs of the calling thread for one `open` and `settle`)."""
    path = folder / "ledger.db"
    store = SqliteStore.open(path)
    recorder = Recorder(
        store, SystemClock(), path=path, price_of_version=lambda _: PRICE, limits=RecorderLimits(calls=8 * GROUP)
    )
    recorder.start()
    caller_s = 0.0
    before = time.process_time()
    for at in range(0, len(events), GROUP):
        thread_before = time.thread_time()
        for crashed, real in events[at : at + GROUP]:
            recorder.settle(recorder.open(crashed), real, CONTENT)
        caller_s += time.thread_time() - thread_before
        while recorder.health().queued > 2 * GROUP:
            time.sleep(0.01)
    left = recorder.close_now(60.0)
    spent_s = time.process_time() - before
    assert left == 0
    assert store.totals().events_nano_usd == sum(real.cost_nano_usd for _, real in events)
    store.close()
    return len(events) / spent_s, caller_s / len(events) * 1e6


def briefs(count: int) -> list[Brief]:
    """What is each one's own of so many ordinary calls, as the gateway's short way leaves them."""
    events = [settled(number) for number in range(count)]
    return [
        Brief(
            each.caller.task,
            each.started_ns,
            each.duration_us,
            each.usage.input,
            each.usage.output,
            cost_of(PRICE.rates, Usage(input=each.usage.input, output=each.usage.output)),
            each.reserved_nano_usd,
        )
        for each in events
    ]


def short_run(folder: Path, form: Form, calls: list[Brief]) -> float:
    """Events per CPU-second of ordinary calls, from being noted in the journal to committed."""
    path = folder / "short.db"
    store = SqliteStore.open(path)
    recorder = Recorder(
        store, SystemClock(), path=path, price_of_version=lambda _: PRICE, limits=RecorderLimits(calls=8 * GROUP)
    )
    recorder.start()
    before = time.process_time()
    for at in range(0, len(calls), TOGETHER):
        some = calls[at : at + TOGETHER]
        slots = [recorder.note_open(form, Opened(*each[:2], *each[3:6])) for each in some]
        for slot, each in zip(slots, some, strict=True):
            recorder.note_settled(slot, form, each)
        recorder.hand_over(form, some, slots)
        while recorder.health().queued > 2 * GROUP:
            time.sleep(0.01)
    left = recorder.close_now(60.0)
    spent_s = time.process_time() - before
    assert left == 0
    assert store.totals().events_nano_usd == sum(each.cost_nano_usd for each in calls)
    store.close()
    return len(calls) / spent_s


def store_run(folder: Path, events: list[tuple[Settled, Settled]]) -> float:
    """Events per CPU-second of the store alone: encoded already, as the journal leaves them."""
    store = SqliteStore.open(folder / "store.db")
    body = encode_content(CONTENT)
    groups = [
        [Record(real.caller.task, 1, "fernhill", real.started_ns, real, CONTENT, 0, encode(real), body)]
        for _, real in events
    ]
    before = time.process_time()
    for at in range(0, len(groups), GROUP):
        store.write(groups[at : at + GROUP], [PRICE])
    spent_s = time.process_time() - before
    store.close()
    return len(groups) / spent_s


def bare_run(folder: Path, events: list[Settled], said: str | None) -> float:
    """Rows per CPU-second of bare `executemany` into the same table, rows made beforehand."""
    rows = [
        (place, *event_row(Record(real.caller.task, 1, "fernhill", real.started_ns, real), said))
        for place, real in enumerate(events)
    ]
    SqliteStore.open(folder / "bare.db").close()
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    insert = statements("events")["insert"]
    before = time.process_time()
    for at in range(0, len(rows), GROUP):
        db.execute("BEGIN IMMEDIATE")
        db.executemany(insert, rows[at : at + GROUP])
        db.execute("COMMIT")
    spent_s = time.process_time() - before
    db.close()
    return len(rows) / spent_s


def run(quick: bool) -> list[dict[str, Any]]:
    """Both rates, their ratio, and the caller's share; under the garbage collector's pace of a server and of a worker."""
    with quiet_collector():
        return _measured(10_000 if quick else 40_000, 2 if quick else 5)


def _measured(count: int, rounds: int) -> list[dict[str, Any]]:
    events = [(settled(n, "crashed"), settled(n)) for n in range(count)]
    gc.collect()
    gc.freeze()  # a server does not hold these: its collector has nothing to look through
    real, said = [each for _, each in events], encode_content(CONTENT).decode()
    sample = real[0]
    form = form_of("support", sample.caller, PRICE.model, "small", PRICE.version, sample.reasons)
    ordinary = briefs(len(events))
    plain = [each for record in Lot(form, ordinary, 0).records() if isinstance(each := record.event, Settled)]
    short: list[float] = []
    ours: list[float] = []
    callers: list[float] = []
    alone: list[float] = []
    bare: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            rate, caller_us = ledger_run(Path(name), events)
            ours.append(rate)
            callers.append(caller_us)
            alone.append(store_run(Path(name), events))
            bare.append(bare_run(Path(name), real, said))
        with tempfile.TemporaryDirectory() as name:
            rate = short_run(Path(name), form, ordinary)
            short.append(rate / bare_run(Path(name), plain, None))
    rate, row_rate, caller_us = statistics.median(ours), statistics.median(bare), statistics.median(callers)
    ratio, store_ratio = rate / row_rate, statistics.median(alone) / row_rate
    return [
        _figure(
            "ledger events per CPU-second ÷ bare executemany rows per CPU-second",
            round(ratio, 3),
            "ratio",
            ">= 0.5",
            ratio >= 0.5,
        ),
        _figure(
            "the same of ordinary calls, by the short way, ÷ bare rows of their events",
            round(statistics.median(short), 3),
            "ratio",
            ">= 0.5",
            statistics.median(short) >= 0.5,
        ),
        _figure(
            "the same of the store alone: tasks, roll-ups, outcomes and meters included",
            round(store_ratio, 3),
            "ratio",
            ">= 0.5",
            store_ratio >= 0.5,
        ),
        _figure(
            "ledger: events per CPU-second, open to committed with task and roll-ups",
            round(rate),
            "events/CPU-s",
            None,
            None,
        ),
        _figure("bare executemany into the same table", round(row_rate), "rows/CPU-s", None, None),
        _figure("open + settle, on the caller's thread", round(caller_us, 1), "CPU µs", "<= 20", caller_us <= 20),
    ]


def _figure(figure: str, value: float, unit: str, goal: str | None, ok: bool | None) -> dict[str, Any]:
    return {"figure": figure, "value": value, "unit": unit, "goal": goal, "ok": ok, "command": COMMAND}
