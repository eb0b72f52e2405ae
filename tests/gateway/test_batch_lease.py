"""A batch whose worker stood still for too long belongs to the one that took it over: nobody writes its files twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from interlock.core.batches import BatchRow, FileRow
from interlock.core.caller import Caller
from interlock.gateway.batch import BatchParts, BatchSettings, BatchWorker
from interlock.gateway.batch_queue import Outcome
from interlock.ledger import BatchLog, Recorder
from interlock.storage import Folder, SqliteStore
from interlock.testing.clock import FakeClock

LINE = '{{"custom_id":"c{}","method":"POST","url":"/v1/chat/completions","body":{{}}}}\n'
WAIT_S = 60.0


class Answers:
    """Answers lines; those of `held` workers wait for ever."""

    def __init__(self, *, held: bool) -> None:
        self.held, self.asked, self.ended = held, asyncio.Event(), 0

    async def __call__(self, *_: object) -> Outcome:
        self.asked.set()
        try:
            if self.held:
                await asyncio.Event().wait()
        finally:
            self.ended += 1
        return Outcome(200, b'{"said":"yes"}')

    def remembered(self, *_: object) -> None:
        return None


class NoVendors:
    async def takes(self, _row: BatchRow) -> str:
        return ""

    def over(self, _row: BatchRow) -> None: ...


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = SqliteStore.open(tmp_path / "store.db", synchronous="normal")
    yield made
    made.close()


def worker(recorder: Recorder, store: SqliteStore, folder: Folder, name: str, answers: Answers) -> BatchWorker:
    clock = FakeClock()
    log = BatchLog(
        recorder, store, folder, clock, owner=name, lease_s=0.03, lease_now=lambda: 0, is_alive=lambda _: False
    )
    parts = BatchParts(log, clock, cast("Any", answers), cast("Any", NoVendors()), lambda text: text)
    return BatchWorker(BatchSettings(), parts)


async def lines(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield LINE.format(number).encode()


@pytest.mark.requirement("GW-05")
async def test_a_worker_that_has_lost_its_batch_ends_and_leaves_its_files_alone(store: SqliteStore, tmp_path: Path):
    clock, folder = FakeClock(), Folder(tmp_path / "files")
    recorder = Recorder(store, clock, path=tmp_path / "store.db")
    recorder.start()
    file = FileRow("file_1", "acme", "batch", "in.jsonl", 0, 1, 0)
    await folder.write(file, lines(3))
    store.files.put(file)
    ends = clock.wall_ns() + 10**12
    row = BatchRow("batch_1", "acme", Caller("acme"), "/v1/chat/completions", "file_1", "24h", expires_ns=ends)
    store.batches.create(row)
    stuck, quick = Answers(held=True), Answers(held=False)

    async with asyncio.timeout(WAIT_S):
        first = asyncio.create_task(worker(recorder, store, folder, "first", stuck).work_on_one())
        await stuck.asked.wait()
        assert await worker(recorder, store, folder, "second", quick).work_on_one()
        assert await first

    over = store.batches.get("acme", "batch_1")
    assert over is not None
    assert (over.status, over.completed, stuck.ended) == ("completed", 3, 3)
    output = store.files.get("acme", over.output_file, clock.wall_ns())
    assert output is not None
    assert len(list(folder.lines(output))) == 3
    await recorder.close()
