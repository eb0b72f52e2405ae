"""A session: cells that share one namespace in one child, rebuilt from the record of its cells when the child is lost. Above: local."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec

from interlock.core.egress import EgressDecision
from interlock.core.errors import SandboxRefused
from interlock.core.sandbox import Job, RunOutcome

from .pool import Pool
from .talk import Talk

if TYPE_CHECKING:
    from .local import LocalSandbox


MOST_CELLS = 1_000


class CellSession:
    """The port `Session`. Cells run one after another; `cells` is the record that a later session can be made from."""

    def __init__(self, sandbox: LocalSandbox, image: str, cells: Sequence[Job]) -> None:
        self._sandbox = sandbox
        self._image = image
        self._pool: Pool | None = None
        self._talk: Talk | None = None
        self._connection = AsyncExitStack()
        self._connect: Callable[[Job], Job] = _as_it_is
        self._decisions: list[EgressDecision] = []
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
            talk = await self._alive(job)
            self._decisions.clear()
            outcome = await self._ask(talk, job)
            if outcome.status in ("ok", "error") and outcome.exit_code is None:
                self._cells.append(job)
            return msgspec.structs.replace(outcome, egress=tuple(self._decisions)) if self._decisions else outcome

    async def close(self) -> None:
        """Ends the child; the record stays."""
        await self._give_up()

    async def _alive(self, job: Job) -> Talk:
        """The session's child, rebuilt where it is missing."""
        if self._talk is not None and self._talk.usable:
            return self._talk
        lost = self._talk is not None
        await self._give_up()
        first = msgspec.structs.replace(self._cells[0] if self._cells else job, image=self._image)
        self._pool = await self._sandbox.pool(first)
        talk = self._talk = await self._pool.take(first)
        self._connect = await self._connection.enter_async_context(
            self._sandbox.connected(talk, first.network, self._decisions)
        )
        self.rebuilt += lost or bool(self._cells)
        for at, cell in enumerate(self._cells):
            outcome = await self._ask(talk, msgspec.structs.replace(cell, collect=False, collect_to=None))
            if outcome.status not in ("ok", "error"):  # a cell that cannot be repeated ends the record there
                del self._cells[at:]
                return await self._alive(job)
        return talk

    async def _ask(self, talk: Talk, job: Job) -> RunOutcome:
        talk.limits = job.limits
        try:
            return await talk.ask(self._connect(msgspec.structs.replace(job, image=self._image)), session=True)
        except BaseException:
            await self._give_up()
            raise

    async def _give_up(self) -> None:
        talk, self._talk = self._talk, None
        if talk is not None and self._pool is not None:
            self._pool.end(talk)
        self._connect = _as_it_is
        await self._connection.aclose()


def _as_it_is(job: Job) -> Job:
    return job
