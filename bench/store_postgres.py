"""The same month as in `store` on PostgreSQL: what the questions of pages cost, client and server together, at one size and at ten times that.

`INTERLOCK_BENCH_SPANS_POSTGRES` sets the larger size (default 1,000,000; 10,000,000 takes 17 GB of disk and 20 minutes). The server is the bench's own,
on this machine, with its default settings but for `fsync = off` and 256 MB of buffers. With `INTERLOCK_BENCH_FOLDER` it stays there (in `postgres`), and another run asks what is there.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from interlock.core.store import Store
from interlock.storage.postgres import PostgresStore
from tests.postgres import Postgres

from .store import GROUP, GROWTH, QUESTIONS, filled
from .workers import cpu_of

COMMAND = "python -m bench store_postgres"
ROUNDS = 5
COMMITS = 8_000
"""Of a month, at most: a large one is put in by larger groups, which changes nothing of what is there."""
WRITTEN = 50_000
"""Spans that the cost of writing is measured with, 128 calls and tasks to a commit."""
LEAST_S = 0.4
"""CPU that one measurement takes at least: the system counts a server's in hundredths of a second."""


def run(quick: bool) -> list[dict[str, Any]]:
    """Growth of each question over ten times the spans."""
    large = 50_000 if quick else int(os.environ.get("INTERLOCK_BENCH_SPANS_POSTGRES", "1000000"))
    small, folder = large // 10, os.environ.get("INTERLOCK_BENCH_FOLDER", "")
    figures: list[dict[str, Any]] = []
    with Postgres(settings=("shared_buffers=256MB",), kept=Path(folder) / "postgres" if folder else None) as server:
        few, many = built(server, small), built(server, large)
        for question, ask in QUESTIONS.items():
            pairs = [(_ms(server, ask, few), _ms(server, ask, many)) for _ in range(ROUNDS)]
            grown = statistics.median(at_many / at_few for at_few, at_many in pairs)
            name = f"{question}: CPU at {large:,} spans ÷ at {small:,}"
            figures.append(_figure(name, grown, "ratio", GROWTH))
            figures.append(_figure(f"{question}, {large:,} spans", statistics.median(at for _, at in pairs), "CPU ms"))
        few.close()
        many.close()
        return [*figures, *written(server, min(small, WRITTEN))]


def built(server: Postgres, spans: int) -> PostgresStore:
    """A store with a month of so many spans, opened anew; one that stands there is taken as it is."""
    name, unfinished = f"month_{spans}", f"part_{spans}"
    with psycopg.connect(server.address(), autocommit=True) as db:
        there = db.execute("SELECT to_regnamespace(%s)", (name,)).fetchone()
        if there is None or there[0] is None:
            db.execute(f"DROP SCHEMA IF EXISTS {unfinished} CASCADE".encode())
            db.execute(f"CREATE SCHEMA {unfinished}".encode())
            store = PostgresStore.open(server.address(unfinished))
            filled(store, spans, max(GROUP, spans // COMMITS))
            store.close()
            db.execute(f"ALTER SCHEMA {unfinished} RENAME TO {name}".encode())
            db.execute("VACUUM ANALYZE")
    return PostgresStore.open(server.address(name))


def written(server: Postgres, spans: int) -> list[dict[str, Any]]:
    """What writing a month costs the client and the server."""
    address = server.fresh()
    store = PostgresStore.open(address)
    before_s = cpu_of(server)
    client = filled(store, spans)
    server_us = (cpu_of(server) - before_s) / spans * 1e6
    store.close()
    server.drop(address)
    return [
        _figure("writing with roll-ups, this process", 1e6 / client, "CPU µs per record"),
        _figure("the same, the server", server_us, "CPU µs per record"),
    ]


def _ms(server: Postgres, ask: Callable[[Store], object], store: Store) -> float:
    """CPU of asking once, client and server."""
    times = 0
    begun_s = cpu_of(server) + time.process_time()
    while times < 3 or cpu_of(server) + time.process_time() - begun_s < LEAST_S:
        ask(store)
        times += 1
    return (cpu_of(server) + time.process_time() - begun_s) / times * 1e3


def _figure(figure: str, value: float, unit: str, goal: float | None = None) -> dict[str, Any]:
    said = None if goal is None else f"<= {goal:g}"
    ok = None if goal is None else value <= goal
    return {"figure": figure, "value": float(f"{value:.4g}"), "unit": unit, "goal": said, "ok": ok, "command": COMMAND}
