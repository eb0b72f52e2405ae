"""Filters of the list of tasks that somebody keeps under a name of their own. Above: server's dashboard, erasing. Below: the store's texts.

Blocks and is called from threads. Of two changes by the same person at the same moment the later one holds.
"""

from __future__ import annotations

from collections.abc import Sequence

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


_views = msgspec.json.Decoder(tuple[View, ...])


class Views:
    """Everybody's, each for themselves."""

    def __init__(self, texts: TextStore, clock: Clock) -> None:
        self._texts, self._clock = texts, clock

    def of(self, tenant: str, who: str) -> tuple[View, ...]:
        """In the order in which they were kept."""
        text = self._texts.get(tenant, "views", who)
        return _views.decode(text) if text else ()

    def keep(self, tenant: str, who: str, view: View) -> None:
        """Takes the place of the one of that name."""
        others = [each for each in self.of(tenant, who) if each.name != view.name]
        self._put(tenant, who, [*others, view][-MOST:])

    def drop(self, tenant: str, who: str, name: str) -> None:
        self._put(tenant, who, [each for each in self.of(tenant, who) if each.name != name])

    def _put(self, tenant: str, who: str, views: list[View]) -> None:
        self._texts.put(tenant, "views", who, msgspec.json.encode(views).decode(), self._clock.wall_ns())


def forget_views(texts: TextStore, tenant: str, user: str, keys: Sequence[str], now_ns: int) -> int:
    """Removes what the user and the user's keys kept, and what others keep that names the user; how many views."""
    gone = 0
    for who, text in texts.all(tenant, "views"):
        views = _views.decode(text) if text else ()
        left = () if who in (user, *keys) else tuple(each for each in views if user not in each.query.values())
        if left == views and text:
            continue
        gone += len(views) - len(left) if text else 1  # how many there were is sealed with a key that is no more
        if left:
            texts.put(tenant, "views", who, msgspec.json.encode(left).decode(), now_ns)
        else:
            texts.drop(tenant, "views", who)
    return gone
