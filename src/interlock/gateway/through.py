"""Direct relay of plain text pieces from the vendor's socket to the client's, noted in passing for billing and caches.

Above: taken. Below: flight, `core.ports`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from interlock.core.ports import Tap
from interlock.core.unreadable import UNREADABLE


class Notes(Protocol):
    """Who takes note of plain pieces, and reads them when somebody asks."""

    @property
    def plain(self) -> list[bytes]:
        """The insides of the texts."""
        ...

    @property
    def plain_raw(self) -> list[bytes] | None:
        """The events as they came, where anybody wants them."""
        ...

    def began(self) -> None:
        """The first of them is about to be relayed."""
        ...


class Readers(Protocol):
    """Others who may want to read along."""

    @property
    def waiting(self) -> int: ...


class Through:
    """The tap that a provider is sent: it notes what passes, and closes when others come to read along."""

    __slots__ = ("_notes", "_others", "_raw", "_tap", "_texts")

    def __init__(self, notes: Notes, tap: Tap, others: Readers | None) -> None:
        self._notes: Notes | None = notes
        """Until it has been told of the first piece."""
        self._texts, self._raw = notes.plain, notes.plain_raw
        self._tap = tap
        self._others = others

    def put(self, raw: bytes, texts: Sequence[bytes]) -> bool:
        if self._notes is not None:
            self._notes.began()
            self._notes = None
        self._texts += texts
        if self._raw is not None:
            self._raw.append(raw)
        others = self._others
        return self._tap.put(raw, texts) and (others is None or not others.waiting)

    async def ready(self) -> bool:
        if self._others is not None and self._others.waiting:
            return False
        return await self._tap.ready()


def text_inside(texts: Sequence[bytes]) -> str:
    """The text of pieces that are the insides of JSON strings."""
    inside = b"".join(texts)
    try:
        return msgspec.json.decode(b'"%b"' % inside, type=str)
    except UNREADABLE:  # a vendor's fault, which its reader has been handed as it came
        return inside.decode("utf-8", "replace")
