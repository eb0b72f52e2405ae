"""Filters of the list of tasks that somebody keeps under a name of their own. Above: server's dashboard. Below: the store's texts.

Blocks and is called from threads. Of two changes by the same person at the same moment the later one holds.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from interlock.core.outbox import TextStore
from interlock.core.time import Clock

MOST = 20
"""Kept by one person; the oldest goes first."""


class View(Struct, frozen=True):
    """One of them."""

    name: str
    query: dict[str, str]
    """Filters by name, empty ones left out."""


class Views:
    """Everybody's, each for themselves."""

    def __init__(self, texts: TextStore, clock: Clock) -> None:
        self._texts, self._clock = texts, clock

    def of(self, tenant: str, who: str) -> tuple[View, ...]:
        """In the order in which they were kept."""
        text = self._texts.get(tenant, "views", who)
        return msgspec.json.decode(text, type=tuple[View, ...]) if text else ()

    def keep(self, tenant: str, who: str, view: View) -> None:
        """Takes the place of the one of that name."""
        others = [each for each in self.of(tenant, who) if each.name != view.name]
        self._put(tenant, who, [*others, view][-MOST:])

    def drop(self, tenant: str, who: str, name: str) -> None:
        self._put(tenant, who, [each for each in self.of(tenant, who) if each.name != name])

    def _put(self, tenant: str, who: str, views: list[View]) -> None:
        self._texts.put(tenant, "views", who, msgspec.json.encode(views).decode(), self._clock.wall_ns())
