"""Which store a workspace has: a SQLite file of its own, or a PostgreSQL that many processes share.

Above: compose, and every command that looks into a store. Below: config, storage.
"""

from __future__ import annotations

from collections.abc import Callable

from interlock.config.workspace import Workspace
from interlock.core.store import Store
from interlock.core.time import Clock, SystemClock
from interlock.storage import SqliteStore

from .sealing import sealed_store


def open_store(workspace: Workspace) -> Store:
    """The workspace's store, its schema brought as far as this version needs where a start may do so.

    Raises:
        StoreUnavailable: it cannot be opened, or its schema is too new or too old.
    """
    return sealed_store(workspace, open_plain(workspace))


def open_plain(workspace: Workspace) -> Store:
    """The same with content as it stands there, sealed or not; for who seals what stands there. Raises StoreUnavailable."""
    by_itself = workspace.settings.migrate_at_start
    if not workspace.database:
        return SqliteStore.open(workspace.store, by_itself=by_itself)
    from interlock.storage.postgres import PostgresStore  # psycopg, which only those who share a store need

    workspace.store.parent.mkdir(parents=True, exist_ok=True)  # what this machine keeps of its own
    return PostgresStore.open(workspace.database.reveal(), by_itself=by_itself)


def name_of(workspace: Workspace) -> str:
    """The store as people may see it: without a password."""
    if not workspace.database:
        return str(workspace.store)
    from interlock.storage.postgres import shown

    return shown(workspace.database.reveal())


def leases_of(store: Store, clock: Clock) -> Callable[[], int]:
    """What leases go by: the store's own clock, or a test's, which moves leases too."""
    return store.lease_clock() if isinstance(clock, SystemClock) else clock.wall_ns
