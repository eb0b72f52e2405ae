"""Calls that are tasks of their own, as rows: put in, found, listed, and moved out when more becomes known of one.

Above: writes, tasks, store. Below: database; lone and rows say what a call is as a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from interlock.core.events import Record, Settled
from interlock.core.store import TaskFilter, TaskRow
from interlock.storage import lone
from interlock.storage.rows import body_of, decode_event, encode, lone_outcome, money
from interlock.storage.said import Said, plain
from interlock.storage.session import Session
from interlock.storage.statements import statements


def put(db: Session, calls: Sequence[lone.Call], said: Said) -> set[str]:
    """Writes lone calls; returns the tasks of those that were not, since something is written about them already."""
    if not calls:
        return set()
    ids = [record.task for record, _ in calls]
    strange = lone.repeated(calls) | {row[0] for row in db.execute(statements("tasks", "postgres")["known"], (ids,))}
    fresh = sorted((_row(*call, said) for call in calls if call[0].task not in strange), key=_task)
    if not fresh:
        return strange
    written = db.execute(_sql("insert"), [list(column) for column in zip(*fresh, strict=True)]).fetchall()
    if len(written) == len(fresh):
        return strange
    there = {row[0] for row in written}
    for row in fresh:
        if row[0] not in there:
            said.dropped(row[-2])
    return strange | ({row[0] for row in fresh} - there)


def find(db: Session, task: str) -> Record | None:
    """The lone call that is `task`."""
    row = db.execute(_sql("find"), (task,)).fetchone()
    if row is None:
        return None
    event, kept, at_ns = row
    (content,) = plain(db, statements("bodies", "postgres"), [kept])
    call = _settled(event)
    told = None if content is None else msgspec.json.decode(content)
    return Record(call.caller.task, call.caller.step, call.caller.tenant, at_ns, call, told)


def kept(db: Session, task: str) -> bytes | None:
    """The content of the lone call that is `task`, as it rests; nobody else changes it before this transaction ends."""
    row = db.execute(_sql("kept"), (task,)).fetchone()
    return None if row is None else row[0]


def as_task(event: str, at_ns: int) -> TaskRow:
    """A lone call as the task that it is."""
    call = _settled(event)
    return lone.task_of(call.caller.task, at_ns, call)


def newest(db: Session, which: TaskFilter, last_ns: int) -> list[TaskRow]:
    """The newest lone calls that began at `last_ns` or before, as tasks."""
    if which.kind not in ("", "call") or which.status not in ("", "finished"):
        return []
    if which.batch or which.contract or which.least_steps > 1:
        return []
    rows = db.execute(_sql("list"), structs.asdict(which) | {"last_ns": last_ns})
    return [as_task(*row) for row in rows]


def move_out(db: Session, tasks: Sequence[str]) -> list[TaskRow]:
    """Gives those of `tasks` that are lone calls rows of their own in the log; returns what their tasks' rows have to say."""
    found = [as_task(*row) for row in db.execute(_sql("among"), (list(tasks),)).fetchall()]
    if found:
        ids = [row.id for row in found]
        db.execute(_sql("move"), (ids,))
        db.execute(_sql("moved"), (ids,))
    return found


def set_content(db: Session, task: str, content: bytes | str | None) -> None:
    """Puts `content`, as it rests, in the place of a lone call's content."""
    db.execute(_sql("set_content"), (*by_column(content), task))


def by_column(kept: bytes | str | None) -> tuple[bytes | None, str | None]:
    """What is kept, for `said` and for `content`: one of them."""
    return (None, kept) if isinstance(kept, str) else (kept, None)


def _sql(name: str) -> str:
    return statements("calls", "postgres")[name]


def _task(row: tuple[Any, ...]) -> str:
    return row[0]


def _row(record: Record, call: Settled, said: Said) -> tuple[Any, ...]:
    return (
        record.task,
        record.seq,
        record.tenant,
        call.caller.workflow,
        call.caller.user,
        lone_outcome(call),
        call.started_ns,
        record.at_ns,
        *money(call),
        record.encoded.decode() if record.encoded else encode(call),
        *by_column(said.one(record.tenant, body_of(record))),
    )


def _settled(event: str) -> Settled:
    found = decode_event(event)
    assert isinstance(found, Settled), "only settled calls are written there"
    return found
