"""The one transaction by which anything gets into the ledger: events, their tasks and the roll-ups, together or not at all.

Above: `SqliteStore.write`. Below: packed, outcomes, rolls, rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import structs

from interlock.core.errors import Fenced
from interlock.core.events import Finished, Record, Settled, Started
from interlock.core.lots import Lot
from interlock.core.money import Price

from . import lone, packed
from .ahead import Ahead
from .hours import add_sums
from .outcomes import Counted, Ended, Kind, add_counts, alone_ended, changed, merge_outcomes
from .rolls import PriceOfVersion, kinds_of, sort_into
from .rows import decode_event, encode, event_row, late, only_adds, task_rows, to_parent
from .said import Said
from .segments import NS_PER_MINUTE
from .statements import statements
from .steps import FEW, insert

Group = Sequence[Record]


class Standing(NamedTuple):
    """A task's row as it is before a write."""

    fence: int
    status: str


_OVER, _UNKNOWN = Standing(0, "finished"), Standing(0, "")


def write_groups(
    db: sqlite3.Connection, groups: Sequence[Group], lots: Sequence[Lot], price_of: PriceOfVersion, ahead: Ahead
) -> list[Fenced | None]:
    """Inside a transaction: writes lots, and every group whole or not at all; says which groups were fenced out."""
    ahead.look(db)
    asked = len(groups)
    lots = lone.by_minute(lots, NS_PER_MINUTE)
    alone, others = lone.split(groups)
    said = Said(db, statements("bodies"), ahead.secret(db))
    if not _write_alone(db, alone, lots, said, ahead):
        groups, lots = [*groups, *([record] for lot in lots for record in lot.records())], ()
        alone, others = lone.split(groups)
        strange = packed.known(db, statements("segments"), alone) | lone.repeated(alone)
        alone = [call for call in alone if call[0].task not in strange]
        others = [place for place, group in enumerate(groups) if place in set(others) or group[0].task in strange]
        _write_alone(db, alone, lots, said, ahead)
    kinds = kinds_of([record for record, _ in alone], lots)
    counts = alone_ended(kinds)
    refused: list[Fenced | None] = [None] * len(groups)
    ended: list[str] = []
    if others:
        written, answers, changes = _write(db, [groups[place] for place in others], said, ahead)
        sort_into(kinds, written)
        add_counts(counts, changes)
        ended = [record.task for record in written if isinstance(record.event, Finished)]
        for place, no in zip(others, answers, strict=True):
            refused[place] = no
    said.write()
    add_sums(db, kinds, price_of, ended)
    merge_outcomes(db, counts)
    return refused[:asked]


def _write_alone(
    db: sqlite3.Connection, calls: Sequence[lone.Call], lots: Sequence[Lot], said: Said, ahead: Ahead
) -> bool:
    """Puts lone calls into segments; False, and nothing done, when something is written already about one of these tasks."""
    sql = statements("segments")
    tasks = [record.task for record, _ in calls] + [brief.task for lot in lots for brief in lot.briefs]
    if not tasks:
        return True
    if packed.with_rows(db, sql, tasks):
        return False
    db.execute("SAVEPOINT alone")
    trial = said.trial()
    try:
        packed.put(db, sql, calls, lots, ahead.reserve(db, len(tasks)), trial)
    except sqlite3.IntegrityError:
        db.execute("ROLLBACK TO alone")
        ahead.forget()
        return False
    finally:
        db.execute("RELEASE alone")
    said.took(trial)
    return True


