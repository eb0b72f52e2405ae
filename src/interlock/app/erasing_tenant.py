"""Erasing a tenant: its data keys are destroyed, which makes whatever they sealed unreadable wherever a copy of it lies; what was kept in the clear before is deleted.

Above: cli. Below: erasing, sealing, the store. Rows, sums and times stay: the ledger is what bills are held against.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, structs

from interlock.config.workspace import Workspace
from interlock.core.batches import ENDED
from interlock.core.errors import InvalidRequest
from interlock.core.sealing import KINDS, why_unreadable
from interlock.core.store import Store
from interlock.core.time import Clock
from interlock.storage import Folder
from interlock.storage.archive_erase import forget_tenant

from .cells import forget_cells
from .erasing import (
    COPIES,
    after_all,
    batches_of,
    forget_shared,
    noted,
    recovered,
    rewriting,
    tasks_of,
    without_messages,
)
from .erasures import Erasure, Erasures
from .sealing import keyring_of
from .stores import open_store
from .waiting import FOLDER

PAGE = 500


class ErasedTenant(Struct, frozen=True):
    """What has gone, and what has not."""

    tenant: str
    keys: int
    """Data keys that were destroyed."""
    tasks: int
    """Tasks and calls of the tenant, whose rows stay."""
    unreadable: int
    """Of them: what was said in them is sealed with a key that is no more."""
    records: int
    """Whose content stood in the clear, from before there was `encryption`, and was deleted."""
    archived: int
    """The same in Parquet files."""
    answers: int
    sessions: int
    files: int
    open: tuple[str, ...]
    """Tasks that are not over and hold words in the clear; cancel or decide them, then erase again."""
    left: tuple[str, ...]
    """Tasks in which readable content was found afterwards: the proof is that there are none."""
    beside: tuple[str, ...]

    @property
    def whole(self) -> bool:
        return not self.open and not self.left


def erase_tenant(workspace: Workspace, clock: Clock, tenant: str) -> ErasedTenant:
    """Destroys, writes it into the audit, and reads everything again. May be run again.

    Raises:
        InvalidRequest: nothing is sealed here. StoreUnavailable: it was not done, or not to the end; run it again.
    """
    if workspace.settings.encryption is None:
        raise InvalidRequest(
            "this workspace has no `encryption`, so there are no keys to destroy",
            hint="Erase each user (`interlock erase USER`), or set `encryption` for what comes.",
        )
    recovered(workspace, clock)
    store = open_store(workspace)
    try:
        return erase_tenant_in(workspace, store, clock, tenant)
    finally:
        store.close()


def erase_tenant_in(workspace: Workspace, store: Store, clock: Clock, tenant: str) -> ErasedTenant:
    """The same in a store that is open."""
    noted(workspace, store, clock, f"everything of {tenant}", "keys")
    erasures, erasure = Erasures(workspace, clock), Erasure(after_all(clock, tasks_of(store, tenant)), tenant)
    erasures.note(erasure)
    keyring = keyring_of(workspace)
    keys = 0 if keyring is None else keyring.destroy(tenant, KINDS)
    erasures.note(structs.replace(erasure, keys=True))
    erased = looked_after(workspace, store, clock, erasure, keys)
    erasures.tell(store.texts, tenant)
    if erased.whole:
        erasures.done(store.texts, [erasure])
    return erased


def looked_after(workspace: Workspace, store: Store, clock: Clock, erasure: Erasure, keys: int = 0) -> ErasedTenant:
    """What is not sealed, and what is no use any more, goes too. Tasks that began after the erasure stay: a tenant that comes again is not forgotten again."""
    tenant, tasks = erasure.tenant, _tasks(store, erasure)
    without_messages(store, tasks.over)
    for batch in batches_of(store, tenant):
        if batch.status in ENDED:
            store.batches.drop_lines(batch.id)
    with rewriting(workspace, store) as folder:
        archived = forget_tenant(folder, tenant).records if folder is not None else 0
    answers = store.cache.clear(tenant) + store.similar.clear(tenant)
    answers += store.responses.forget(tenant, "*")
    store.similar.forget(tenant)
    for who, _ in store.texts.all(tenant, "views"):
        store.texts.drop(tenant, "views", who)
    sessions = store.sessions.forget_all(tenant, "")
    answers += forget_shared(workspace, tenant, "")
    files = _without_files(workspace, store, tenant, clock.wall_ns())
    files += forget_cells(workspace.root, tenant, (*tasks.over, *tasks.open))
    store.settle()
    return ErasedTenant(
        tenant=tenant,
        keys=keys,
        tasks=len(tasks.over) + len(tasks.open),
        unreadable=tasks.unreadable,
        records=tasks.records,
        archived=archived,
        answers=answers,
        sessions=sessions,
        files=files,
        open=tuple(tasks.open),
        left=tuple(task for task in tasks.over if _readable(store, task)),
        beside=tuple(_beside(workspace)),
    )


class _Tasks(Struct):
    """The tenant's tasks and calls that began before the erasure."""

    over: list[str] = []
    """Nothing of them can be read, or was left."""
    open: list[str] = []
    """Not over, and readable."""
    unreadable: int = 0
    records: int = 0


def _tasks(store: Store, erasure: Erasure) -> _Tasks:
    """Deletes what stands in the clear in those that are over."""
    found = _Tasks()
    for row in tasks_of(store, erasure.tenant):
        if row.created_ns > erasure.at_ns:
            continue
        readable = _readable(store, row.id)
        (found.open if readable and row.status != "finished" else found.over).append(row.id)
        found.unreadable += not readable
        if readable and row.status == "finished":
            found.records += store.scrub(row.id, "none", str)
    return found


def _readable(store: Store, task: str) -> bool:
    return any(record.content and not why_unreadable(record.content) for record in store.records(task))


def _without_files(workspace: Workspace, store: Store, tenant: str, now_ns: int) -> int:
    folder, gone = Folder(workspace.store.parent / FOLDER), 0
    while rows := store.files.list(tenant, "", "", PAGE, now_ns):
        for row in rows:
            folder.delete(row)
            gone += store.files.delete(tenant, row.id)
    return gone


def _beside(workspace: Workspace) -> Iterator[str]:
    """What somebody has to look after by hand."""
    yield COPIES
    yield "backups of the store from before there was `encryption`, where they are read as files: `interlock restore` erases in what it puts back"
    settings = workspace.settings
    if settings.pii is not None and settings.pii.key:
        yield "tokens that were made with `pii.key` before there was `encryption`: whoever holds that key can turn them back"
    if settings.telemetry.otlp is not None and settings.telemetry.otlp.content:
        yield f"what {settings.telemetry.otlp.endpoint} was sent with `content: true`"
