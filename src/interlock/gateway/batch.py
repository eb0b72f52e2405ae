"""THE WALK of one batch: read its lines, have them answered, write its files. Made to be killed at any instant and taken up again.

Above: `app`, which starts one worker in each serving process. Below: batch_queue, batch_vendor, batch_files, and `ledger.BatchLog`. Each step
leaves a row behind before the next begins, and doing a step again changes nothing: lines are numbered, calls have the same id on every
run, and a line that has settled is found in the ledger.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct, structs

from interlock.core.batches import BatchRow, Fault
from interlock.core.errors import Fenced, LimitReached, LimitUnknown, StoreUnavailable, UpstreamError
from interlock.core.outage import Outage
from interlock.core.store import StorePrompts
from interlock.core.time import NS_PER_S, Clock
from interlock.ledger import BatchLog, NotThere

from . import batch_files
from .batch_queue import Perform, work_off

logger = logging.getLogger("interlock.batches")
LOOK_NS = NS_PER_S // 5
"""Between two looks for a wish to cancel a batch that is under way."""
TIDY_EVERY = 500
"""Looks for batches between two looks for what may go."""


class BatchSettings(Struct, frozen=True):
    """How batches are worked on."""

    concurrency: int = 8
    """Lines of one batch that are asked at the same time, where there is no vendor's batch API."""
    tries: int = 6
    """Of one line, where the failure may pass: rate limits, outages, a full queue."""
    pause_s: float = 2.0
    """Before the second try; doubles with each."""
    look_s: float = 5.0
    """Between two looks for batches, when nobody says that there is one."""
    poll_s: float = 60.0
    """The longest time between two looks at a vendor's batch; a young one is looked at more often."""
    late_s: float = 3600.0
    """How long after its time a vendor's batch may still come in; the vendor's own day begins a little later than ours."""
    patience_s: float = 60.0
    """Before a batch is taken up again that could not be gone on with."""
    output_days: int = 30
    store_prompts: StorePrompts = "none"


class Vendors(Protocol):
    """Vendors' own batch APIs."""

    async def takes(self, row: BatchRow) -> str:
        """The deployment (`provider/model`) whose vendor takes the whole batch; empty where it has to go line by line."""
        ...

    async def go_on(self, row: BatchRow) -> BatchRow | None:
        """One step further with a vendor's batch: submitted, looked at, or fetched. `None` when every line has its answer."""
        ...

    async def cancel(self, row: BatchRow) -> None: ...

    def over(self, row: BatchRow) -> None:
        """Nothing more of it is waited for, whether or not every line has its answer."""
        ...


