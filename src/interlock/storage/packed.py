"""Segments in a database: lone calls put in, found, listed, and taken out again when more becomes known of one.

Above: the stores and their writes. Below: segments, session; `sql` is what a database calls `sql("segments")`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from interlock.core.lots import Lot
from interlock.core.store import Change, TaskFilter, TaskRow

from .bodies import NOTHING, Kept
from .lone import Call
from .rows import encode
from .said import Said, listed, texts_of
from .segments import (
    NS_PER_MINUTE,
    Packed,
    call_of,
    contents_of,
    listed_of,
    mask_of,
    of_lot,
    of_pieces,
    packed,
    pieces_of,
)
from .session import Session

Sql = Mapping[str, str]


class Holding(Struct, frozen=True):
    """A segment, and which of its calls was looked for."""

    segment: int
    pieces: list[bytes]
    contents: bytes | str | None
    """As they rest."""
    at: int

    @property
    def place(self) -> int:
        return self.segment + self.at

    @property
    def call(self) -> Packed:
        return call_of(self.pieces[self.at])

    def said(self) -> tuple[Kept, list[bytes]]:
        """What was said in the segment's calls, taken apart."""
        return contents_of(self.contents, len(self.pieces))

    def content(self, db: Session, bodies: Sql) -> bytes:
        """What was said in this one, as JSON."""
        if self.contents is None:
            return NOTHING
        kept, pieces = self.said()
        return kept.told(pieces[self.at], texts_of(db, bodies, (kept,)))


def put(db: Session, sql: Sql, calls: Sequence[Call], lots: Sequence[Lot], place: int, said: Said) -> None:
    """Writes lone calls, and lots of one minute each, from `place` on; that one stands there already is the database's own error of a taken key."""
    rows: list[tuple[Any, ...]] = []
    ids: list[str] = []
    for segment, tasks in (*packed(calls, said.many), *(each for lot in lots for each in of_lot(lot))):
        rows.append((place + len(ids), *structs.astuple(segment)))
        ids += tasks
    db.executemany(sql["insert"], rows)
    db.execute(sql["index"], (place, encode(ids)))


def with_rows(db: Session, sql: Sql, ids: Sequence[str]) -> bool:
    """Whether something else has been written already about one of these tasks."""
    if not db.execute(sql["near_rows"], (min(ids), max(ids))).fetchone()[0]:
        return False
    return bool(db.execute(sql["with_rows"], (encode(ids),)).fetchone()[0])


def known(db: Session, sql: Sql, calls: Sequence[Call]) -> set[str]:
    """The tasks of `calls` of which something is written already."""
    return {row[0] for row in db.execute(sql["known"], {"tasks": _ids(calls)}).fetchall()}


def find(db: Session, sql: Sql, task: str) -> Holding | None:
    """The lone call that is `task`; ask before looking for rows of its own, since it goes from here to there and never back."""
    row = db.execute(sql["holding"], (task,)).fetchone()
    if row is None:
        return None
    segment, calls, contents, place = row
    pieces = pieces_of(calls)
    at = int(place) - int(segment)
    # A segment whose last call went is no more, and then the one before it was found.
    there = at < len(pieces) and pieces[at] != NOTHING
    return Holding(segment, pieces, contents, at) if there else None


def newest(db: Session, sql: Sql, which: TaskFilter, last_ns: int) -> list[TaskRow]:
    """The newest lone calls that began at `last_ns` or before, as tasks."""
    outcomes = mask_of(which)
    if outcomes is None:
        return []
    end_ns = (last_ns // NS_PER_MINUTE + 1) * NS_PER_MINUTE
    asked = structs.asdict(which) | {"outcomes": outcomes, "last_ns": last_ns, "end_ns": min(end_ns, 2**63 - 1)}
    name = "newest" if not which.tenant else "newest_of_workflow" if which.workflow else "newest_of_tenant"
    found: list[TaskRow] = []
    for ends_ns, calls in db.execute(sql[name], asked):
        if len(found) >= which.limit and ends_ns < found[which.limit - 1].created_ns:
            break
        found.extend(listed_of(calls, which, last_ns))
        found.sort(key=lambda row: (row.created_ns, row.id), reverse=True)
        del found[which.limit :]
    return found


def take_out(db: Session, sql: Sql, tasks: Sequence[str], said: Said, bodies: Sql) -> list[tuple[Holding, bytes]]:
    """Removes those of `tasks` that stand in a segment, and returns what stood there, with its content: they are to get rows of their own."""
    gone: list[tuple[Holding, bytes]] = []
    for (task,) in db.execute(sql["among"], (encode(tasks),)).fetchall():
        held = find(db, sql, task)
        if held is not None:
            gone.append((held, held.content(db, bodies)))
            pieces = [*held.pieces[: held.at], NOTHING, *held.pieces[held.at + 1 :]]
            _write(db, sql, held, pieces, {held.at: NOTHING}, said)
    return gone


def set_content(db: Session, sql: Sql, held: Holding, content: bytes | None, said: Said) -> None:
    """Puts `content` (JSON) in the place of a lone call's content."""
    _write(db, sql, held, held.pieces, {held.at: content or NOTHING}, said)


def change_contents(db: Session, sql: Sql, bodies: Sql, held: Sequence[Holding], change: Change, said: Said) -> int:
    """Puts what `change` makes of the contents of these calls of one segment in their place; how many became others."""
    one = held[0]
    if one.contents is None:
        return 0
    kept, pieces = one.said()
    texts, others = texts_of(db, bodies, (kept,)), dict[int, bytes]()
    for each in held:
        content = kept.told(pieces[each.at], texts)
        if content != NOTHING and (left := change(each.call.record(), content)) != content:
            others[each.at] = left
    if others:
        _write(db, sql, one, one.pieces, others, said)
    return len(others)


def _write(
    db: Session, sql: Sql, held: Holding, pieces: Sequence[bytes], contents: Mapping[int, bytes], said: Said
) -> None:
    left = of_pieces(list(pieces), None)
    said.dropped(held.contents)
    if left is None:
        db.execute(sql["delete"], (held.segment,))
    else:
        told = structs.replace(left, contents=_told(held, left.tenant, contents, said))
        db.execute(sql["replace"], (*structs.astuple(told), held.segment))


def _told(held: Holding, tenant: str, contents: Mapping[int, bytes], said: Said) -> bytes | str | None:
    """The segment's contents with others in the places of some."""
    kept, pieces = held.said()
    for at in contents:
        pieces[at] = NOTHING
    if all(each == NOTHING for each in (*contents.values(), *pieces)):
        return None
    splitter = said.splitter(tenant)
    again = [splitter.again(each, kept) for each in pieces]
    for at, content in contents.items():
        again[at] = splitter.split(content)
    return said.kept(tenant, splitter, listed(again))


def _ids(calls: Sequence[Call]) -> str:
    return encode([record.task for record, _ in calls])
