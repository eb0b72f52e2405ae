"""The child process behind a session, which takes cell after cell. Above: session, local, the remote client. Below: talk, pool."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Protocol

import msgspec

from interlock.core.egress import EgressDecision
from interlock.core.sandbox import Job, RunOutcome

from .pool import Pool
from .talk import Talk

if TYPE_CHECKING:
    from .local import LocalSandbox


class SeatLost(Exception):
    """The child had ended before the cell began; nothing of the cell was run."""


class Seat(Protocol):
    """One child, wherever it is."""

    @property
    def usable(self) -> bool:
        """Whether the child lives, as far as is known here."""
        ...

    async def ask(self, job: Job) -> RunOutcome:
        """One cell. Raises SeatLost."""
        ...

    async def close(self) -> None:
        """Ends the child; may be called again."""
        ...


class LocalSeat:
    """A child of this machine."""

    def __init__(self, pool: Pool, talk: Talk) -> None:
        self._pool = pool
        self._talk: Talk | None = talk
        self._connection = AsyncExitStack()
        self._connect: Callable[[Job], Job] = _as_it_is
        self._decisions: list[EgressDecision] = []

    @classmethod
    async def take(cls, sandbox: LocalSandbox, first: Job) -> LocalSeat:
        """A child of the first cell's limits and network."""
        pool = await sandbox.pool(first)
        talk = await pool.take(first)
        made = cls(pool, talk)
        try:
            serving = sandbox.connected(talk, first.network, made._decisions)
            made._connect = await made._connection.enter_async_context(serving)
        except BaseException:
            await made.close()
            raise
        return made

    @property
    def usable(self) -> bool:
        return self._talk is not None and self._talk.usable

    async def ask(self, job: Job) -> RunOutcome:
        talk = self._talk
        if talk is None or not talk.usable:
            raise SeatLost
        talk.limits = job.limits
        outcome = await talk.ask(self._connect(job), session=True)
        told = tuple(self._decisions)
        self._decisions.clear()  # what is told later, of a connection that outlives this cell, is told with the next one
        return msgspec.structs.replace(outcome, egress=told) if told else outcome

    async def close(self) -> None:
        talk, self._talk = self._talk, None
        if talk is not None:
            self._pool.end(talk)
        await self._connection.aclose()


def _as_it_is(job: Job) -> Job:
    return job
