"""Re-encryption of what a store already holds: texts in the clear, and seals under a key that would not seal them now (a tenant's, for what is a user's; one that was rotated since).

Above: app. Below: the store itself (not the sealed one), envelope. Each portion of tasks is one transaction, each file is put in the place of the old one when it is whole; both may be done again.
What nobody can open stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from interlock.core.batches import FileRow
from interlock.core.events import Record, Settled, Started
from interlock.core.store import Store, TaskRow
from interlock.storage.archive_erase import Rewritten, Row, rewritten
from interlock.storage.blobs import Folder
from interlock.storage.rows import decode_event

from .envelope import VERSIONS, Envelope
from .files import SealedFolder
from .records import place_of

_HEAD = 17
"""Bytes of a seal that say under which key it is."""


class Reseal:
    """Of one store. Every method may raise KeyMissing and StoreUnavailable."""

    def __init__(self, inner: Store, envelope: Envelope) -> None:
        self._inner, self._envelope = inner, envelope

    def tasks(self, rows: Sequence[TaskRow]) -> int:
        """The logs of tasks; how many contents were sealed anew."""
        users = {row.id: row.user for row in rows}

        def change(record: Record, content: bytes) -> bytes:
            event = record.event
            user = event.caller.user if isinstance(event, Settled | Started) else users[record.task]
            place = place_of(record.task, record.seq, event)
            return self._envelope.anew(record.tenant, place, content, user)

        return self._inner.rewrite([row.id for row in rows], change)

    def archives(self, folder: Path) -> Rewritten:
        """The Parquet files of a folder."""

        def change(row: Row, user: str) -> str:
            place = place_of(str(row["task"]), int(row["seq"]), decode_event(str(row["event"])))
            return self._envelope.anew(str(row["tenant"]), place, str(row["content"]).encode(), user).decode()

        return rewritten(folder, change)

    def file(self, folder: Folder, row: FileRow) -> bool:
        """One uploaded or written file; whether it was sealed anew."""
        path = Path(folder.path(row))
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if head[:1] in VERSIONS and self._envelope.current(head, row.tenant, row.user):
            return False
        sealed = SealedFolder(folder, self._envelope)
        sealed.write_now(row, sealed.pieces(row))
        return True
