"""Store ports beside tasks: the outbox of messages that still have to be delivered, and named texts.

Above: `core.store`, app, agents. Below: nothing. All methods are synchronous and may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

TextKind = Literal["contract", "schedule", "incidents", "answered", "keyring", "views", "erasures"]
"""A contract by its content hash · when a schedule last came due · the book of incidents · what a deterministic agent was first answered, as a hash · a key of the keyring in use
· the filters of lists that somebody keeps · how far the list of erasures has come here."""


class OutboxRow(Struct, frozen=True):
    """One message to one receiver. It is written before what it tells of is recorded, and sent only once that is true."""

    id: str
    """The same for every try, so that a receiver knows a repeat."""
    tenant: str
    task: str
    step: int
    """Of the question that is told; zero for a task's end."""
    workflow: str
    receiver: str
    """Its address."""
    body: str
    """Kept until the message is taken or given up."""
    fence: int
    """Of the worker that wrote it: what another one, with an older lease, has to say does not take its place."""
    since_ns: int
    next_ns: int
    """When it is to be tried; whoever takes it puts this off, so that no other one does the same."""
    tries: int = 0


class OutboxStore(Protocol):
    """Messages that have not been taken yet.

    Raises:
        StoreUnavailable: from every method.
    """

    def put(self, rows: Sequence[OutboxRow]) -> None:
        """Keeps them; one of the same id is replaced where its fence is not newer."""
        ...

    def take(self, now_ns: int, until_ns: int, *, limit: int) -> list[OutboxRow]:
        """Those that are due, oldest first, with their count of tries raised; nobody else gets them before `until_ns`."""
        ...

    def again(self, message: str, next_ns: int) -> None:
        """When a message that was not taken is tried next."""
        ...

    def done(self, message: str) -> None:
        """It was taken, given up, or is true no more."""
        ...

    def waiting(self) -> int:
        """How many there are."""
        ...

    def forget(self, tasks: Sequence[str]) -> int:
        """Removes what is still to be told of these tasks; returns how many messages."""
        ...


class TextStore(Protocol):
    """Short texts by tenant, kind and key."""

    def put(self, tenant: str, kind: TextKind, key: str, text: str, at_ns: int) -> None:
        """Keeps `text` in the place of what was there."""
        ...

    def get(self, tenant: str, kind: TextKind, key: str) -> str | None: ...

    def all(self, tenant: str, kind: TextKind) -> list[tuple[str, str]]:
        """(key, text) of every text of a kind."""
        ...

    def drop(self, tenant: str, kind: TextKind, key: str) -> None: ...
