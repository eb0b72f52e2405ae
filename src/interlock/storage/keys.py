"""Virtual keys, one row each. Above: the stores, as `keys`. Below: session."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from interlock.core.keys import KeyRecord
from interlock.core.tenancy import acting_for_everybody

from .session import Database

_decoder = msgspec.json.Decoder(KeyRecord)


class Keys:
    """`core.keys.KeyStore`; every process on the file sees a change at its next look at the version."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("keys")

    def records(self) -> Sequence[KeyRecord]:
        with acting_for_everybody(), self._database.reading("read the keys") as db:  # one book for all doors
            rows = db.execute(self._sql["all"]).fetchall()
        return [_decoder.decode(row[0]) for row in rows]

    def put_key(self, record: KeyRecord) -> None:
        with self._database.transaction(f"write key {record.id}") as db:
            db.execute(self._sql["put"], (record.id, record.created_ns, msgspec.json.encode(record).decode()))
            db.execute(self._sql["bump"])

    def keys_version(self) -> int:
        with self._database.reading("read the version of the keys") as db:
            row = db.execute(self._sql["version"]).fetchone()
        return 0 if row is None else int(row[0])
