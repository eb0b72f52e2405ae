"""Change feed: the ledger's records in commit order, from a stored position on, for readers that must miss nothing.

Above: observe reads; storage implements. Below: events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .events import Record


class Tail(Protocol):
    """Committed records, oldest first, from a place on. All methods may raise StoreUnavailable.

    A place is text that only the store reads; places do not compare, and one outlives restarts.
    """

    def read(self, place: str, limit: int) -> tuple[Sequence[Record], str]:
        """Up to about `limit` records after `place` (empty: from the beginning), and the place behind them.

        What a transaction that is still open may yet put before them is waited for, so nothing is ever passed over.
        """
        ...

    def end(self) -> str:
        """The place behind everything that is committed."""
        ...

    def behind(self, place: str) -> int:
        """About how many rows of the store lie after `place`."""
        ...

    def kept(self, reader: str) -> str | None:
        """Where `reader` got to; `None` when it has never kept a place."""
        ...

    def keep(self, reader: str, place: str, was: str | None) -> bool:
        """Moves `reader` from `was` to `place`; False, changing nothing, when another process moved it meanwhile."""
        ...
