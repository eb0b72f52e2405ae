"""What the aggregates of this room ask of a database, whichever it is: statements by name, transactions, readings.

Above: aside, batches, kept, keys, similar. Below: nothing; `database.Database` and `postgres.database.Database` have this shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Answer(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """Rows that it wrote or deleted."""
        ...

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Session(Protocol):
    """One connection, for as long as it is lent."""

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /) -> Answer: ...
    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any: ...


class Database(Protocol):
    """Both methods that lend a session may raise StoreUnavailable, and say what was being done."""

    def sql(self, noun: str) -> Mapping[str, str]:
        """The statements about `noun`, by name, in this database's words."""
        ...

    def transaction(self, doing: str) -> AbstractContextManager[Session]:
        """For writing: committed at the end, undone on any exception."""
        ...

    def reading(self, doing: str) -> AbstractContextManager[Session]:
        """Sees what was committed before."""
        ...

    def snapshot(self, doing: str) -> AbstractContextManager[Session]:
        """The same, and every statement sees the same state."""
        ...
