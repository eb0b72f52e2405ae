"""Between a vendor's stream and its reader: plain pieces on their way from the one to the other, noted in passing.

Above: taken. Below: flight, `core.ports`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from interlock.core.ports import Tap


class Notes(Protocol):
    """Who takes note of plain pieces."""

    def put(self, raw: bytes, texts: Sequence[bytes]) -> None: ...


class Readers(Protocol):
    """Others who may want to read along."""

    @property
    def waiting(self) -> int: ...


class Through:
    """The tap that a provider is sent: it notes what passes, and closes when others come to read along."""

    __slots__ = ("_notes", "_others", "_tap")

    def __init__(self, notes: Notes, tap: Tap, others: Readers | None) -> None:
        self._notes = notes
        self._tap = tap
        self._others = others

    def put(self, raw: bytes, texts: Sequence[bytes]) -> bool:
        self._notes.put(raw, texts)
        return self._tap.put(raw, texts) and not (self._others is not None and self._others.waiting)

    async def ready(self) -> bool:
        if self._others is not None and self._others.waiting:
            return False
        return await self._tap.ready()


def text_inside(texts: Sequence[bytes]) -> str:
    """The text of pieces that are the insides of JSON strings."""
    inside = b"".join(texts)
    try:
        return msgspec.json.decode(b'"%b"' % inside, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):  # a vendor's fault, which its reader has been handed as it came
        return inside.decode("utf-8", "replace")