def _write(
    db: sqlite3.Connection, groups: Sequence[Group], said: Said, ahead: Ahead
) -> tuple[list[Record], list[Fenced | None], dict[Kind, Counted]]:
    """Groups of any kind: what was written of them, why not, and what it changes in the counts of finished tasks."""
    standing = _standing(db, {record.task for group in groups for record in group})
    refused = fenced_groups(groups, standing)
    records = [record for group, no in zip(groups, refused, strict=True) if no is None for record in group]
    spent = [
        late(r, r.event) for g, no in zip(groups, refused, strict=True) if no for r in g if isinstance(r.event, Settled)
    ]
    if spent:
        standing.update(_standing(db, {record.task for record in spent}))
    touched = {record.task for record in (*records, *spent)}
    before = _before(db, touched, standing, said)
    trial = said.trial()
    try:
        _insert_many(db, [*records, *spent], trial, ahead)
    except sqlite3.IntegrityError:
        # Some place is taken: rare (a repeated write, a recovered call), so only then each record is looked at.
        trial = said.trial()
        records, refused = _one_by_one(db, groups, refused, trial, ahead)
        spent = []
        touched |= {record.task for record in records}
    said.took(trial)
    written = [*records, *spent]
    merge(db, written, standing)
    over = {task for task in touched if standing.get(task, _OVER).status == "finished"}
    over.update([record.task for record in records if isinstance(record.event, Finished)])
    return written, refused, changed(before, _ended(db, over)) if over else {}


def _insert_many(db: sqlite3.Connection, records: Sequence[Record], said: Said, ahead: Ahead) -> None:
    """All of them, or none and sqlite3.IntegrityError where a place is taken; the numbers reserved for them are passed over then."""
    if not records:
        return
    place = ahead.reserve(db, len(records))
    if len(records) <= FEW:
        insert(db, records, said, place)
        return
    db.execute("SAVEPOINT quick")
    try:
        insert(db, records, said, place)
    except sqlite3.IntegrityError:
        db.execute("ROLLBACK TO quick")
        db.execute("RELEASE quick")
        raise
    db.execute("RELEASE quick")


def _ended(db: sqlite3.Connection, tasks: Collection[str]) -> list[Ended]:
    """Those of `tasks` that are over, as they count."""
    return [Ended(*row) for row in db.execute(statements("outcomes")["ended"], (encode(list(tasks)),)).fetchall()]


def _standing(db: sqlite3.Connection, tasks: Iterable[str]) -> dict[str, Standing]:
    """Those of `tasks` that have rows, as they are before the write."""
    tasks = list(tasks)
    if len(tasks) > 1:
        rows = db.execute(statements("tasks")["standing"], (encode(tasks),)).fetchall()
        return {task: Standing(fence, status) for task, fence, status in rows}
    found = ((task, db.execute(statements("tasks")["lease"], (task,)).fetchone()) for task in tasks)
    return {task: Standing(int(row[2]), row[3]) for task, row in found if row is not None}


def _before(db: sqlite3.Connection, touched: Iterable[str], standing: dict[str, Standing], said: Said) -> list[Ended]:
    """Those of `touched` that were over before; lone calls among them are given rows."""
    new = [task for task in touched if task not in standing]
    if new:
        standing.update(dict.fromkeys(_give_rows(db, new, said), _OVER))
    over = [task for task in touched if standing.get(task, _UNKNOWN).status == "finished"]
    return _ended(db, over) if over else []


def fenced_groups(groups: Sequence[Group], standing: Mapping[str, Standing]) -> list[Fenced | None]:
    """For each group: why it may not be written, or `None`."""
    fences: dict[str, int | None] = {}
    refused: list[Fenced | None] = []
    for group in groups:
        no: Fenced | None = None
        for record in group:
            if not record.fence:
                continue
            if record.task not in fences:
                held = standing.get(record.task)
                fences[record.task] = None if held is None else held.fence
            if fences[record.task] is None and isinstance(record.event, Started):
                fences[record.task] = record.fence
            if fences[record.task] != record.fence:
                no = _fenced(record, fences[record.task])
                break
        refused.append(no)
    return refused


def _fenced(record: Record, held: int | None) -> Fenced:
    found = "does not exist" if held is None else f"is at fence {held}"
    return Fenced(
        f"task {record.task} {found}, this write holds fence {record.fence}: another worker has taken the task over.",
        hint="Drop what this worker still holds for the task; what its calls cost has been recorded.",
    )


