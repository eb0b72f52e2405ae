"""Following the files of a workspace while it is served: the new version is opened beside the old one, takes its place, and the old one ends with its
last request. A version with faults is refused, and the old one goes on.

Above: workspace. Below: door, edition, board. Of several workers each does so for itself; the process that watches them tells them when.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from interlock.app import Interlock
from interlock.app.versions import version_of
from interlock.config.load import load
from interlock.core.errors import ConfigError, Fault, InterlockError, Shed

from .board import Board, Row
from .door import Door, Served
from .edition import Edition
from .terminal import Terminal

AGREED_S = 60.0
"""How long whoever asks waits until every worker serves the new version."""
LOOK_S = 0.05
TRIES = 3
"""How often workers are asked again that found different files, since somebody was writing them."""
PATIENCE_S = 600.0
"""How long a step of a task may go on in a version that was followed: as long as a call may take."""
MOST_ENDING = 64
"""Versions that were followed and still have requests; beyond that a reload is refused, so that memory has a bound."""
_log = logging.getLogger("interlock.reload")


class Turned(Struct, frozen=True):
    """What came of it."""

    version: str
    """What is served now."""
    before: str
    faults: tuple[Fault, ...] = ()
    """Why it is what was served before; empty where all went well."""
    workers: tuple[str, ...] = ()
    """The version of each worker."""


Make = Callable[[Interlock], Edition]


class Reloading:
    """One process's part. It belongs to the event loop that serves."""

    def __init__(
        self, first: Edition, door: Door, files: Path, make: Make, *, board: Board | None = None, worker: int = 0
    ) -> None:
        """`files`: what is read anew. `make`: an edition of an open `Interlock`. `board`: where workers meet; the first of them speaks for all."""
        self._now, self._door, self._files, self._make = first, door, files, make
        self._board, self._worker = board, worker
        self._version = version_of(first.il.workspace)
        self._turning = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._heard: asyncio.Task[None] | None = None
        self._again = False
        self._terminal = Terminal()

    @property
    def now(self) -> Edition:
        return self._now

    def listen(self, known_round: int = 0) -> None:
        """SIGHUP means: the files have changed. `known_round`: the last round of before this process had read them."""
        with contextlib.suppress(ValueError, RuntimeError):  # only the main thread may listen
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hear)
        if self._board is None:
            return
        self._board.tell(self._worker, Row(known_round, self._version, ""))
        if self._board.asked > known_round:
            self._hear()

    async def ask(self) -> Turned:
        """Has every worker of the server read the files anew; returns when all serve the same version, or why none does."""
        if self._board is None:
            return await self.turn()
        before = self._version
        if faults := await asyncio.to_thread(self._faults):
            return Turned(before, before, faults, tuple(each.version for each in self._board.rows()))
        rows: list[Row] = []
        for _ in range(TRIES):
            rows = await self._round(self._board)
            if len({each.version for each in rows}) == 1 and not any(each.refused for each in rows):
                break
        versions = tuple(each.version for each in rows)
        if not rows:
            said = Fault(str(self._files), 0, 0, "", f"not every worker answered within {AGREED_S:g} s", "Ask again.")
            return Turned(self._version, before, (said,), tuple(each.version for each in self._board.rows()))
        refused = next((each.refused for each in rows if each.refused), "")
        if refused or len(set(versions)) > 1:
            said = Fault(
                str(self._files), 0, 0, "", refused or "workers found different files", "See the server's log."
            )
            return Turned(self._version, before, (said,), versions)
        return Turned(rows[0].version, before, (), versions)

    async def turn(self) -> Turned:
        """This process alone: the version of the files as they are now takes over, or is refused."""
        async with self._turning:
            before = self._version
            asked = 0 if self._board is None else self._board.asked
            try:
                await self._follow()
                turned = Turned(self._version, before, (), (self._version,))
            except InterlockError as error:
                turned = Turned(before, before, _faults_of(error), (before,))
                await self._refused(turned.faults)
            if self._board is not None:
                self._board.tell(self._worker, Row(asked, self._version, "refused" if turned.faults else ""))
            return turned

    async def finish(self) -> None:
        """At the server's end: every version that is still there ends."""
        with contextlib.suppress(ValueError, RuntimeError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        tasks = [*self._ending, *([self._heard] if self._heard else [])]
        await asyncio.sleep(0)  # a task that never began could not put away what it was given
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._now.end()
        await self._now.close()
        await self._now.il.close()

    # --- inside ---

    def _hear(self) -> None:
        if self._terminal.closed():
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self._again = True
        if self._heard is None or self._heard.done():
            self._heard = asyncio.create_task(self._heed())

    async def _heed(self) -> None:
        while self._again:
            self._again = False
            await self.turn()

    async def _round(self, board: Board) -> list[Row]:
        """Asks the process that watches the workers; every row when all have taken part, none when they do not within the time."""
        asked = board.asked
        os.kill(os.getppid(), signal.SIGHUP)
        try:
            async with asyncio.timeout(AGREED_S):
                while board.refused <= asked and any(  # noqa: ASYNC110 - other processes tell through memory alone
                    each.round <= asked for each in board.rows()
                ):
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            return []
        return board.rows()

    def _faults(self) -> tuple[Fault, ...]:
        """Of the files as they are, without opening anything."""
        try:
            self._now.il.heir(load(self._files))
        except InterlockError as error:
            return _faults_of(error)
        return ()

    async def _follow(self) -> None:
        """Raises InterlockError: it is refused, and nothing has changed."""
        if len(self._ending) >= MOST_ENDING:
            raise Shed(f"{MOST_ENDING} earlier versions have requests under way", retry_after_s=60.0)
        workspace = await asyncio.to_thread(load, self._files)
        il = await asyncio.to_thread(self._now.il.heir, workspace)
        version, before = version_of(workspace), self._now
        async with contextlib.AsyncExitStack() as undone:
            await il.__aenter__()
            undone.push_async_callback(il.close)
            edition = self._make(il)
            undone.push_async_callback(edition.close)
            faces = edition.faces()
            await il.know_prices()
            if self._worker == 0:
                said = f"{self._version} to {version}, policy {workspace.versions.policy}, route {workspace.versions.route}"
                await il.auditing.note(edition.caller, "admin", "config.reloaded", workspace.name, said)
            await edition.begin()
            undone.pop_all()
        left = self._door.turn(faces)
        self._now, self._version = edition, version
        _log.info("the files are followed: %s", version)
        ending = asyncio.create_task(self._retire(before, left))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _refused(self, faults: tuple[Fault, ...]) -> None:
        for each in faults:
            _log.error("the new files are refused, the old ones go on: %s", each)
        if self._worker == 0:
            said = f"{len(faults)} faults, {self._version} goes on"
            with contextlib.suppress(InterlockError):  # nothing is done that would have to be kept from being done
                await self._now.il.auditing.note(
                    self._now.caller, "admin", "config.refused", self._now.il.workspace.name, said
                )

    async def _retire(self, edition: Edition, left: Served) -> None:
        """Ends a version when its last request has: also when the server ends before that."""
        try:
            await asyncio.gather(self._door.emptied(left), edition.end(PATIENCE_S))
        finally:
            await edition.end()
            await edition.close()
            await edition.il.close()
            gc.unfreeze()  # it was taken out of the collector's rounds, and holds itself in cycles
            del edition, left
            gc.collect()
            gc.freeze()


def _faults_of(error: InterlockError) -> tuple[Fault, ...]:
    if isinstance(error, ConfigError):
        return error.faults
    return (Fault("", 0, 0, "", error.message, error.hint),)
