"""The audit log: who did and who read what, as a hash chain, in which a change to any entry shows.

Above: storage keeps them, server and cli write and check them. Below: nothing. An entry names what was touched, never what it says. The chain shows
changed, inserted and removed entries; that the newest ones were cut off shows against a head that was noted elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import Struct, structs

Action = Literal[
    "session.opened",
    "session.refused",
    "session.closed",
    "session.ended",  # by somebody else, or by the provider
    "content.read",  # prompts, arguments, answers of a task
    "approval.decided",
    "task.operated",  # cancelled, paused, resumed, signalled, closed
    "outcome.said",
    "key.created",
    "key.rotated",
    "key.revoked",
    "audit.read",
    "server.started",
    "config.asked",  # to follow the files
    "config.reloaded",
    "config.refused",
    "data.erased",
    "vault.rotated",
    "vault.rewrapped",
    "vault.destroyed",
    "vault.sealed",
]
_SCHEME = b"interlock-audit-1\n"
FIRST = "0" * 64
"""Stands before the first entry."""


class Deed(Struct, frozen=True):
    """Something that somebody is about to do. It is written before it is done."""

    at_ns: int
    tenant: str
    who: str
    """The user that a key stands for, else the key's id, `server`, or `os:NAME` at the command line."""
    role: str
    action: Action
    target: str = ""
    """What is touched: a task, a key, an approval as `task/step`."""
    detail: str = ""
    """How, in a word or two; nothing that a model or a customer wrote."""


class Entry(Struct, frozen=True):
    """A deed in its place."""

    seq: int
    """From 1 on, without a gap."""
    deed: Deed
    seal: str
    """SHA-256 over the seal before, the place and the deed; hexadecimal."""


class Head(Struct, frozen=True):
    """Where the chain ends. Whoever notes it elsewhere can later show that nothing up to it was cut off."""

    seq: int
    seal: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.seal}"


EMPTY = Head(0, FIRST)


class AuditStore(Protocol):
    """Methods block and may raise StoreUnavailable."""

    def append(self, deeds: Sequence[Deed]) -> Head:
        """Writes them at the end, one after the other, whoever else writes; returns the new head."""
        ...

    def read(self, after: int, limit: int, tenant: str = "") -> list[Entry]:
        """Entries behind `after`, oldest first; of one tenant where one is named."""
        ...

    def latest(self, before: int, limit: int, tenant: str = "") -> list[Entry]:
        """Entries before the place `before` (zero: from the end), newest first."""
        ...

    def head(self) -> Head: ...


def sealed(before: str, seq: int, deed: Deed) -> str:
    """The seal of an entry."""
    said = msgspec.json.encode([before, seq, *structs.astuple(deed)])
    return hashlib.sha256(_SCHEME + said).hexdigest()


def chained(head: Head, deeds: Iterable[Deed]) -> list[Entry]:
    """Deeds as the entries that follow `head`."""
    entries: list[Entry] = []
    for deed in deeds:
        head = Head(head.seq + 1, sealed(head.seal, head.seq + 1, deed))
        entries.append(Entry(head.seq, deed, head.seal))
    return entries


class Checked(Struct, frozen=True):
    """What reading a chain from its beginning has shown so far."""

    head: Head = EMPTY
    faults: tuple[str, ...] = ()
    passed: frozenset[str] = frozenset()
    """Heads that were asked for and have been met."""

    def through(self, entries: Iterable[Entry], expected: Iterable[Head] = ()) -> Checked:
        """With these entries too."""
        head, faults, passed = self.head, list(self.faults), set(self.passed)
        wanted = {each.seq: each for each in expected}
        for entry in entries:
            if entry.seq != head.seq + 1:
                faults.append(
                    f"entry {head.seq + 1} is followed by {entry.seq}: something between them was removed or put in"
                )
            right = sealed(head.seal, entry.seq, entry.deed)
            if entry.seal != right:
                faults.append(f"entry {entry.seq} is not what was sealed: it, or an entry before it, was changed")
            head = Head(entry.seq, entry.seal)
            if (asked := wanted.get(entry.seq)) is not None:
                passed.add(str(asked))
                if asked.seal != entry.seal:
                    faults.append(f"entry {entry.seq} is not the one whose seal was noted: the chain was written anew")
        return Checked(head, tuple(faults), frozenset(passed))

    def ended(self, expected: Iterable[Head] = ()) -> Checked:
        """At the end of the chain: heads that were never met were cut off."""
        missing = [
            f"the chain ends at entry {self.head.seq}, before the noted {each.seq}: its end was cut off"
            for each in expected
            if str(each) not in self.passed and each.seq > 0
        ]
        return structs.replace(self, faults=(*self.faults, *missing))


def head_of(text: str) -> Head | None:
    """`SEQ:SEAL` as it is printed; `None` for anything else."""
    seq, _, seal = text.strip().partition(":")
    if not (seq.isascii() and seq.isdecimal() and len(seal) == 64 and set(seal) <= set("0123456789abcdef")):
        return None
    return Head(int(seq), seal)
