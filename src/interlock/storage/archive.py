"""The raw rows that retention moves out of a SQLite store: segments of lone calls, and tasks with their events.

Above: the store. Below: leaving, segments, said.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from .leaving import Changed, Portion, Row, row_of
from .rows import decode_event, encode
from .said import Said, plain, texts_of
from .segments import NOTHING, contents_of, joined, opened
from .session import Answer, Session
from .statements import statements

_EVERYTHING = 1 << 62


class Read(Struct, frozen=True):
    """What a portion was read from."""

    segments: list[tuple[int, bytes, bytes | str | None]]
    """Id, calls and contents."""
    tasks: list[tuple[str, int, int]]
    """Id, events and `updated_ns`."""
    said: dict[int, bytes | str | None]
    """Of the tasks' events, by place."""
    alone: list[str]
    """Ids of the lone calls."""


class SqliteRows:
    """`leaving.RawRows` on SQLite."""

    def __init__(self, path: Path) -> None:
        """`path`: the store's file, beside which a file tells other processes that one is at it."""
        self._lock = path.with_name(f"{path.name}.retention")
        self._sql: Mapping[str, str] = statements("archives")
        self._bodies: Mapping[str, str] = statements("bodies")

    def portion(self, db: Session, before_ns: int, most: int) -> Portion:
        read = db.execute(self._sql["read_by_all"]).fetchone()[0]
        asked = {"before": before_ns, "read": _EVERYTHING if read is None else int(read) + 1, "limit": most}
        rows: list[Row] = []
        found = Read([], [], {}, [])
        moments: list[int] = []
        for each in db.execute(self._sql["segments"], asked):
            calls = list(self._calls(db, each["id"], each["calls"], each["contents"]))
            found.segments.append((each["id"], each["calls"], each["contents"]))
            found.alone.extend(str(row[1]) for row in calls)
            moments += (each["first_ns"], each["last_ns"])
            rows += calls
            if len(rows) >= most:
                break
        for each in db.execute(self._sql["tasks"], asked) if len(rows) < most else ():
            events = db.execute(self._sql["events"], (each["id"],)).fetchall()
            if all(event["place"] < asked["read"] for event in events):
                found.tasks.append((each["id"], each["events"], each["updated_ns"]))
                found.said.update((event["place"], event["content"]) for event in events)
                moments.append(each["created_ns"])
                rows += self._events(db, events)
            if len(rows) >= most:
                break
        whole = len(found.alone) + len(found.tasks)
        return Portion(rows, whole, min(moments, default=0), max(moments, default=0), found)

    def drop(self, db: Session, portion: Portion, said: Said) -> None:
        read: Read = portion.read
        for segment in read.segments:
            _once(db.execute(self._sql["drop_segment"], segment))
            said.dropped(segment[2])
        for task in read.tasks:
            _once(db.execute(self._sql["drop_task"], task))
        tasks = encode([task for task, _, _ in read.tasks])
        if dict(map(tuple, db.execute(self._sql["said_of"], (tasks,)))) != read.said:
            raise Changed
        for kept in read.said.values():
            said.dropped(kept)
        for name in ("drop_events", "drop_lone", "drop_signals"):
            db.execute(self._sql[name], (tasks,))
        db.execute(self._sql["drop_lone"], (encode(read.alone),))

    def forget(self, db: Session, before_ns: int, most: int, said: Said) -> int:
        forgotten, asked = 0, {"before": before_ns, "most": most}
        for what in ("segments", "events"):
            rows = db.execute(self._sql[f"said_{what}"], asked).fetchall()
            for _, kept in rows:
                said.dropped(kept)
            db.executemany(self._sql[f"forget_{what}"], [(place,) for place, _ in rows])
            forgotten += len(rows)
        db.execute(self._sql["unsaid_tasks"], asked)
        return forgotten

    def pack(self, db: Session, most: int, said: Said) -> int:
        if not said.secret:
            return 0
        segments = db.execute(self._sql["old_segments"], (most,)).fetchall()
        changes: list[tuple[Any, ...]] = []
        for place, tenant, kept in segments:
            splitter = said.splitter(tenant)
            pieces = contents_of(kept, 0)[1]
            changes.append((said.kept(tenant, splitter, joined(map(splitter.split, pieces))), place))
        db.executemany(self._sql["pack_segment"], changes)
        events = db.execute(self._sql["old_events"], (most,)).fetchall()
        again = [(said.one(tenant, content.encode()), place) for place, tenant, content in events]
        db.executemany(self._sql["pack_event"], again)
        return len(segments) + len(events)

    @contextmanager
    def alone(self) -> Generator[bool]:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)

    def _calls(self, db: Session, segment: int, calls: bytes, contents: bytes | str | None) -> Iterator[Row]:
        """The calls of a segment as records that leave."""
        found = opened(calls)
        kept, pieces = contents_of(contents, len(found))
        texts = texts_of(db, self._bodies, (kept,))
        for at, (call, piece) in enumerate(zip(found, pieces, strict=True)):
            if call is not None:
                event = call.event
                said = None if piece == NOTHING else kept.told(piece, texts)
                caller = event.caller
                where = (segment + at, caller.task, caller.step, call.at_ns, caller.tenant)
                yield row_of(*where, event, encode(event), said)

    def _events(self, db: Session, events: list[Any]) -> Iterator[Row]:
        """A task's events as records that leave."""
        contents = plain(db, self._bodies, [event["content"] for event in events])
        for each, said in zip(events, contents, strict=True):
            where = (each["place"], each["task"], each["seq"], each["at_ns"], each["tenant"])
            yield row_of(*where, decode_event(each["event"]), each["event"], said)


def _once(answer: Answer) -> None:
    if answer.rowcount != 1:
        raise Changed
