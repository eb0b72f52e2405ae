"""Retention: the store port for deleting or archiving old raw rows while aggregates stay.

Above: app decides when; storage implements. Below: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from msgspec import Struct


class Archive(Struct, frozen=True):
    """Raw rows that have left the store."""

    file: str
    """Name of the Parquet file; empty where they were dropped for good."""
    first_ns: int
    """When the oldest of it began, and below the newest."""
    last_ns: int
    records: int
    tasks: int
    cost_nano_usd: int
    simulated_nano_usd: int
    at_ns: int
    """When they left."""


class Bodies(Struct, frozen=True):
    """The long texts of what was said, each there once for its tenant."""

    texts: int
    held: int
    """How many rows hold one of them."""
    size_bytes: int
    """As they rest."""


class Retention(Protocol):
    """What a store can let go of. Roll-ups, outcomes and meters always stay. All methods may raise StoreUnavailable."""

    def alone(self) -> AbstractContextManager[bool]:
        """Holds off whoever else would let rows go meanwhile, on whatever machine; False where somebody is at it."""
        ...

    def size_bytes(self) -> int:
        """What the store holds, on PostgreSQL estimated from a sample; its files may be larger, since freed room is used again."""
        ...

    def oldest_ns(self) -> int | None:
        """When the oldest finished work began whose raw rows are still there."""
        ...

    def roll_off(self, before_ns: int, folder: Path | None, now_ns: int) -> Archive | None:
        """Moves one portion of the oldest raw rows from before `before_ns` into a Parquet file in `folder`, or drops them.

        The file is whole and on the disk before a row goes, and a row goes in the transaction that names the file: a crash in between
        leaves a file that no archive names, which `sweep` removes. `None` when there is nothing left to move; what a reader of
        the ledger has not read yet stays.
        """
        ...

    def forget_bodies(self, before_ns: int) -> int:
        """Deletes what was said in work that was over before `before_ns`; returns how many rows forgot something."""
        ...

    def bodies(self) -> Bodies:
        """What stands once although it was said more often."""
        ...

    def pack(self) -> int:
        """Keeps what was said before there were bodies (see `docs/retention.md`) as it is kept today; returns how many rows."""
        ...

    def archives(self) -> Sequence[Archive]:
        """Everything that has left, oldest first."""
        ...

    def sweep(self, folder: Path) -> int:
        """Removes files of this store in `folder` that no archive names; returns how many."""
        ...
