"""What a workspace's store keeps of its caches: looked at, cleared, and begun anew, with no gateway built.

Above: cli. Below: semantic, storage, config. A server that runs keeps what it has in memory until it starts again.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from interlock.config.load import load
from interlock.core.answers import ScopeState
from interlock.core.store import Store

from .semantic import joined, state_of
from .stores import open_store


class CacheDesk:
    """One workspace's stored caches. Raises StoreUnavailable from every method."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def scopes(self, tenant: str = "") -> list[ScopeState]:
        """How the scopes of the semantic cache stood when they were last written, of one tenant or of all."""
        from interlock.ondevice.rows import record_of  # numpy, which no other verb needs

        found = [each for each in self._store.similar.states() if tenant in ("", each.tenant)]
        return [state_of(joined(each.tenant, each.scope), record_of(each.state)) for each in found]

    def clear(self, tenant: str = "") -> int:
        """Forgets the answers of one tenant, or of all, exact and semantic; returns how many."""
        return self._store.cache.clear(tenant) + self._store.similar.clear(tenant)

    def restart(self, tenant: str = "") -> int:
        """Makes the scopes of one tenant, or of all, begin in the shadow again; returns how many."""
        return self._store.similar.forget(tenant)


@contextmanager
def open_caches(path: Path | None) -> Generator[CacheDesk]:
    """The caches of the workspace at `path`. Raises ConfigError, StoreUnavailable."""
    store = open_store(load(path or Path()))
    try:
        yield CacheDesk(store)
    finally:
        store.close()
