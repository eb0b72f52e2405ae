"""Files and batches for faces and workers: reads off the event loop, writes on the writing thread behind the ledger's.

Above: server, gateway. Below: record, and a `core.store.Store` and `core.batches.Blobs` that `app` hands in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TypeVar

from msgspec import structs

from interlock.core.batches import ENDED, STRIDE, BatchRow, Blobs, FileRow, Line
from interlock.core.errors import Fenced, InvalidRequest, RequestRefused
from interlock.core.events import Record, Settled
from interlock.core.store import Store, StorePrompts
from interlock.core.time import NS_PER_S, Clock

from .owner import alive, this_owner
from .record import Recorder

T = TypeVar("T")


class NotThere(RequestRefused):
    """No file or batch of that id belongs to the tenant."""

    status = 404
    code = "not_found"


class BatchLog:
    """What one process does with files and batches. Every method may raise StoreUnavailable."""

    def __init__(
        self,
        recorder: Recorder,
        store: Store,
        blobs: Blobs,
        clock: Clock,
        *,
        owner: str = "",
        lease_s: float = 30.0,
        lease_now: Callable[[], int] | None = None,
        is_alive: Callable[[str], bool] = alive,
    ) -> None:
        """`owner` names the worker (default: this process); `lease_s` is how long a batch is held without being renewed, by `lease_now` as in
        `TaskLog`.
        """
        self.owner = owner or this_owner()
        self.lease_s = lease_s
        self.blobs = blobs
        self._recorder = recorder
        self._store = store
        self._clock = clock
        self._is_alive = is_alive
        self._lease_now = lease_now or clock.wall_ns

    # --- files ---

    async def add_file(self, row: FileRow, pieces: AsyncIterator[bytes]) -> FileRow:
        """Streams a file to disk and notes it; the row with its size."""
        size = await self.blobs.write(row, pieces)
        return await self._noted(structs.replace(row, size=size))

    async def make_file(self, row: FileRow, pieces: Iterator[bytes]) -> FileRow:
        """The same for pieces that are read from a store; a file that was made before is made anew."""
        size = await asyncio.to_thread(self.blobs.write_now, row, pieces)
        return await self._noted(structs.replace(row, size=size))

    async def _noted(self, row: FileRow) -> FileRow:
        await self._recorder.run(lambda store: store.files.put(row))
        return row

    async def file(self, tenant: str, file: str) -> FileRow:
        """Raises NotThere."""
        return await asyncio.to_thread(self.file_now, tenant, file)

    def file_now(self, tenant: str, file: str) -> FileRow:
        """As `file`, on a thread that may block."""
        row = self._store.files.get(tenant, file, self._clock.wall_ns())
        if row is None:
            raise NotThere(f"no file {file!r} of this tenant", hint="GET /v1/files lists them.")
        return row

    async def files(self, tenant: str, purpose: str, after: str, limit: int) -> list[FileRow]:
        return await asyncio.to_thread(self._store.files.list, tenant, purpose, after, limit, self._clock.wall_ns())

    async def delete_file(self, tenant: str, file: str) -> None:
        """Raises NotThere."""
        row = await self.file(tenant, file)
        await self._recorder.run(lambda store: store.files.delete(tenant, file))
        await asyncio.to_thread(self.blobs.delete, row)

    async def tidy(self) -> None:
        """Removes files whose time is up, and lines of batches that were over when a process died."""
        await self._recorder.run(lambda store: store.batches.drop_lines(""))
        for row in await asyncio.to_thread(self._store.files.expired, self._clock.wall_ns()):
            await self._recorder.run(lambda store, row=row: store.files.delete(row.tenant, row.id))
            await asyncio.to_thread(self.blobs.delete, row)

    # --- batches ---

    async def create(self, row: BatchRow) -> None:
        await self._recorder.run(lambda store: store.batches.create(row))

    async def batch(self, tenant: str, batch: str) -> BatchRow:
        """As it stands now, answers counted. Raises NotThere."""
        row = await asyncio.to_thread(self._store.batches.get, tenant, batch)
        if row is None:
            raise NotThere(f"no batch {batch!r} of this tenant", hint="GET /v1/batches lists them.")
        return await self.counted(row)

    async def batches(self, tenant: str, kind: str, after: str, limit: int) -> list[BatchRow]:
        """Those whose ids begin with `kind`, newest first, older than `after`, answers counted."""
        rows = await asyncio.to_thread(self._store.batches.list, tenant, kind, after, limit)
        return [await self.counted(row) for row in rows]

    async def counted(self, row: BatchRow) -> BatchRow:
        """`row` with the answers so far."""
        total, completed, failed = await asyncio.to_thread(self._store.batches.counts, row.id)
        return structs.replace(row, total=total, completed=completed, failed=failed) if total else row

    async def save(self, row: BatchRow) -> BatchRow:
        """Raises Fenced: another process has taken the batch over."""
        if not await self._recorder.run(lambda store: store.batches.save(row, self.owner)):
            raise Fenced(
                f"batch {row.id} is worked on by another process", hint="Drop what this one still holds for it."
            )
        return row

    async def cancel(self, tenant: str, batch: str) -> BatchRow:
        """Notes the wish. Raises NotThere; InvalidRequest where the batch is over."""
        now_ns = self._clock.wall_ns()
        noted = await self._recorder.run(lambda store: store.batches.cancel(tenant, batch, now_ns))
        row = await self.batch(tenant, batch)
        if not noted:
            raise InvalidRequest(f"batch {batch} is {row.status} and cannot be cancelled", param="batch_id")
        return row

    async def claim(self) -> BatchRow | None:
        """A batch to work on; held until `release`, if `renew` is called in time."""

        def claiming(store: Store) -> BatchRow | None:
            now_ns = self._lease_now()
            until_ns = now_ns + int(self.lease_s * NS_PER_S)
            return store.batches.claim(self.owner, now_ns=now_ns, lease_until_ns=until_ns, alive=self._is_alive)

        return await self._recorder.run(claiming)

    async def renew(self, batch: str) -> bool:
        return await self._recorder.run(
            lambda store: store.batches.renew(
                batch, self.owner, lease_until_ns=self._lease_now() + int(self.lease_s * NS_PER_S)
            )
        )

    async def release(self, batch: str, *, for_s: float = 0.0) -> None:
        def releasing(store: Store) -> None:
            until_ns = self._lease_now() + int(for_s * NS_PER_S) if for_s else 0
            store.batches.release(batch, self.owner, until_ns=until_ns)

        await self._recorder.run(releasing)

    async def add_lines(self, batch: str, lines: Sequence[Line]) -> None:
        await self._recorder.run(lambda store: store.batches.add_lines(batch, lines))

    async def pending(self, batch: str, after: int, limit: int) -> Sequence[Line]:
        return await asyncio.to_thread(self._store.batches.pending, batch, after, limit)

    async def answered(self, batch: str, lines: Sequence[Line]) -> None:
        await self._recorder.run(lambda store: store.batches.answered(batch, lines))

    async def answers(self, batch: str, after: int, limit: int) -> Sequence[Line]:
        return await asyncio.to_thread(self._store.batches.answers, batch, after, limit)

    def answers_now(self, batch: str, after: int, limit: int) -> Sequence[Line]:
        """As `answers`, on a thread that may block."""
        return self._store.batches.answers(batch, after, limit)

    async def drop_lines(self, batch: str) -> None:
        await self._recorder.run(lambda store: store.batches.drop_lines(batch))

    # --- what the ledger knows of lines ---

    async def settled(self, batch: str) -> dict[int, Record]:
        """By line, the last settled call of each: what a process had settled before it died and had not yet noted with the line."""
        records = await asyncio.to_thread(self._store.records, batch)
        found: dict[int, Record] = {}
        for record in records:
            if isinstance(record.event, Settled):
                found[record.seq % STRIDE] = record  # later tries stand further on
        return found

    async def settle_left(self) -> None:
        """Lines that a dead process had asked, that this one holds, and whose batch is over by now, settle with the most that they may have used."""
        for tenant, batch in self._recorder.adopted:
            row = await asyncio.to_thread(self._store.batches.get, tenant, batch)
            if row is None or row.status in ENDED:
                self._recorder.give_up(batch)

    async def append(self, records: Sequence[Record]) -> None:
        await self._recorder.append(records)

    async def scrub(self, batch: str, policy: StorePrompts, redact: Callable[[str], str]) -> None:
        """Answers stood in the ledger while the batch was under way; what stays there is what the workspace says."""
        await self._recorder.run(lambda store: store.scrub(batch, policy, redact))
