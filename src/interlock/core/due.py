"""Due tasks: which of them a worker wants, and how it hears of them. Above: `core.store`, agents, storage. Below: errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from .errors import InvalidRequest

MOST_URGENT = 1_000
"""A task's own priority lies between this and its negative."""


class Wanted(Struct, frozen=True):
    """Which due tasks a worker wants."""

    served: tuple[tuple[str, str], ...]
    """Their tenants and workflows."""
    limit: int
    per_tenant: int = 0
    """How many tasks of one tenant may be under way at once, over all workers; zero: no bound."""
    priorities: Mapping[str, int] = {}
    """By workflow: within a tenant those of a higher number go first; 0 for those that are not named. A task's own (`Started.priority`) is added."""
    but: tuple[str, ...] = ()
    """Tasks that are not wanted now."""


class Waker(Protocol):
    """Hears that a task may have become due, in whichever process."""

    def wait(self, timeout_s: float) -> bool:
        """Blocks the calling thread until something was heard, at most so long; whether anything was."""
        ...

    def close(self) -> None:
        """Ends a wait; from any thread."""
        ...


def fitting(priority: int) -> int:
    """The same number. Raises InvalidRequest where a task cannot have it."""
    if not -MOST_URGENT <= priority <= MOST_URGENT:
        raise InvalidRequest(
            f"a priority of {priority:,} is out of range",
            param="priority",
            hint=f"From -{MOST_URGENT:,} to {MOST_URGENT:,}; 0 is usual, of a tenant's tasks a higher one goes first.",
        )
    return priority
