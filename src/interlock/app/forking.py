"""Forks that people ask for: begun at once, gone on with beside the request that asked, a few at a time.

Above: `taskdesk`. Below: agents' `again`.
"""

from __future__ import annotations

import asyncio
import logging

from msgspec import Struct
from msgspec.structs import replace

from interlock.agents.again import Again, Begun
from interlock.agents.contract import Contract
from interlock.core.errors import InterlockError, Shed

MOST = 4
"""Under way at once in one process."""
PATIENCE_S = 5.0
"""A fork that takes no longer is over when whoever asked is answered."""
_log = logging.getLogger(__name__)


class Terms(Struct, frozen=True):
    """What a fork is to do otherwise."""

    at: int = 1
    """The step that is decided anew."""
    prompt: str | None = None
    model: str = ""
    """Empty: that of the contract."""
    effects: bool = False
    """Whether tools with an effect are really called."""

    def of(self, contract: Contract) -> Contract:
        """The contract under these terms."""
        said = contract.prompt if self.prompt is None else self.prompt
        return replace(contract, prompt=said, model=self.model or contract.model)


class Forking:
    """One per process."""

    def __init__(self, again: Again) -> None:
        self._again = again
        self._room = asyncio.Semaphore(MOST)
        self._under_way: set[asyncio.Task[None]] = set()

    async def begin(self, task: str, terms: Terms) -> str:
        """The fork's id; it is over by then where that takes no longer than `PATIENCE_S`. Raises InvalidRequest, Shed."""
        if self._room.locked():
            raise Shed(f"{MOST} forks are under way already", retry_after_s=PATIENCE_S)
        await self._room.acquire()
        try:
            begun = await self._again.begin_fork(task, terms.at, terms.of, effects=terms.effects)
        except BaseException:
            self._room.release()
            raise
        job = asyncio.create_task(self._go_on(begun))
        self._under_way.add(job)
        job.add_done_callback(self._over)
        await asyncio.wait((job,), timeout=PATIENCE_S)
        return begun.task

    async def _go_on(self, begun: Begun) -> None:
        try:
            await self._again.go_on(begun)
        except InterlockError as error:  # nobody waits for it any more; its log says how far it got
            _log.warning("fork %s was left where it is: %s", begun.task, error)

    def _over(self, job: asyncio.Task[None]) -> None:
        self._under_way.discard(job)
        self._room.release()
