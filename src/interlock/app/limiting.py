"""Keys and limits of a running instance: opened, kept up to date, and closed. Above: compose, server. Below: storage, gateway, config."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from interlock.config.load import load
from interlock.config.workspace import Workspace
from interlock.core.audit import Action
from interlock.core.caller import Caller, Secret
from interlock.core.errors import InvalidRequest, StoreUnavailable
from interlock.core.ids import Ids
from interlock.core.keys import KeyBook, KeyRecord, KeyStore, made, rotated
from interlock.core.time import NS_PER_S, Clock, SystemClock
from interlock.gateway.quota import Quotas
from interlock.storage import MappedCells

from .auditing import Auditing, login
from .looks import Looks
from .stores import open_store

if TYPE_CHECKING:
    from interlock.storage.redis_counts import RedisCounts

_log = logging.getLogger("interlock.keys")
LOOK_S = 0.25
"""How often other processes' changes are looked for: a revoked key is refused everywhere within a second."""
TIDY_S = 60.0


class Limiting:
    """The keys at hand and the counts of limits. Belongs to the event loop that serves."""

    def __init__(self, workspace: Workspace, copy: KeyStore, clock: Clock, ids: Ids, looks: Looks) -> None:
        """`copy`: the keys in this machine's own store; all there are where no Redis is shared. `looks` keeps them up to date once it is started."""
        self.book = KeyBook()
        self._limits = [each.limit for each in workspace.settings.limits]
        self._path = workspace.store
        self._shared = _counts(workspace, clock, ids)
        self._store = key_store(workspace, copy)
        self._version = -1
        self._cells: MappedCells | None = None
        self.keys = KeyDesk(self._store, clock)
        self.quotas = Quotas(self._limits, clock, shared=self._shared, grant_of=self.book.grant_of)
        self._looks = looks
        in_store = self._store is copy
        self._question = looks.add("the keys", LOOK_S, self._read_if_newer, self._take_in_newer, in_store=in_store)
        looks.also("limits", TIDY_S, self.quotas.tidy)

    async def open(self) -> None:
        """Reads the keys and opens the counts, where any are needed, off the event loop.

        Raises:
            StoreUnavailable: the keys cannot be read.
        """
        version, records = await asyncio.to_thread(self._read_keys)
        await self._take_in(version, records, counting=any(each.scope == "machine" for each in self._limits))

    async def close(self) -> None:
        if self._shared is not None:
            await self._shared.close()
        if self._cells is not None:
            self._cells.close()

    async def refresh(self) -> None:
        """Looks at once. Raises StoreUnavailable."""
        await self._looks.now(self._question)
        if self._cells is not None:
            self._cells.refresh()

    # --- inside ---

    def _read_if_newer(self) -> tuple[int, Sequence[KeyRecord]] | None:
        return None if self._store.keys_version() == self._version else self._read_keys()

    async def _take_in_newer(self, read: tuple[int, Sequence[KeyRecord]] | None) -> None:
        if read is not None:
            await self._take_in(*read)

    def _read_keys(self) -> tuple[int, Sequence[KeyRecord]]:
        try:
            version = self._store.keys_version()
        except StoreUnavailable:
            if self._shared is None:
                raise
            version = -1  # the copy has to do until Redis is back
        return version, self._store.records()

    async def _take_in(self, version: int, records: Sequence[KeyRecord], *, counting: bool = False) -> None:
        """From now on these keys open the door; the counts are there before the first of them that has a limit does."""
        if self._cells is None and (counting or any(record.limits for record in records)):
            self._count_in(await asyncio.to_thread(self._opened))
        self.book.replace(records)
        self._version = version
        self.quotas.forget()

    def _opened(self) -> MappedCells | str:
        """The counts of this machine, or why they cannot be had."""
        try:
            return MappedCells.open(self._path)
        except StoreUnavailable as error:
            _log.error("limits cannot be counted: %s", error)
            return str(error)

    def _count_in(self, opened: MappedCells | str) -> None:
        if isinstance(opened, str):
            self.quotas.count_in(None, opened)
        else:
            self._cells = opened
            self.quotas.count_in(opened)
            self._looks.also("counts of other processes", LOOK_S, opened.refresh)
            self._looks.start()


