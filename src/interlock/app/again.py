"""Erasing again what the list of erasures names and a store still holds: an older copy was put back, or an erasure was broken off.

Above: keeping, cli. Below: erasures, erasing, erasing_tenant. Keys that were destroyed stay destroyed; what was sealed with none, or with a key of the tenant, is deleted here.
"""

from __future__ import annotations

from interlock.config.workspace import Workspace
from interlock.core.store import Store
from interlock.core.time import Clock

from .erasing import Erased, erase_in, erased_from, noted, recovered
from .erasing_tenant import ErasedTenant, erase_tenant_in, looked_after
from .erasures import Erasure, Erasures
from .stores import open_store


def erase_again(workspace: Workspace, clock: Clock) -> list[Erased | ErasedTenant]:
    """What was done, for each erasure that this store had not been through; where one is not `whole`, it is named again next time.

    Raises:
        StoreUnavailable: it was not done, or not to the end; run it again.
    """
    erasures = Erasures(workspace, clock)
    if not erasures.all():
        return []
    recovered(workspace, clock)
    store = open_store(workspace)
    try:
        pending, done = erasures.pending(store.texts), list[Erased | ErasedTenant]()
        for each in pending:
            done.append(_again(workspace, store, clock, each))
            erasures.tell(store.texts, each.tenant)
        if all(each.whole for each in done):
            erasures.done(store.texts, pending)
        return done
    finally:
        store.close()


def _again(workspace: Workspace, store: Store, clock: Clock, erasure: Erasure) -> Erased | ErasedTenant:
    tenant, user = erasure.tenant, erasure.user
    if not erasure.keys:  # it waited for tasks to end, or was broken off before it got so far
        if user:
            return erase_in(workspace, store, clock, user, tenant)
        return erase_tenant_in(workspace, store, clock, tenant)
    noted(workspace, store, clock, user or f"everything of {tenant}", f"of {tenant}, again")
    if user:
        return erased_from(workspace, store, clock, erasure)
    return looked_after(workspace, store, clock, erasure)
