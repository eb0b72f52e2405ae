"""Kept responses: turns of conversations, each in a row of its own.

Above: the stores, as `responses`. Below: session.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from interlock.core.kept import KeptResponse

from .session import Database


class Responses:
    """`core.kept.ResponseStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("responses")

    def put(self, rows: Sequence[KeptResponse]) -> None:
        with self._database.transaction("keep responses") as db:
            db.executemany(self._sql["put"], [structs.asdict(row) for row in rows])

    def get(self, tenant: str, key_id: str, response: str, now_ns: int) -> KeptResponse | None:
        with self._database.reading(f"read response {response}") as db:
            row = db.execute(self._sql["get"], (tenant, key_id, response, now_ns)).fetchone()
        return None if row is None else KeptResponse(*row)

    def chain(self, tenant: str, key_id: str, response: str, now_ns: int, most: int) -> list[KeptResponse]:
        asked = {"tenant": tenant, "key_id": key_id, "id": response, "now_ns": now_ns, "most": most}
        with self._database.reading(f"read the turns before {response}") as db:
            rows = db.execute(self._sql["chain"], asked).fetchall()
        return [KeptResponse(*row) for row in reversed(rows)]

    def delete(self, tenant: str, key_id: str, response: str) -> bool:
        with self._database.transaction(f"delete response {response}") as db:
            return db.execute(self._sql["delete"], (tenant, key_id, response)).rowcount > 0

    def forget(self, tenant: str, key_id: str) -> int:
        with self._database.transaction(f"forget the conversations of {key_id}") as db:
            return db.execute(self._sql["forget"], (tenant, key_id)).rowcount

    def forget_user(self, tenant: str, user: str) -> int:
        with self._database.transaction(f"forget the conversations of {user}") as db:
            return db.execute(self._sql["forget_user"], (tenant, user)).rowcount

    def purge(self, now_ns: int) -> int:
        with self._database.transaction("purge responses") as db:
            return db.execute(self._sql["purge"], {"now_ns": now_ns}).rowcount