def _one_by_one(
    db: sqlite3.Connection,
    groups: Sequence[Group],
    refused: Sequence[Fenced | None],
    said: Said,
    ahead: Ahead,
) -> tuple[list[Record], list[Fenced | None]]:
    """Inserts what is not there yet; returns what was inserted, and the refusals with those for taken places added."""
    inserted: list[Record] = []
    answers: list[Fenced | None] = []
    for group, refusal in zip(groups, refused, strict=True):
        no = refusal or _taken(db, group)
        answers.append(no)
        for record in group:
            event = record.event
            if no is None and not _is_there(db, record):
                inserted.append(_insert(db, record, said, ahead))
            elif no is not None and isinstance(event, Settled):
                spent = late(record, event)
                if not _same_call(db, record, event) and not _is_there(db, spent):
                    inserted.append(_insert(db, spent, said, ahead))
    return inserted, answers


def _taken(db: sqlite3.Connection, group: Group) -> Fenced | None:
    for record in group:
        text = _text_at(db, record)
        if text is None or text == encode(record.event):
            continue
        if isinstance(record.event, Settled) and _same_call(db, record, record.event):
            continue
        return Fenced(
            f"place {record.seq} of task {record.task} holds another event already: another worker wrote it.",
            hint="Read the task's log again before going on.",
        )
    return None


def _text_at(db: sqlite3.Connection, record: Record) -> str | None:
    row = db.execute(statements("events")["at"], (record.task, record.seq)).fetchone()
    return None if row is None else str(row[0])


def _is_there(db: sqlite3.Connection, record: Record) -> bool:
    return _text_at(db, record) is not None


def _same_call(db: sqlite3.Connection, record: Record, settled: Settled) -> bool:
    """The place holds this very call, perhaps in a shorter form (recovered after a crash)."""
    text = _text_at(db, record)
    if text is None:
        return False
    there = decode_event(text)
    return isinstance(there, Settled) and there.call == settled.call


def _insert(db: sqlite3.Connection, record: Record, said: Said, ahead: Ahead) -> Record:
    _insert_many(db, [record], said, ahead)
    return record


def merge(db: sqlite3.Connection, records: Sequence[Record], standing: Mapping[str, Standing]) -> None:
    """Puts what the records say into their tasks' rows, and tells the parents of those that have ended."""
    rows = task_rows(records)
    for row in rows.values():
        alone: dict[str, Any] | None = row.pop("lone", None)
        if alone is not None and row["id"] not in standing:
            row.update({key: value for key, value in alone.items() if row.get(key) is None or key == "finished_ns"})
    going_on = {task for task, row in rows.items() if task in standing and only_adds(row)}
    others = [row for task, row in rows.items() if task not in going_on]
    db.executemany(statements("tasks")["add"], [rows[task] for task in going_on])
    db.executemany(statements("tasks")["merge"], others)
    for row in others:
        if (row["asked"] or row["doubted"] or "unpaused" in row) and row["status"] != "finished":
            db.execute(statements("tasks")["settle_status"], (row["id"],))
    for record in records:
        if isinstance(record.event, Finished) and (told := to_parent(record, record.event)):
            db.executemany(statements("signals")["add"], told)


def _give_rows(db: sqlite3.Connection, tasks: Sequence[str], said: Said) -> list[str]:
    """Rows of its own for each of `tasks` that was nothing but a lone call until now, where it stood before; returns which were."""
    given: list[str] = []
    for held, content in packed.take_out(db, statements("segments"), tasks, said, statements("bodies")):
        db.execute(statements("tasks")["lone"], structs.asdict(held.call.task()))
        record = held.call.record()
        row = event_row(record, said.one(record.tenant, content))
        db.execute(statements("events")["insert"], (held.place, *row))
        given.append(record.task)
    return given


def put_prices(db: sqlite3.Connection, prices: Sequence[Price]) -> None:
    """Keeps prices that are not known yet."""
    rows = [(price.version, encode(structs.asdict(price))) for price in prices]
    db.executemany(statements("prices")["put"], rows)
