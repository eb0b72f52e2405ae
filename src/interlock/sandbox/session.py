"""A session: cells that share one namespace in one child, rebuilt from the record of its cells when the child is lost. Above: local."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from interlock.core.sandbox import Job, RunOutcome

from .pool import Pool
from .talk import Talk

if TYPE_CHECKING:
    from .local import LocalSandbox


class CellSession:
    """The port `Session`. Cells run one after another; `cells` is the record that a later session can be made from."""

    def __init__(self, sandbox: LocalSandbox, image: str, cells: Sequence[Job]) -> None:
        self._sandbox = sandbox
        self._image = image
        self._pool: Pool | None = None
        self._talk: Talk | None = None
        self._turn = asyncio.Lock()
        self._cells = list(cells)
        self.rebuilt = 0
        """How often a lost child was replaced."""

    @property
    def cells(self) -> Sequence[Job]:
        """Cells that succeeded, in order; running them again gives the state, as far as they are deterministic."""
        return tuple(self._cells)

    async def run(self, job: Job) -> RunOutcome:
        """One cell. The first cell's limits hold for the session's life where they are about memory, disk and CPU.

        A cell that runs out of time is interrupted, and the state survives; one that ends the process loses it until the next cell.
        """
        async with self._turn:
            talk = await self._alive(job)
            outcome = await self._ask(talk, msgspec.structs.replace(job, image=self._image))
            if outcome.status in ("ok", "error") and outcome.exit_code is None:
                self._cells.append(job)
            return outcome

    async def close(self) -> None:
        """Ends the child; the record stays."""
        self._give_up()

    async def _alive(self, job: Job) -> Talk:
        """The session's child, rebuilt where it is missing."""
        if self._talk is not None and self._talk.usable:
            return self._talk
        lost = self._talk is not None
        self._give_up()
        first = self._cells[0] if self._cells else job
        shaped = msgspec.structs.replace(first, image=self._image, network=None)
        self._pool = await self._sandbox.pool(shaped)
        self._talk = await self._pool.take(shaped)
        self.rebuilt += lost or bool(self._cells)
        for cell in self._cells:
            outcome = await self._ask(self._talk, msgspec.structs.replace(cell, image=self._image))
            if outcome.status not in ("ok", "error"):
                self._give_up()
                return await self._alive_without(cell, job)
        return self._talk

    async def _alive_without(self, cell: Job, job: Job) -> Talk:
        """A cell that cannot be repeated ends the record there; the rest of the state is gone, and said to be."""
        del self._cells[self._cells.index(cell) :]
        return await self._alive(job)

    async def _ask(self, talk: Talk, job: Job) -> RunOutcome:
        talk.limits = job.limits
        try:
            return await talk.ask(job, session=True)
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        if self._talk is not None and self._pool is not None:
            self._pool.end(self._talk)
        self._talk = None