class BatchParts(Struct, frozen=True):
    """What the worker works with."""

    log: BatchLog
    clock: Clock
    perform: Perform
    """Answers one line through the gateway."""
    vendors: Vendors
    redact: Callable[[str], str]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class BatchWorker:
    """Works on batches, one after another, until it is stopped."""

    def __init__(self, settings: BatchSettings, parts: BatchParts) -> None:
        self._settings = settings
        self._parts = parts
        self._woken = asyncio.Event()
        self._stopped = asyncio.Event()
        self._rest_s = settings.look_s

    def wake(self) -> None:
        """There is a new batch, or a wish to cancel one."""
        self._woken.set()

    def stop(self) -> None:
        """No further line is begun; `keep_working` returns when those under way have their answers."""
        self._stopped.set()
        self._woken.set()

    async def keep_working(self) -> None:
        """Until it is stopped or cancelled; whatever is not done is given back and goes on at the next start."""
        looks, outage = 0, Outage()
        while not self._stopped.is_set():
            self._woken.clear()
            self._rest_s = self._settings.look_s
            try:
                if looks % TIDY_EVERY == 0:
                    await self._parts.log.tidy()
                looks += 1
                await self._parts.log.settle_left()
                while not self._stopped.is_set() and await self.work_on_one():
                    pass
                if outage.ends():
                    logger.warning("batches go on: the store is back")
            except StoreUnavailable as error:
                if outage.begins():
                    logger.warning("batches wait for the store: %s", error)
            except Exception:  # the outermost frame of this work: recorded, and other batches go on
                logger.exception("a defect stopped the work on a batch")
            await self._rest()

    async def work_on_one(self) -> bool:
        """Takes the oldest batch nobody works on as far as it goes now; False when there is none."""
        log = self._parts.log
        row = await log.claim()
        if row is None:
            return False
        working = asyncio.ensure_future(self._advance(row))
        renewing = asyncio.create_task(self._renew(row.id, working))
        wait_s = self._settings.patience_s
        try:
            wait_s = await working
        except NotThere as error:  # its input was deleted: what was answered is kept, the rest cannot be asked
            await self._ended(structs.replace(row, faults=(Fault("input_file_gone", str(error)),)))
            wait_s = 0.0
        except Fenced as error:
            logger.warning("%s: it is left to that one", error.message)
        except asyncio.CancelledError:
            wait_s = 0.0  # this process stops; another one, or its next life, goes on at once
            here = asyncio.current_task()
            if here is None or here.cancelling():
                raise  # else the lease was lost, and only the work has ended
        except (UpstreamError, LimitReached, LimitUnknown) as error:
            logger.warning("batch %s waits: %s", row.id, error)
        finally:
            renewing.cancel()
            self._rest_s = min(self._rest_s, wait_s or self._rest_s)
            await asyncio.shield(log.release(row.id, for_s=wait_s))
        return True

    async def _advance(self, row: BatchRow) -> float:
        """Every step that can be done now; returns seconds until there may be another one."""
        log, clock = self._parts.log, self._parts.clock
        if row.status == "validating" or (row.status == "cancelling" and not row.how):
            row = await self._begun(row)
            if row.status == "failed":
                return 0.0
        grace_ns = int(self._settings.late_s * NS_PER_S) if row.how == "vendor" else 0
        late = clock.wall_ns() >= row.expires_ns + grace_ns
        if row.how == "vendor" and not (row.finalizing_ns or late):
            if row.cancelling_ns:
                await self._parts.vendors.cancel(row)
            going = await self._parts.vendors.go_on(row)
            if going is not None:
                await log.save(going)
                age_s = (clock.wall_ns() - going.submitted_ns) / NS_PER_S
                return min(self._settings.poll_s, 1.0 + age_s / 10)
        elif row.how == "queue" and not (row.finalizing_ns or late or row.cancelling_ns):
            over = self._over(row)
            await work_off(row, log, self._parts.perform, self._settings, self._pause, over)
            row = await log.batch(row.tenant, row.id)
            if self._stopped.is_set() and row.completed + row.failed < row.total:
                return 0.0
        await self._ended(row)
        return 0.0

    async def _begun(self, row: BatchRow) -> BatchRow:
        """Its lines are noted, and it is settled which way they go."""
        log, now_ns = self._parts.log, self._parts.clock.wall_ns()
        faults = await batch_files.read_lines(row, log)
        if faults:
            return await log.save(structs.replace(row, status="failed", faults=tuple(faults), ended_ns=now_ns))
        deployment = "" if row.cancelling_ns else await self._parts.vendors.takes(row)
        how = "vendor" if deployment else "queue"
        status = "cancelling" if row.cancelling_ns else "in_progress"
        row = structs.replace(row, status=status, how=how, deployment=deployment, begun_ns=now_ns)
        return await log.save(row)

    def _over(self, row: BatchRow) -> Callable[[], Awaitable[bool]]:
        """Whether no further line should be begun: it was cancelled, or its time is up."""
        looked_ns = 0

        async def over() -> bool:
            nonlocal looked_ns
            now_ns = self._parts.clock.wall_ns()
            if self._stopped.is_set() or now_ns >= row.expires_ns:
                return True
            if now_ns - looked_ns < LOOK_NS:
                return False
            looked_ns = now_ns
            return bool((await self._parts.log.batch(row.tenant, row.id)).cancelling_ns)

        return over

    async def _ended(self, row: BatchRow) -> None:
        """Files are written, the batch is over, and the ledger keeps of its texts what the workspace says."""
        log, clock, settings = self._parts.log, self._parts.clock, self._settings
        self._parts.vendors.over(row)
        if not row.finalizing_ns:
            status = "cancelling" if row.cancelling_ns else "finalizing"
            row = await log.save(structs.replace(row, status=status, finalizing_ns=clock.wall_ns()))
        row = await log.counted(row)
        unanswered = row.total - row.completed - row.failed
        status = "completed" if not unanswered else "cancelled" if row.cancelling_ns else "expired"
        ttl_ns = row.output_ttl_ns or settings.output_days * 86_400 * NS_PER_S
        row = await batch_files.write_outputs(row, log, clock.wall_ns(), ttl_ns, why=status if unanswered else "")
        row = await log.counted(row)
        await log.scrub(row.id, settings.store_prompts, self._parts.redact)
        status = "failed" if unanswered and row.faults else status
        await log.save(structs.replace(row, status=status, unasked=unanswered, ended_ns=clock.wall_ns()))
        await log.settle_left()
        await log.drop_lines(row.id)

    async def _pause(self, seconds: float) -> None:
        """That long, or until it is stopped."""
        waits = [asyncio.ensure_future(self._parts.sleep(seconds)), asyncio.ensure_future(self._stopped.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _renew(self, batch: str, working: asyncio.Future[float]) -> None:
        """Holds the batch while it is worked on; ends the work where another process has taken it over."""
        while True:
            await asyncio.sleep(self._parts.log.lease_s / 3)
            try:
                if not await self._parts.log.renew(batch):
                    logger.warning("batch %s is held by another process now: it is left to that one", batch)
                    working.cancel()
                    return
            except StoreUnavailable as error:
                logger.warning("batch %s could not be held longer: %s", batch, error)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._rest_s):
                await self._woken.wait()
        except TimeoutError:
            pass