def key_store(workspace: Workspace, copy: KeyStore) -> KeyStore:
    """Where the workspace's keys are: in the Redis that replicas share, with a copy here, or here alone."""
    said = workspace.settings.redis
    if not said.url:
        return copy
    from interlock.storage.redis_keys import RedisKeys

    return RedisKeys(said.url, copy, timeout_s=said.timeout_s, prefix=said.prefix)


def _counts(workspace: Workspace, clock: Clock, ids: Ids) -> RedisCounts | None:
    said = workspace.settings.redis
    if not said.url:
        return None
    from interlock.storage.redis_counts import RedisCounts

    return RedisCounts(said.url, clock, ids, timeout_s=said.timeout_s, prefix=said.prefix)


@contextlib.contextmanager
def open_keys(path: Path) -> Generator[tuple[KeyDesk, str]]:
    """The keys of the workspace at `path`, for a command, and the workspace's tenant. Raises StoreUnavailable, ConfigError."""
    workspace = load(path)
    store, clock = open_store(workspace), SystemClock()
    auditing = Auditing(store.audit, clock)

    def noted(action: Action, record: KeyRecord) -> None:
        at_hand = Caller(workspace.settings.tenant, key_id=f"os:{login()}")
        auditing.noted(at_hand, "admin", action, record.id, f"{record.holds} of {record.tenant}")

    try:
        yield KeyDesk(key_store(workspace, store.keys), clock, noted=noted), workspace.settings.tenant
    finally:
        store.close()


class KeyDesk:
    """Making, listing, changing and ending keys. Methods block: call them off the event loop."""

    def __init__(
        self,
        store: KeyStore,
        clock: Clock,
        entropy: Callable[[int], str] = secrets.token_urlsafe,
        *,
        noted: Callable[[Action, KeyRecord], None] = lambda _action, _record: None,
    ) -> None:
        """`noted`: writes into the audit what is about to be done."""
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._noted = noted

    def create(self, record: KeyRecord) -> tuple[KeyRecord, Secret]:
        """A new key; the secret is kept nowhere and shown once."""
        now_ns = self._clock.wall_ns()
        fresh = structs.replace(record, id=f"key_{secrets.token_hex(8)}", created_ns=now_ns)
        kept, secret = made(fresh, self._entropy)
        self._noted("key.created", kept)
        self._store.put_key(kept)
        return kept, secret

    def list(self) -> list[KeyRecord]:
        return list(self._store.records())

    def rotate(self, name: str, overlap_s: float) -> tuple[KeyRecord, Secret]:
        """A new secret for a key (its id, the beginning of it, or its name); the old one goes on for `overlap_s`."""
        record, secret = rotated(self.find(name), self._clock.wall_ns(), round(overlap_s * NS_PER_S), self._entropy)
        self._noted("key.rotated", record)
        self._store.put_key(record)
        return record, secret

    def revoke(self, name: str) -> KeyRecord:
        """Refused from now on, everywhere within a second."""
        record = self.find(name)
        if not record.revoked_ns:
            self._noted("key.revoked", record)
            record = structs.replace(record, revoked_ns=self._clock.wall_ns(), before_hash="")
            self._store.put_key(record)
        return record

    def find(self, name: str, tenant: str = "") -> KeyRecord:
        """Among those of `tenant`, where one is given. Raises InvalidRequest where none or several answer to `name`."""
        records = [each for each in self._store.records() if not tenant or each.tenant == tenant]
        exact = [each for each in records if name in (each.id, each.name)]
        found = exact or [each for each in records if name and each.id.startswith(name)]
        if len(found) != 1:
            raise InvalidRequest(
                f"{len(found) or 'no'} keys are called {name!r}",
                param="key",
                hint="`interlock keys list` shows their ids.",
            )
        return found[0]
