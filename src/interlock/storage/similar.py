"""The semantic cache's rows: answers with vectors, and what each scope has learned.

Above: the stores, as `similar`. Below: session.
"""

from __future__ import annotations

from collections.abc import Sequence

from interlock.core.answers import SimilarRow, SimilarState

from .session import Database


class SimilarAnswers:
    """`core.answers.SimilarStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("similar")

    def put_all(self, rows: Sequence[SimilarRow], states: Sequence[SimilarState]) -> None:
        with self._database.transaction("write the semantic cache") as db:
            db.executemany(
                self._sql["put"],
                [(row.tenant, row.space, row.id, row.scope, row.expires_ns, row.value) for row in rows],
            )
            db.executemany(self._sql["put_state"], [(each.tenant, each.scope, each.state) for each in states])

    def newest(self, now_ns: int, limit: int) -> list[SimilarRow]:
        with self._database.reading("read the semantic cache") as db:
            rows = db.execute(self._sql["newest"], (now_ns, limit)).fetchall()
        return [SimilarRow(*row) for row in rows]

    def states(self) -> list[SimilarState]:
        with self._database.reading("read the semantic cache's scopes") as db:
            rows = db.execute(self._sql["states"]).fetchall()
        return [SimilarState(*row) for row in rows]

    def trim(self, now_ns: int, entries: int) -> None:
        with self._database.transaction("trim the semantic cache") as db:
            db.execute(self._sql["purge"], (now_ns,))
            db.execute(self._sql["trim"], (entries,))

    def forget(self, tenant: str = "", scope: str = "") -> int:
        with self._database.transaction("forget scopes of the semantic cache") as db:
            return db.execute(self._sql["forget"], (tenant, scope)).rowcount

    def clear(self, tenant: str = "") -> int:
        with self._database.transaction("clear the semantic cache") as db:
            return db.execute(self._sql["clear"], (tenant,)).rowcount
