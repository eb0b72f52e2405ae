"""The one transaction by which anything gets into the ledger: events, their tasks and the roll-ups, together or not at all.

Above: this folder's store and tasks. Below: calls; rows, rolls and outcomes say what records are as rows. Many processes write at the same time:
each locks the tasks that it writes about before it looks at them, and sums last, always in the same order, so that no two wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from interlock.core.errors import Fenced, StoreUnavailable
from interlock.core.events import Finished, Record, Settled, Started
from interlock.core.money import Price
from interlock.storage import lone
from interlock.storage.meters import Meters
from interlock.storage.outcomes import Counted, Ended, Kind, add_counts, alone_ended, changed
from interlock.storage.rolls import NS_PER_HOUR, Kinds, PriceOfVersion, RollKey, RollSum, kinds_of, sort_into, sums_of
from interlock.storage.rows import body_of, decode_event, encode, event_row, late, task_rows, to_parent
from interlock.storage.said import Said
from interlock.storage.session import Session
from interlock.storage.statements import statements

from . import calls
from .sketches import pairs_of

Group = Sequence[Record]
Place = tuple[str, int]
"""A task and a number in its log."""


_KEY = ("hour", "tenant", "workflow", "role", "kind", "name", "deployment", "tier", "simulated", "cache", "status")
"""What a `RollKey` holds."""


def sql(noun: str) -> Mapping[str, str]:
    return statements(noun, "postgres")


def write_groups(db: Session, groups: Sequence[Group], price_of: PriceOfVersion) -> list[Fenced | None]:
    """Inside a transaction: writes every group whole or not at all, and says which were fenced out.

    Raises:
        StoreUnavailable: somebody else was writing the same records; it has to be tried again.
    """
    alone, _ = lone.split(groups)
    said = Said(db, sql("bodies"))
    strange = calls.put(db, alone, said)
    alone = [call for call in alone if call[0].task not in strange]
    done = {record.task for record, _ in alone}
    others = [place for place, group in enumerate(groups) if group[0].task not in done]
    refused: list[Fenced | None] = [None] * len(groups)
    kinds = kinds_of([record for record, _ in alone])
    counts = alone_ended(kinds)
    ended: list[str] = []
    if others:
        written, answers, changes = _write(db, [groups[place] for place in others], said)
        sort_into(kinds, written)
        add_counts(counts, changes)
        ended = [record.task for record in written if isinstance(record.event, Finished)]
        for place, no in zip(others, answers, strict=True):
            refused[place] = no
    said.write()
    _merge_sums(db, kinds, counts, ended, price_of)
    return refused


def _write(
    db: Session, groups: Sequence[Group], said: Said
) -> tuple[list[Record], list[Fenced | None], dict[Kind, Counted]]:
    """Groups of any kind: what was written of them, why not, and what it changes in the counts of finished tasks."""
    tasks = sorted({record.task for group in groups for record in group})
    fences = {row[0]: int(row[3]) for row in db.execute(sql("tasks")["lease"], (tasks,))}
    _give_rows(db, [task for task in tasks if task not in fences])
    fenced = [_fence_of(group, fences) for group in groups]
    there = _there(db, groups)
    records, refused = sorted_out(groups, fenced, there)
    touched = sorted({*tasks, *(record.task for record in records)})
    before = _ended(db, touched)
    if _insert(db, records, said) < len(records):
        raise StoreUnavailable("another process writes the same records at this moment.", hint="It is tried again.")
    _merge_tasks(db, records)
    return records, refused, changed(before, _ended(db, touched))


def _fence_of(group: Group, fences: dict[str, int]) -> Fenced | None:
    """Why the group may not be written. A task that has no row yet begins with the fence of its first record, which is added to `fences`."""
    for record in group:
        if not record.fence:
            continue
        held = fences.get(record.task)
        if held is None and isinstance(record.event, Started):
            held = fences[record.task] = record.fence
        if held != record.fence:
            found = "does not exist" if held is None else f"is at fence {held}"
            return Fenced(
                f"task {record.task} {found}, this write holds fence {record.fence}: another worker has taken the task over.",
                hint="Drop what this worker still holds for the task; what its calls cost has been recorded.",
            )
    return None


def _give_rows(db: Session, tasks: Sequence[str]) -> None:
    """Rows of its own for each of `tasks` that was nothing but a lone call until now."""
    if tasks:
        db.executemany(sql("tasks")["lone"], [structs.asdict(row) for row in calls.move_out(db, tasks)])


def _there(db: Session, groups: Sequence[Group]) -> dict[Place, str]:
    """What stands already at the places of the records, and at those that they would have as late ones."""
    places = [(record.task, record.seq) for group in groups for record in group]
    places += [
        (each.task, each.seq)
        for group in groups
        for record in group
        if isinstance(record.event, Settled)
        for each in [late(record, record.event)]
    ]
    asked = [list(column) for column in zip(*places, strict=True)]
    return {(row[0], row[1]): row[2] for row in db.execute(sql("events")["there"], asked)}


def sorted_out(
    groups: Sequence[Group], fenced: Sequence[Fenced | None], there: dict[Place, str]
) -> tuple[list[Record], list[Fenced | None]]:
    """The records to be inserted, given what is there, and every group's answer. Adds them to `there`."""
    inserted: list[Record] = []
    answers: list[Fenced | None] = []
    for group, fence in zip(groups, fenced, strict=True):
        no = fence or _taken(group, there)
        answers.append(no)
        for record in group:
            event = record.event
            if no is None:
                wanted = record
            elif isinstance(event, Settled) and not _same_call(there.get((record.task, record.seq)), event):
                wanted = late(record, event)
            else:
                continue
            if (wanted.task, wanted.seq) not in there:
                there[wanted.task, wanted.seq] = encode(wanted.event)
                inserted.append(wanted)
    return inserted, answers


