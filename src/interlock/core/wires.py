"""Best-effort notifications between processes that share a store; a message may be lost, and nothing depends on it. Above: `core.store`, `app`, storage. Below: nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

MOST_BYTES = 7_900
"""Of one message, in UTF-8: PostgreSQL takes less than 8,000 (manual, NOTIFY)."""
NOTHING = ""
"""Heard where messages may have been missed: right after a connection was made, or made anew."""


class Wire(Protocol):
    """All processes that hold one of the same tenant hear what any of them sends, the sender too."""

    def send(self, messages: Sequence[str]) -> None:
        """Blocks the calling thread until they are sent. Raises StoreUnavailable: some or all were not."""
        ...

    def wait(self, timeout_s: float) -> Sequence[str]:
        """Blocks the calling thread, always the same one, until something was heard, at most so long."""
        ...

    def close(self) -> None:
        """Ends a wait; from any thread."""
        ...
