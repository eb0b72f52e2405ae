"""Rows of files and of batches.

Above: the stores, as `files` and `batches`. Below: session.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence

import msgspec
from msgspec import structs

from interlock.core.batches import ENDED, BatchRow, FileRow, Line

from .session import Database

_row = msgspec.json.Decoder(BatchRow)


class Files:
    """`core.batches.FileStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("files")

    def put(self, row: FileRow) -> None:
        with self._database.transaction(f"note file {row.id}") as db:
            db.execute(self._sql["put"], structs.astuple(row))

    def get(self, tenant: str, file: str, now_ns: int) -> FileRow | None:
        with self._database.reading(f"read file {file}") as db:
            row = db.execute(self._sql["get"], (tenant, file, now_ns)).fetchone()
        return None if row is None else FileRow(*row)

    def list(self, tenant: str, purpose: str, after: str, limit: int, now_ns: int) -> builtins.list[FileRow]:
        asked = {"tenant": tenant, "purpose": purpose, "after": after, "limit": limit, "now_ns": now_ns}
        with self._database.reading("list files") as db:
            return [FileRow(*row) for row in db.execute(self._sql["list"], asked)]

    def delete(self, tenant: str, file: str) -> bool:
        with self._database.transaction(f"forget file {file}") as db:
            return db.execute(self._sql["delete"], (tenant, file)).rowcount > 0

    def expired(self, now_ns: int, limit: int = 100) -> builtins.list[FileRow]:
        with self._database.reading("look for expired files") as db:
            return [FileRow(*row) for row in db.execute(self._sql["expired"], (now_ns, limit))]


class Batches:
    """`core.batches.BatchStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("batches")

    def create(self, row: BatchRow) -> None:
        with self._database.transaction(f"create batch {row.id}") as db:
            db.execute(self._sql["create"], (row.id, row.tenant, msgspec.json.encode(row)))

    def get(self, tenant: str, batch: str) -> BatchRow | None:
        with self._database.reading(f"read batch {batch}") as db:
            row = db.execute(self._sql["get"], (tenant, batch)).fetchone()
        return None if row is None else _read(row[0], row[1])

    def list(self, tenant: str, kind: str, after: str, limit: int) -> builtins.list[BatchRow]:
        asked = {"tenant": tenant, "kind": kind, "after": after, "limit": limit}
        with self._database.reading("list batches") as db:
            return [_read(row[0], row[1]) for row in db.execute(self._sql["list"], asked)]

    def save(self, row: BatchRow, owner: str) -> bool:
        with self._database.transaction(f"write batch {row.id}") as db:
            said = (msgspec.json.encode(row), row.status not in ENDED, row.id, owner)
            return db.execute(self._sql["save"], said).rowcount > 0

    def cancel(self, tenant: str, batch: str, now_ns: int) -> bool:
        with self._database.transaction(f"cancel batch {batch}") as db:
            return db.execute(self._sql["cancel"], (now_ns, tenant, batch)).rowcount > 0

    def claim(
        self, owner: str, *, now_ns: int, lease_until_ns: int, alive: Callable[[str], bool] | None = None
    ) -> BatchRow | None:
        with self._database.transaction("claim a batch") as db:
            for batch, holder, until_ns, row, cancelling_ns in db.execute(self._sql["active"]).fetchall():
                gone = bool(holder) and alive is not None and not alive(holder)
                if until_ns <= now_ns or gone:
                    db.execute(self._sql["hold"], (owner, lease_until_ns, batch))
                    return _read(row, cancelling_ns)
        return None

    def renew(self, batch: str, owner: str, *, lease_until_ns: int) -> bool:
        with self._database.transaction(f"hold batch {batch}") as db:
            return db.execute(self._sql["renew"], (lease_until_ns, batch, owner)).rowcount > 0

    def release(self, batch: str, owner: str, *, until_ns: int = 0) -> None:
        with self._database.transaction(f"release batch {batch}") as db:
            db.execute(self._sql["release"], (until_ns, batch, owner))

    def add_lines(self, batch: str, lines: Sequence[Line]) -> None:
        with self._database.transaction(f"note lines of batch {batch}") as db:
            db.executemany(self._sql["add_line"], [(batch, *structs.astuple(line)) for line in lines])

    def pending(self, batch: str, after: int, limit: int) -> builtins.list[Line]:
        return self._lines("pending", batch, after, limit)

    def answered(self, batch: str, lines: Sequence[Line]) -> None:
        rows = [(line.tries, line.status, line.reply, batch, line.line) for line in lines]
        with self._database.transaction(f"keep answers of batch {batch}") as db:
            db.executemany(self._sql["answered"], rows)

    def answers(self, batch: str, after: int, limit: int) -> builtins.list[Line]:
        return self._lines("answers", batch, after, limit)

    def counts(self, batch: str) -> tuple[int, int, int]:
        with self._database.reading(f"count the lines of batch {batch}") as db:
            row = db.execute(self._sql["counts"], (batch,)).fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def drop_lines(self, batch: str) -> None:
        with self._database.transaction(f"forget the lines of batch {batch}") as db:
            db.execute(self._sql["drop_lines"], {"batch": batch})

    def _lines(self, which: str, batch: str, after: int, limit: int) -> builtins.list[Line]:
        with self._database.reading(f"read lines of batch {batch}") as db:
            rows = db.execute(self._sql[which], (batch, after, limit)).fetchall()
        return [Line(*row) for row in rows]


def _read(row: bytes, cancelling_ns: int) -> BatchRow:
    batch = _row.decode(row)
    if not cancelling_ns:
        return batch
    status = batch.status if batch.status in ENDED else "cancelling"
    return structs.replace(batch, cancelling_ns=cancelling_ns, status=status)
