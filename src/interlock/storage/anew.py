"""Rewrites stored content in place (erasure, encryption under another key): of tasks with rows of their own, and of lone calls, each segment once however many of its calls are meant.

Above: the SQLite store. Below: packed, said. What `change` gets back unchanged is not touched.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from interlock.core.store import Change

from . import packed
from .rows import record_of
from .said import Said, plain
from .statements import statements


def rewritten(db: sqlite3.Connection, tasks: Sequence[str], change: Change) -> int:
    """How many contents of these tasks became others."""
    segments, bodies, said = statements("segments"), statements("bodies"), Said(db, statements("bodies"))
    alone: dict[int, list[packed.Holding]] = {}
    n = 0
    for task in tasks:
        held = packed.find(db, segments, task)
        if held is None:
            n += _log(db, task, change, said)
        else:
            alone.setdefault(held.segment, []).append(held)
    n += sum(packed.change_contents(db, segments, bodies, held, change, said) for held in alone.values())
    said.write()
    return n


def _log(db: sqlite3.Connection, task: str, change: Change, said: Said) -> int:
    rows = [row for row in db.execute(statements("events")["of_task"], (task, -1)).fetchall() if row[5] is not None]
    n = 0
    for row, content in zip(rows, plain(db, statements("bodies"), [row[5] for row in rows]), strict=True):
        record = record_of(row, None)
        if content is None or (left := change(record, content)) == content:
            continue
        said.dropped(row[5])
        db.execute(statements("events")["set_content"], (said.one(record.tenant, left), task, record.seq))
        n += 1
    return n
