"""The list of erasures, apart from the store and its backups: what was erased stays so when an older copy of the store is put back.

Above: erasing, erasing_tenant, keeping. Below: config, the store. One line of JSON each, written before anything is erased, beside the keyring (without `encryption` beside the store). The
store notes how far down the list it has come, and so does each copy of it: what follows is still to be erased in that copy. It holds names of tenants and users, as the ledger does.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import msgspec
from msgspec import Struct

from interlock.config.workspace import Workspace
from interlock.core.errors import StoreUnavailable
from interlock.core.outbox import TextStore
from interlock.core.time import Clock

NAME = "erasures.jsonl"
MARK, TOLD = "mark", "told"
"""Texts of the store: how many of a list it has been through · the last that running servers were told of."""


class Erasure(Struct, frozen=True, omit_defaults=True):
    """One of them."""

    at_ns: int
    tenant: str
    user: str = ""
    """Empty: the whole tenant."""
    keys: bool = False
    """The keys are destroyed, or there are none; else that is still to be done: tasks were not over, or it was broken off."""


_line = msgspec.json.Decoder(Erasure)


class Erasures:
    """A workspace's list. Every method may raise StoreUnavailable."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        said = workspace.settings.encryption
        beside = workspace.store if said is None else workspace.root / said.keyring
        self.path = beside.parent / NAME
        self._clock = clock

    def note(self, erasure: Erasure) -> None:
        """Adds one, before anything is erased, and again when the keys are destroyed; it is on the disk afterwards."""
        with self._locked() as file:
            there = file.read()
            cut = b"" if not there or there.endswith(b"\n") else b"\n"
            file.write(cut + msgspec.json.encode(erasure) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def all(self) -> Sequence[Erasure]:
        """In their order. A line that a crash cut off was never begun with, and is passed over."""
        try:
            lines = self.path.read_bytes().splitlines()
            return [_line.decode(each) for each in lines if each.endswith(b"}")]
        except FileNotFoundError:
            return []
        except (OSError, msgspec.MsgspecError) as error:
            raise self._unusable(error) from error

    def pending(self, texts: TextStore) -> list[Erasure]:
        """What is still to be erased in this store; of several of the same user the last one."""
        return _pending(self.all(), texts)

    def done(self, texts: TextStore, erasures: Sequence[Erasure]) -> None:
        """Notes in the store that these were done to the end, and with them the whole list, unless others are left: of another process, say."""
        listed, whose = self.all(), {(each.tenant, each.user) for each in erasures}
        if all((each.tenant, each.user) in whose for each in _pending(listed, texts)):
            texts.put("", "erasures", _mark(listed), str(len(listed)), self._clock.wall_ns())

    def tell(self, texts: TextStore, tenant: str) -> None:
        """Has running servers drop what they keep of the tenant in memory, within a second."""
        with self._locked():  # of two at once, each is counted
            before = texts.get("", "erasures", TOLD) or "0"
            said = f"{int(before.partition(' ')[0]) + 1} {tenant}"
            texts.put("", "erasures", TOLD, said, self._clock.wall_ns())

    @contextmanager
    def _locked(self) -> Generator[BinaryIO]:
        """The list, with no other process of this machine at it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self.path}: the list of erasures cannot be used: {error}.",
            hint="See that it is there whole and may be read and written; nothing was erased.",
        )


def _pending(listed: Sequence[Erasure], texts: TextStore) -> list[Erasure]:
    left = listed[int(texts.get("", "erasures", _mark(listed)) or 0) :]
    return list({(each.tenant, each.user): each for each in left}.values())


def _mark(listed: Sequence[Erasure]) -> str:
    """Where the store notes how far down this list it has come: machines that share a store and no folder have a list each, told apart by what stands first."""
    first = msgspec.json.encode(listed[:1])
    return f"{MARK}:{hashlib.blake2b(first, digest_size=8).hexdigest()}"
