"""What the newest tasks of a workflow say that no roll-up knows: how widely their costs spread, how much of what they read came from tools,
what was spent in circles, what was asked twice, and how costs go with the length of inputs.

Above: pnl. Below: statement, a `core.store.Store`. The newest `TASKS` rows, and the records of the newest `READ` of them, whatever the period holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec
from msgspec import Struct

from interlock.core.estimate import Interval, per_success
from interlock.core.events import Record, Settled
from interlock.core.shares import money_of
from interlock.core.store import Store, TaskFilter, TaskRow

from .statement import ContextCost, contexts_of, is_success

TASKS = 500
READ = 40
CIRCLES = "anomaly_"
"""How the error of a task begins that was stopped for going in circles."""


class Sample(Struct, frozen=True):
    """Of one workflow and period."""

    tasks: int = 0
    factors: Interval | None = None
    """Between which multiples of the seen cost of a success the real one lies, for so many tasks as the sample has."""
    circles_nano_usd: int = 0
    """Spent on tasks that were stopped for going in circles."""
    read: int = 0
    """Tasks whose records were read, as far as their content was kept."""
    retrieved: float | None = None
    """Share of what models read (0–1, by characters) that tools and knowledge had brought; `None` where no content was kept."""
    repeated_nano_usd: int = 0
    """Spent on answers to requests that had been answered word for word before, by the same model, among the tasks that were read."""
    contexts: tuple[ContextCost, ...] = ()
    """Costs by how much the models of a task read."""


def sampled(store: Store, tenant: str, workflow: str, since_ns: int = 0, until_ns: int = 0) -> Sample:
    """The sample. Raises StoreUnavailable."""
    which = TaskFilter(tenant, workflow, "task", since_ns=since_ns, until_ns=until_ns, limit=TASKS)
    rows = [row for row in store.tasks.list(which) if row.status == "finished" and not row.simulated]
    if not rows:
        return Sample()
    good = [is_success(row.outcome, simulated=row.simulated, success=row.success) for row in rows]
    circles = sum(row.cost_nano_usd for row in rows if row.error.startswith(CIRCLES))
    factors = per_success([row.cost_nano_usd for row in rows], good)
    read = [(_length(row), 1, int(each), row.cost_nano_usd) for row, each in zip(rows, good, strict=True)]
    contexts = contexts_of(each for each in read if each[0])
    return _read(store, rows[:READ], Sample(len(rows), factors, circles, contexts=contexts))


def _length(row: TaskRow) -> int:
    """Input tokens of its model calls together, rounded up to a power of two; zero where none read any."""
    return 1 << (row.input_tokens - 1).bit_length() if row.input_tokens else 0


def _read(store: Store, rows: Sequence[TaskRow], sample: Sample) -> Sample:
    brought = whole = repeated = read = 0
    seen: set[tuple[str, bytes]] = set()
    for row in rows:
        kept = False
        for call, request in _requests(store.records(row.id)):
            kept = True
            theirs, all_of_it = _brought(request)
            brought, whole = brought + theirs, whole + all_of_it
            key = call.deployment, msgspec.json.encode(request)
            if key in seen and not call.cache:
                repeated += money_of(call)[0]
            seen.add(key)
        read += kept
    return msgspec.structs.replace(
        sample, read=read, retrieved=brought / whole if whole else None, repeated_nano_usd=repeated
    )


def _requests(records: Sequence[Record]) -> Iterator[tuple[Settled, list[Any]]]:
    for record in records:
        request = (record.content or {}).get("request")
        if isinstance(record.event, Settled) and record.event.kind == "model" and isinstance(request, list):
            yield record.event, cast("list[Any]", request)


def _brought(request: list[Any]) -> tuple[int, int]:
    """Characters of tools' results, and of all turns."""
    theirs = whole = 0
    for turn in request:
        size = len(str(turn.get("text") or "")) if isinstance(turn, dict) else 0  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        whole += size
        theirs += size if isinstance(turn, dict) and turn.get("role") == "tool" else 0  # pyright: ignore[reportUnknownMemberType]
    return theirs, whole
