"""What stands beside tasks: messages that have to be told, and texts that have to be found again.

Above: the stores' `outbox` and `texts`. Below: session.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from interlock.core.outbox import OutboxRow, TextKind

from .session import Database


class Outbox:
    """`core.outbox.OutboxStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("outbox")

    def put(self, rows: Sequence[OutboxRow]) -> None:
        with self._database.transaction("keep messages to be told") as db:
            db.executemany(self._sql["put"], [structs.astuple(row) for row in rows])

    def take(self, now_ns: int, until_ns: int, *, limit: int) -> list[OutboxRow]:
        with self._database.transaction("take messages to be told") as db:
            found = [OutboxRow(*row) for row in db.execute(self._sql["due"], (now_ns, limit)).fetchall()]
            db.executemany(self._sql["put_off"], [(until_ns, row.id) for row in found])
        return [structs.replace(row, next_ns=until_ns, tries=row.tries + 1) for row in found]

    def again(self, message: str, next_ns: int) -> None:
        with self._database.transaction("put a message off") as db:
            db.execute(self._sql["again"], (next_ns, message))

    def done(self, message: str) -> None:
        with self._database.transaction("forget a message") as db:
            db.execute(self._sql["done"], (message,))

    def waiting(self) -> int:
        with self._database.reading("count messages to be told") as db:
            return int(db.execute(self._sql["waiting"]).fetchone()[0])

    def forget(self, tasks: Sequence[str]) -> int:
        with self._database.transaction("forget messages of tasks") as db:
            return sum(db.execute(self._sql["forget"], (task,)).rowcount for task in tasks)


class Texts:
    """`core.outbox.TextStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("texts")

    def put(self, tenant: str, kind: TextKind, key: str, text: str, at_ns: int) -> None:
        with self._database.transaction(f"keep a {kind}") as db:
            db.execute(self._sql["put"], (tenant, kind, key, text, at_ns))

    def get(self, tenant: str, kind: TextKind, key: str) -> str | None:
        with self._database.reading(f"read a {kind}") as db:
            row = db.execute(self._sql["get"], (tenant, kind, key)).fetchone()
        return None if row is None else str(row[0])

    def all(self, tenant: str, kind: TextKind) -> list[tuple[str, str]]:
        with self._database.reading(f"read every {kind}") as db:
            return [(str(key), str(text)) for key, text in db.execute(self._sql["all"], (tenant, kind)).fetchall()]

    def drop(self, tenant: str, kind: TextKind, key: str) -> None:
        with self._database.transaction(f"forget a {kind}") as db:
            db.execute(self._sql["drop"], (tenant, kind, key))
