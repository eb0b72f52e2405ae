"""How long the ledger keeps what: one round, by hand or once a day beside the server.

Above: server, cli. Below: config, storage. A round is made of small transactions, so that calls are recorded meanwhile, and of files that are
whole before a row goes: one that is cut off anywhere has lost nothing, and the next one goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from interlock.config.load import load
from interlock.config.retention import RetentionSettings
from interlock.config.workspace import Workspace
from interlock.core.circuits import CircuitStore
from interlock.core.errors import StoreUnavailable
from interlock.core.retention import Archive, Bodies, Retention
from interlock.core.store import Store
from interlock.core.time import NS_PER_S, Clock

from .stores import open_store

_DAY_NS = 86_400 * NS_PER_S
_AT_NS = 3 * 3600 * NS_PER_S
"""Of each day, in UTC: when the server looks."""
_MB = 1_000_000
_log = logging.getLogger("interlock.retention")


class Round(Struct, frozen=True):
    """What one round did."""

    size_bytes: int
    """What the store holds now."""
    archives: tuple[Archive, ...] = ()
    """What left, in the order in which it did."""
    forgotten: int = 0
    """Rows that forgot what was said."""
    swept: int = 0
    """Files of a round that was cut off."""
    busy: bool = False
    """Another process was at it: nothing was done."""
    packed: int = 0
    """Rows from before there were bodies whose contents are kept as today's are."""
    breakers: int = 0
    """Changes of breakers that were forgotten."""


class Retaining:
    """Keeps a store to what its workspace says."""

    def __init__(
        self, retention: Retention, circuits: CircuitStore, settings: RetentionSettings, root: Path, clock: Clock
    ) -> None:
        """`root`: the workspace's folder."""
        self._retention = retention
        self._circuits = circuits
        self._settings = settings
        self._folder = root / settings.folder if settings.then == "archive" else None
        self._clock = clock

    async def run(self) -> None:
        """One round a day, until cancelled."""
        while True:
            now_ns = self._clock.wall_ns()
            await asyncio.sleep((_next_ns(now_ns) - now_ns) / NS_PER_S)
            try:
                done = await asyncio.to_thread(self.round)
            except StoreUnavailable as away:
                _log.warning("nothing was rolled off today: %s", away)
            else:
                _log.info("rolled off: %d records, %d bodies", sum(a.records for a in done.archives), done.forgotten)

    def round(self) -> Round:
        """Lets go of what is old, and of the oldest days while the store is too large.

        Raises:
            StoreUnavailable: the store or the folder cannot be written; what had left by then has left.
        """
        with self._retention.alone() as alone:
            if not alone:
                return Round(self._retention.size_bytes(), busy=True)
            swept = self._retention.sweep(self._folder) if self._folder is not None else 0
            now_ns = self._clock.wall_ns()
            said = self._settings
            left: list[Archive] = []
            if said.raw_days:
                left += self._let_go(_before_ns(now_ns, said.raw_days), now_ns)
            if said.max_size_mb:
                left += self._shrink(said.max_size_mb * _MB, now_ns)
            days = said.bodies_days
            forgotten = self._retention.forget_bodies(_before_ns(now_ns, days)) if days else 0
            packed = self._retention.pack()
            days = said.breakers_days or said.raw_days
            breakers = self._circuits.forget(_before_ns(now_ns, days)) if days else 0
            size = self._retention.size_bytes()
            return Round(size, tuple(left), forgotten, swept, packed=packed, breakers=breakers)

    def _let_go(self, before_ns: int, now_ns: int) -> list[Archive]:
        left: list[Archive] = []
        while (portion := self._retention.roll_off(before_ns, self._folder, now_ns)) is not None:
            left.append(portion)
        return left

    def _shrink(self, most_bytes: int, now_ns: int) -> list[Archive]:
        """Day by day, the oldest first, until it fits or only today is left."""
        left: list[Archive] = []
        while self._retention.size_bytes() > most_bytes:
            oldest_ns = self._retention.oldest_ns()
            if oldest_ns is None or oldest_ns >= _midnight_ns(now_ns):
                return left
            portion = self._retention.roll_off(_midnight_ns(oldest_ns) + _DAY_NS, self._folder, now_ns)
            if portion is None:  # what is old there is not over, or has not been read by everybody
                return left
            left.append(portion)
        return left


class Kept(Struct, frozen=True):
    """How a store stands."""

    size_bytes: int
    oldest_ns: int | None
    archives: tuple[Archive, ...]
    bodies: Bodies


class RetentionDesk:
    """One workspace's retention, for people. Raises StoreUnavailable from every method."""

    def __init__(self, retention: Retention, retaining: Retaining) -> None:
        self._retention = retention
        self._retaining = retaining

    def shown(self) -> Kept:
        found: Sequence[Archive] = self._retention.archives()
        kept = self._retention
        return Kept(kept.size_bytes(), kept.oldest_ns(), tuple(found), kept.bodies())

    def run(self) -> Round:
        return self._retaining.round()


def retaining_of(workspace: Workspace, store: Store, clock: Clock) -> Retaining | None:
    """The workspace's own; `None` where it says nothing of it."""
    said = workspace.settings.retention
    if not (said.raw_days or said.bodies_days or said.breakers_days or said.max_size_mb):
        return None
    return _retaining(workspace, store, clock)


def _retaining(workspace: Workspace, store: Store, clock: Clock) -> Retaining:
    return Retaining(store.retention, store.circuits, workspace.settings.retention, workspace.root, clock)


@contextmanager
def open_retention(path: Path | None, clock: Clock) -> Generator[RetentionDesk]:
    """That of the workspace at `path`.

    Raises:
        ConfigError: its files have faults. StoreUnavailable: the store cannot be opened.
    """
    workspace = load(path or Path())
    store = open_store(workspace)
    try:
        yield RetentionDesk(store.retention, _retaining(workspace, store, clock))
    finally:
        store.close()


def _midnight_ns(now_ns: int) -> int:
    return now_ns // _DAY_NS * _DAY_NS


def _before_ns(now_ns: int, days: int) -> int:
    """What is older has had its whole days, today included."""
    return _midnight_ns(now_ns) - (days - 1) * _DAY_NS


def _next_ns(now_ns: int) -> int:
    """When the server looks next."""
    today = _midnight_ns(now_ns) + _AT_NS
    return today if now_ns < today else today + _DAY_NS