def _taken(group: Group, there: Mapping[Place, str]) -> Fenced | None:
    for record in group:
        text = there.get((record.task, record.seq))
        if text is None or text == encode(record.event):
            continue
        if isinstance(record.event, Settled) and _same_call(text, record.event):
            continue
        return Fenced(
            f"place {record.seq} of task {record.task} holds another event already: another worker wrote it.",
            hint="Read the task's log again before going on.",
        )
    return None


def _same_call(text: str | None, settled: Settled) -> bool:
    """The text is that of this very call, perhaps in a shorter form (recovered after a crash)."""
    if text is None:
        return False
    found = decode_event(text)
    return isinstance(found, Settled) and found.call == settled.call


def _insert(db: Session, records: Sequence[Record], said: Said) -> int:
    """Inserts events; returns how many of the places were free."""
    if not records:
        return 0
    rows = [event_row(record, said.one(record.tenant, body_of(record))) for record in records]
    told = [(*row[:6], *calls.by_column(row[6]), *row[-2:]) for row in rows]
    columns = [list(column) for column in zip(*told, strict=True)]
    return len(db.execute(sql("events")["insert"], columns).fetchall())


def _ended(db: Session, tasks: Sequence[str]) -> list[Ended]:
    """Those of `tasks` that are over, as they count."""
    return [Ended(*row) for row in db.execute(sql("outcomes")["ended"], (list(tasks),))]


def _merge_tasks(db: Session, records: Sequence[Record]) -> None:
    """Puts what the records say into their tasks' rows, and tells the parents of those that have ended."""
    rows = task_rows(records)
    settled_alone = [task for task, row in rows.items() if "lone" in row]
    known = {row[0] for row in db.execute(sql("tasks")["known"], (settled_alone,))} if settled_alone else set[str]()
    for task, row in rows.items():
        alone: dict[str, Any] | None = row.pop("lone", None)
        if alone is not None and task not in known:
            row.update({key: value for key, value in alone.items() if row.get(key) is None or key == "finished_ns"})
    db.executemany(sql("tasks")["merge"], [rows[task] for task in sorted(rows)])
    asked = [
        task
        for task, row in rows.items()
        if (row["asked"] or row["doubted"] or "unpaused" in row) and row["status"] != "finished"
    ]
    if asked:
        db.execute(sql("tasks")["settle_status"], (asked,))
    told = [
        each for record in records if isinstance(record.event, Finished) for each in to_parent(record, record.event)
    ]
    db.executemany(sql("signals")["add"], sorted(told))


def _merge_sums(
    db: Session, kinds: Kinds, counts: Mapping[Kind, Counted], ended: Sequence[str], price_of: PriceOfVersion
) -> None:
    """Adds what was written to its hours: the last thing that a transaction does, since every process adds to the same rows."""
    meters = Meters()
    sums = sums_of(kinds, price_of, meters.usual)
    if ended:
        _roll_tasks(db, sums, ended)
    db.executemany(sql("roll")["merge"], [_roll_row(key, sums[key]) for key in sorted(sums)])
    db.executemany(sql("meters")["merge"], sorted(meters.rows(kinds)))
    rows = sorted((*kind[:6], bool(kind[6]), kind[7], *counted) for kind, counted in counts.items())
    db.executemany(sql("outcomes")["merge"], rows)


def _roll_row(key: RollKey, each: RollSum) -> dict[str, Any]:
    of_key = dict(zip(_KEY, key, strict=True))
    return {
        **of_key,
        "simulated": bool(of_key["simulated"]),
        "n": each.n,
        "cost": each.counts[0],
        "simulated_cost": each.counts[1],
        "saved": each.saved,
        "usage": each.usage,
        "lines": each.lines,
        "latency": pairs_of(each.latency),
    }


def _roll_tasks(db: Session, sums: dict[RollKey, RollSum], tasks: Sequence[str]) -> None:
    for _, tenant, workflow, outcome, tier, simulated, finished_ns, duration_us in db.execute(
        sql("tasks")["ended"], (list(tasks),)
    ):
        hour = finished_ns // NS_PER_HOUR
        key: RollKey = (hour, tenant, workflow, "task", "task", workflow, "", tier, int(simulated), "", outcome)
        into = sums.setdefault(key, RollSum())
        into.n += 1
        into.took(duration_us)


def put_prices(db: Session, prices: Sequence[Price]) -> None:
    """Keeps prices that are not known yet."""
    rows = [(price.version, encode(structs.asdict(price))) for price in prices]
    db.executemany(sql("prices")["put"], sorted(rows))
