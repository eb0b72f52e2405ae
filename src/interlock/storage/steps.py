"""The commit of a worker's steps, which is most of what it commits: intentions, and calls that ended as calls do, of tasks that are under way.

Above: writes, which does everything else, and this too where it turns out not to be so. Below: hours, rolls, rows. A step waits for its commit by itself, so
each statement and each page more is felt: the fence is asked by the statement that counts the task's sums up, and calls that used nothing only add to a distribution.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

from msgspec import Struct

from interlock.core.events import Intended, Record, Settled
from interlock.core.meters import is_plain
from interlock.core.money import Usage
from interlock.core.sketch import Counts, bucket_of

from .ahead import Ahead
from .hours import add_sums, add_took
from .rolls import PriceOfVersion, RollKey, key_of, kinds_of, one_try
from .rows import body_of, event_row, money
from .said import Said
from .statements import statements

FEW = 16
"""Events that go in with one statement."""
_UNUSED = Usage()
_ADDED = 10
"""Columns of a task's row that are added to, before its id and fence."""


class NotSteps(Exception):
    """A task is not held under this fence, or is over, or a place is taken: what was done in the transaction has to be undone."""


class Steps(Struct, frozen=True):
    """What groups hold, when that is steps and nothing else."""

    records: list[Record]
    tasks: dict[str, list[Any]]
    """By task, the parameters of `tasks.step`."""


def steps_of(groups: Sequence[Sequence[Record]]) -> Steps | None:
    """`None` where one of the records is something else, or two of a task hold different fences."""
    records: list[Record] = []
    tasks: dict[str, list[Any]] = {}
    for group in groups:
        for record in group:
            event, task = record.event, record.task
            call = event if isinstance(event, Settled) else None
            if not record.fence or (call is None and (not isinstance(event, Intended) or event.awaits)):
                return None
            row = tasks.get(task)
            if row is None:
                row = tasks[task] = [*(0,) * _ADDED, record.tenant, task, record.fence]
            elif row[-1] != record.fence:
                return None
            _add(row, record, call)
            records.append(record)
    return Steps(records, tasks) if records else None


def _add(row: list[Any], record: Record, call: Settled | None) -> None:
    """What one record adds to its task's row."""
    row[0] = max(row[0], record.at_ns)
    row[1] += 1
    row[2] = max(row[2], record.seq)
    if call is None:
        return
    row[3 if call.kind == "model" else 4] += 1
    if call.usage is not _UNUSED:
        row[5] += call.usage.input_total
        row[6] += call.usage.output_total
    real, simulated = money(call)
    row[7] += real
    row[8] += simulated
    row[9] += call.saved_nano_usd


def write_steps(db: sqlite3.Connection, steps: Steps, price_of: PriceOfVersion, ahead: Ahead) -> None:
    """Inside a transaction, which has to be undone when this raises NotSteps."""
    ahead.look(db)
    if db.executemany(statements("tasks")["step"], steps.tasks.values()).rowcount != len(steps.tasks):
        raise NotSteps
    said = Said(db, statements("bodies"), ahead.secret(db))
    try:
        insert(db, steps.records, said, ahead.reserve(db, len(steps.records)))
    except sqlite3.IntegrityError as fault:
        raise NotSteps from fault
    said.write()
    _sum(db, steps.records, price_of)


def insert(db: sqlite3.Connection, records: Sequence[Record], said: Said, place: int) -> None:
    """Events, from `place` on. Raises sqlite3.IntegrityError where one is there already: of more than `FEW` some have gone in then."""
    rows = [
        (place + at, *event_row(record, said.one(record.tenant, body_of(record)))) for at, record in enumerate(records)
    ]
    if len(rows) <= FEW:  # one statement, which SQLite undoes by itself
        db.execute(_insert_of(len(rows)), list(chain.from_iterable(rows)))
    else:
        db.executemany(statements("events")["insert"], rows)


@cache
def _insert_of(rows: int) -> str:
    """The statement that inserts so many events at once."""
    into, values, row = statements("events")["insert"].partition("VALUES")
    return f"{into}{values}{','.join([row] * rows)}"


def _sum(db: sqlite3.Connection, records: Sequence[Record], price_of: PriceOfVersion) -> None:
    """Adds calls to their hours."""
    took: dict[RollKey, Counts] = {}
    others: list[Record] = []
    for record in records:
        call = record.event
        if not isinstance(call, Settled):
            continue
        if not _used_nothing(call):
            others.append(record)
            continue
        counts, bucket = took.setdefault(key_of(record.tenant, call), {}), bucket_of(call.duration_us)
        counts[bucket] = counts.get(bucket, 0) + 1
    if took:
        add_took(db, took)
    if others:
        add_sums(db, kinds_of(others), price_of)


def _used_nothing(call: Settled) -> bool:
    """Whether it leaves nothing in its hour but that it took place, and how long it took: as calls of tools do."""
    return (
        call.kind == "tool"
        and not call.cost_nano_usd
        and not call.saved_nano_usd
        and (call.usage is _UNUSED or call.usage == _UNUSED)
        and is_plain(call)
        and one_try(call)
    )
