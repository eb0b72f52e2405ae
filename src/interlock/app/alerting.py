"""Looks at every promise again and again, keeps the book of incidents, and tells people; a spent budget tightens what the contract says.

Above: server; cli reads the book. Below: observe, the store, webhooks, mail. One process of a server does this.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from interlock.config.alerts import Email
from interlock.config.workspace import Workspace
from interlock.core.errors import StoreUnavailable
from interlock.core.outage import Outage
from interlock.core.store import Store
from interlock.core.time import Clock
from interlock.observe.incidents import Book, Found, Incident, turned
from interlock.observe.slo import Standing

from .letters import letter_of
from .looking import Look, book_of, keep, sparing
from .looks import Looks
from .webhooks import Webhooks

if TYPE_CHECKING:
    from .mail import Mail

_log = logging.getLogger("interlock.alerts")

Spare = Callable[[frozenset[str]], None]
"""Told after each look which workflows choose no premium tier, because their budget is spent."""


class Alerting:
    """Runs where its `run` does."""

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        clock: Clock,
        webhooks: Webhooks,
        *,
        spare: Spare = lambda _: None,
    ) -> None:
        self._settings, self._store, self._clock = workspace.settings.alerts, store, clock
        self._tenant = workspace.settings.tenant
        self._look = Look(workspace, store)
        self._webhooks, self._spare = webhooks, spare
        self._mail = _mail(self._settings.email)
        self._has_receivers = any("alert" in each.events for each in workspace.settings.webhooks)

    async def run(self) -> None:
        """Looks and tells until cancelled. A store that is away is waited for."""
        async with asyncio.TaskGroup() as group:
            if self._has_receivers:
                group.create_task(self._webhooks.run())
            if self._mail is not None:
                group.create_task(self._mail.run())
            group.create_task(self._again_and_again())

    async def _again_and_again(self) -> None:
        told_before, outage = False, Outage()
        while True:
            try:
                book = await asyncio.to_thread(book_of, self._store, self._tenant)
                if not told_before:  # what a crash kept from being told; receivers know a repeat by its id
                    self._tell([each for each in book.of(self._tenant) if each.open])
                    told_before = True
                await self.turn(book)
                if outage.ends():
                    _log.warning("promises are looked at again")
            except StoreUnavailable as away:
                if outage.begins():
                    _log.warning("promises are not looked at until the store is back: %s", away)
            except Exception:  # noqa: BLE001 - a defect that one look shows must not end all later ones
                _log.exception("promises could not be looked at")
            await asyncio.sleep(self._settings.every_s)

    async def turn(self, book: Book) -> Book:
        """One look; returns the book as it was kept."""
        now = self._clock.wall_ns()

        def look() -> tuple[dict[str, list[Standing]], list[Found]]:
            standings = self._look.standings(now)
            return standings, self._look.found(standings, now)

        standings, found = await asyncio.to_thread(look)
        turn = turned(book, found, now)
        kept = structs.replace(turn.book, sparing=sparing(self._look.terms, standings))
        await asyncio.to_thread(keep, self._store, self._tenant, kept, now)
        self._tell([*turn.opened, *turn.closed])
        self._spare(frozenset(kept.sparing))
        return kept

    def follow(self, looks: Looks) -> None:
        """From now on does what another process's looks found: for all workers but the first."""

        async def spared(book: Book) -> None:
            self._spare(frozenset(book.sparing))

        looks.add("incidents", self._settings.every_s, lambda: book_of(self._store, self._tenant), spared)

    def _tell(self, incidents: Sequence[Incident]) -> None:
        for each in incidents:
            address = f"{self._settings.dashboard}/ui/incidents/{each.id}" if self._settings.dashboard else ""
            self._webhooks.alerted(each, address)
            mail = self._settings.email
            if self._mail is not None and mail is not None and each.found.severity in mail.severities:
                self._mail.post(letter_of(each, address))


def _mail(settings: Email | None) -> Mail | None:
    """Loaded where somebody gets mail."""
    if settings is None:
        return None
    from .mail import Mail

    return Mail(settings)
