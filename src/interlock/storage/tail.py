"""The ledger in the order of its commits: every record has a place, whether it stands in a row of its own or in a segment.

Above: the store, as `tail`. Below: segments, rows, session. With one writer places are given in the order of commits, so what has been
read is never joined by something earlier; a lone call that gets rows of its own keeps its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from interlock.core.events import Record

from .rows import record_of
from .said import plain, texts_of
from .segments import MOST_CALLS, Packed, contents_of, opened
from .session import Database, Session

Placed = tuple[int, Record]


class Tail:
    """`core.tail.Tail` for a store that has one writer at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("tail")
        self._bodies = database.sql("bodies")

    def read(self, place: str, limit: int) -> tuple[list[Record], str]:
        after = int(place or 0)
        with self._database.snapshot("read the ledger on") as db:
            found = sorted([*self._rows(db, after, limit), *self._lone(db, after, limit)], key=_place)[:limit]
        return [record for _, record in found], str(found[-1][0] if found else after)

    def end(self) -> str:
        return str(self._last())

    def behind(self, place: str) -> int:
        return max(0, self._last() - int(place or 0))

    def kept(self, reader: str) -> str | None:
        with self._database.reading(f"read how far {reader} has got") as db:
            row = db.execute(self._sql["kept"], (reader,)).fetchone()
        return None if row is None else str(row[0])

    def keep(self, reader: str, place: str, was: str | None) -> bool:
        with self._database.transaction(f"keep how far {reader} has got") as db:
            if was is None:
                return db.execute(self._sql["begin"], (reader, place)).rowcount > 0
            return db.execute(self._sql["move"], (place, reader, was)).rowcount > 0

    def _last(self) -> int:
        with self._database.reading("look where the ledger ends") as db:
            return int(db.execute(self._sql["end"]).fetchone()[0])

    def _rows(self, db: Session, after: int, limit: int) -> list[Placed]:
        rows = db.execute(self._sql["events"], (after, limit)).fetchall()
        contents = plain(db, self._bodies, [row[6] for row in rows])
        return [(row[0], record_of(row[1:], content)) for row, content in zip(rows, contents, strict=True)]

    def _lone(self, db: Session, after: int, limit: int) -> list[Placed]:
        # Each segment holds a call at least; of the first one, all behind `after` may have gone.
        asked: Mapping[str, int] = {"after": after, "most": MOST_CALLS, "segments": limit + 1}
        rows = db.execute(self._sql["segments"], asked)
        calls = (each for row in rows for each in self._placed(db, *row) if each[0] > after)
        return [(place, call.record(content)) for place, call, content in islice(calls, limit)]

    def _placed(
        self, db: Session, segment: int, calls: bytes, contents: bytes | str | None
    ) -> Iterator[tuple[int, Packed, bytes]]:
        """The calls of a segment, each with its place and content."""
        found = opened(calls)
        kept, pieces = contents_of(contents, len(found))
        texts = texts_of(db, self._bodies, (kept,))
        for at, (call, piece) in enumerate(zip(found, pieces, strict=True)):
            if call is not None:
                yield segment + at, call, kept.told(piece, texts)


def _place(found: Placed) -> int:
    return found[0]
