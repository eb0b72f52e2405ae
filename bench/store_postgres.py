"""The same month as in `store` on PostgreSQL: what the questions of pages cost, client and server together, at one size and at ten times that.

`INTERLOCK_BENCH_SPANS_POSTGRES` sets the larger size (default 1,000,000). The server is the bench's own, on this machine, with its default settings but for `fsync = off` while it is filled.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from interlock.core.store import Store
from interlock.storage.postgres import PostgresStore
from tests.postgres import Postgres

from .store import GROWTH, QUESTIONS, filled
from .workers import cpu_of

COMMAND = "python -m bench store_postgres"
ROUNDS = 5
LEAST_S = 0.4
"""CPU that one measurement takes at least: the system counts a server's in hundredths of a second."""


def run(quick: bool) -> list[dict[str, Any]]:
    """Growth of each question over ten times the spans."""
    large = 50_000 if quick else int(os.environ.get("INTERLOCK_BENCH_SPANS_POSTGRES", "1000000"))
    small = large // 10
    figures: list[dict[str, Any]] = []
    with Postgres(settings=("shared_buffers=256MB",)) as server:
        few, many = PostgresStore.open(server.fresh()), PostgresStore.open(server.fresh())
        before_s = cpu_of(server)
        client = filled(few, small)
        server_us = (cpu_of(server) - before_s) / small * 1e6
        filled(many, large)
        server.run("psql", "-q", "-c", "VACUUM ANALYZE", server.address())
        for question, ask in QUESTIONS.items():
            pairs = [(_ms(server, ask, few), _ms(server, ask, many)) for _ in range(ROUNDS)]
            grown = statistics.median(at_many / at_few for at_few, at_many in pairs)
            name = f"{question}: CPU at {large:,} spans ÷ at {small:,}"
            figures.append(_figure(name, grown, "ratio", GROWTH))
            figures.append(_figure(f"{question}, {large:,} spans", statistics.median(at for _, at in pairs), "CPU ms"))
        few.close()
        many.close()
    figures.append(_figure("writing with roll-ups, this process", 1e6 / client, "CPU µs per record"))
    figures.append(_figure("the same, the server", server_us, "CPU µs per record"))
    return figures


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
