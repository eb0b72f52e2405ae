"""A session: cells that share one namespace in one child, rebuilt from the record of its cells when the child is lost.

Above: local, the remote client. Below: seats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from interlock.core.errors import SandboxRefused
from interlock.core.sandbox import Job, RunOutcome

from .seats import Seat, SeatLost

MOST_CELLS = 1_000
Take = Callable[[Job], Awaitable[Seat]]
"""From the first cell to a fresh child for it."""


class CellSession:
    """The port `Session`. Cells run one after another; `cells` is the record that a later session can be made from."""

    def __init__(self, take: Take, image: str, cells: Sequence[Job]) -> None:
        self._take = take
        self._image = image
        self._seat: Seat | None = None
        self._turn = asyncio.Lock()
        self._cells = list(cells)
        self.rebuilt = 0
        """How often a lost child was replaced."""

    @property
    def cells(self) -> Sequence[Job]:
        """Cells that succeeded, in order; running them again gives the state, as far as they are deterministic."""
        return tuple(self._cells)

    async def run(self, job: Job) -> RunOutcome:
        """One cell. The first cell's limits and network hold for the session's life, but for wall time and output.

        A cell that runs out of time is interrupted, and the state survives; one that ends the process loses it until the next cell.

        Raises:
            SandboxRefused: beside what a call raises, the session holds `MOST_CELLS` cells already.
        """
        async with self._turn:
            if len(self._cells) >= MOST_CELLS:
                raise SandboxRefused(f"a session holds at most {MOST_CELLS} cells", hint="Begin a new one.")
            try:
                outcome = await self._ask(await self._alive(job), job)
            except SeatLost:  # it ended between two cells, which is only known now
                outcome = await self._ask(await self._alive(job), job)
            if outcome.status in ("ok", "error") and outcome.exit_code is None:
                self._cells.append(job)
            return outcome

    async def close(self) -> None:
        """Ends the child; the record stays."""
        await self._give_up()

    async def _alive(self, job: Job) -> Seat:
        """The session's child, rebuilt where it is missing."""
        if self._seat is not None and self._seat.usable:
            return self._seat
        lost = self._seat is not None
        await self._give_up()
        first = self._cells[0] if self._cells else job
        seat = self._seat = await self._take(self._placed(first))
        self.rebuilt += lost or bool(self._cells)
        for at, cell in enumerate(self._cells):
            outcome = await self._ask(seat, msgspec.structs.replace(cell, collect=False, collect_to=None))
            if outcome.status not in ("ok", "error"):  # a cell that cannot be repeated ends the record there
                del self._cells[at:]
                return await self._alive(job)
        return seat

    async def _ask(self, seat: Seat, job: Job) -> RunOutcome:
        try:
            return await seat.ask(self._placed(job))
        except BaseException:
            await self._give_up()
            raise

    def _placed(self, job: Job) -> Job:
        return job if job.image == self._image else msgspec.structs.replace(job, image=self._image)

    async def _give_up(self) -> None:
        seat, self._seat = self._seat, None
        if seat is not None:
            await seat.close()
