"""Rewrites stored content in place (erasure, encryption under another key): of tasks with rows of their own, and of lone calls.

Above: the store. Below: calls, said. What `change` gets back unchanged is not touched.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from interlock.core.store import Change
from interlock.storage.rows import encode, record_of
from interlock.storage.said import Said, plain
from interlock.storage.session import Session
from interlock.storage.statements import statements

from . import calls


def rewritten(db: Session, tasks: Sequence[str], change: Change) -> int:
    """How many contents of these tasks became others."""
    said = Said(db, statements("bodies", "postgres"))
    n = sum(_alone(db, task, change, said) or _log(db, task, change, said) for task in tasks)
    said.write()
    return n


def _alone(db: Session, task: str, change: Change, said: Said) -> int:
    kept = calls.kept(db, task)
    record = None if kept is None else calls.find(db, task)
    if record is None or record.content is None:
        return 0
    content = encode(record.content).encode()
    left = change(structs.replace(record, content=None), content)
    if left == content:
        return 0
    said.dropped(kept)
    calls.set_content(db, task, said.one(record.tenant, left))
    return 1


def _log(db: Session, task: str, change: Change, said: Said) -> int:
    sql, n = statements("events", "postgres"), 0
    rows = db.execute(sql["to_change"], (task,)).fetchall()
    for row, content in zip(rows, plain(db, statements("bodies", "postgres"), [row[5] for row in rows]), strict=True):
        record = record_of(row, None)
        if content is None or (left := change(record, content)) == content:
            continue
        said.dropped(row[5])
        db.execute(sql["set_content"], (*calls.by_column(said.one(record.tenant, left)), task, record.seq))
        n += 1
    return n
