"""A batch line by line: a few at the same time, each through the gateway like any call, tried again later where the failure may pass.

Above: batch. Below: batch_files, `ledger.BatchLog`. A line that was settled before a crash is not asked again: its answer stands in the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, structs

from interlock.core.batches import STRIDE, BatchRow, FileRow, Line, call_of
from interlock.core.caller import Caller
from interlock.core.events import Record, Settled
from interlock.ledger import BatchLog

from .batch_files import body_of

if TYPE_CHECKING:
    from .batch import BatchSettings

TOO_MANY = 429
"""Whoever has no room now has it later: such a line is tried again for as long as the batch has time."""
LONGEST_PAUSE_S = 300.0
GATHER = 32
"""Lines that are read ahead."""


class Outcome(Struct, frozen=True):
    """What came of one line."""

    status: int
    """As an HTTP reply would have it."""
    body: bytes
    passing: bool = False
    """The failure may pass: worth another try later."""


class Perform(Protocol):
    """Lines are answered by whoever speaks the endpoint's dialect."""

    async def __call__(self, endpoint: str, caller: Caller, call: str, body: bytes) -> Outcome:
        """Never raises but for cancellation; the call has settled by then."""
        ...

    def remembered(self, endpoint: str, record: Record) -> Outcome | None:
        """The outcome of a call that settled before a crash, out of the ledger; `None` where it does not hold the answer."""
        ...


class Queue:
    """One batch's lines under way."""

    def __init__(self, row: BatchRow, file: FileRow, log: BatchLog, perform: Perform, settings: BatchSettings) -> None:
        self._row = row
        self._file = file
        self._log = log
        self._perform = perform
        self._settings = settings
        self._before: dict[int, Record] = {}
        self.full = False
        """A limit had no room: no further line is begun in this round."""
        self.answered = 0

    async def remember(self) -> None:
        """What the ledger knows of these lines; a first run finds nothing."""
        self._before = await self._log.settled(self._row.id)

    async def answer(self, line: Line) -> bool:
        """Has one line answered and notes it; False where it is to be tried again later."""
        record = self._before.pop(line.line, None)
        tries = line.tries if record is None else max(line.tries, record.seq // STRIDE)
        line = structs.replace(line, tries=tries)
        outcome = self._known(record, tries) or await self._ask(line)
        tries += 1
        self.full = self.full or (outcome.passing and outcome.status == TOO_MANY)
        if outcome.passing and (outcome.status == TOO_MANY or tries < self._settings.tries):
            await self._log.answered(self._row.id, [structs.replace(line, tries=tries)])
            return False
        await self._log.answered(
            self._row.id, [structs.replace(line, tries=tries, status=outcome.status, reply=outcome.body)]
        )
        self.answered += 1
        return True

    def _known(self, record: Record | None, tries: int) -> Outcome | None:
        """What the ledger says of the line's latest try, where the line itself does not say it yet."""
        if record is None or record.seq // STRIDE < tries or not isinstance(record.event, Settled):
            return None
        status = record.event.status
        if status in ("ok", "cache_hit"):
            return self._perform.remembered(self._row.endpoint, record)
        # Cut off by a crash: asked again under the same id and idempotency key, so that it settles once, as it stands.
        return None if status == "crashed" else Outcome(503, b"{}", passing=True)

    async def _ask(self, line: Line) -> Outcome:
        row = self._row
        raw = await asyncio.to_thread(self._log.blobs.read, self._file, line.at, line.size)
        caller = structs.replace(row.caller, task=row.id, step=line.tries * STRIDE + line.line)
        return await self._perform(row.endpoint, caller, call_of(row.id, line.line, line.tries), body_of(raw))


async def work_off(
    row: BatchRow,
    log: BatchLog,
    perform: Perform,
    settings: BatchSettings,
    sleep: Callable[[float], Awaitable[None]],
    over: Callable[[], Awaitable[bool]],
) -> None:
    """Until every line has its answer, or `over` says that no further one should be begun; those under way are waited for."""
    queue = Queue(row, await log.file(row.tenant, row.input_file), log, perform, settings)
    await queue.remember()
    pause_s = settings.pause_s
    while not await over():
        queue.full, queue.answered = False, 0
        if not await _one_round(row, log, queue, settings, over):
            return
        pause_s = settings.pause_s if queue.answered else min(pause_s * 2, LONGEST_PAUSE_S)
        await sleep(pause_s)


async def _one_round(
    row: BatchRow, log: BatchLog, queue: Queue, settings: BatchSettings, over: Callable[[], Awaitable[bool]]
) -> bool:
    """Every pending line once, in order, as long as there is room; returns whether there is more to do later."""
    again = after = 0
    running: set[asyncio.Task[bool]] = set()
    try:
        while lines := await log.pending(row.id, after, GATHER):
            after = lines[-1].line
            for line in lines:
                if len(running) >= settings.concurrency:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    again += _again(done)
                if queue.full or await over():
                    break
                running.add(asyncio.create_task(queue.answer(line)))
            if queue.full or await over():
                break  # those under way are waited for below
        if running:
            done, running = await asyncio.wait(running)
            again += _again(done)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return again > 0 or queue.full


def _again(done: set[asyncio.Task[Any]]) -> int:
    return sum(not task.result() for task in done)
