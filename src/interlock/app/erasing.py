"""Erasing what is known of a user: content of tasks and calls, conversations, answers that may hold it; and saying what is left.

Above: cli. Below: the store, the audit. Sums, times and the user's name stay: the ledger is what bills are held against.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from interlock.config.workspace import Workspace
from interlock.core.caller import Caller
from interlock.core.store import Store, TaskFilter, TaskRow
from interlock.core.time import Clock

from .auditing import Auditing, login
from .stores import open_store

PAGE = 500


class Erased(Struct, frozen=True):
    """What has gone, and what has not."""

    tenant: str
    user: str
    tasks: int
    """Tasks and calls of the user."""
    records: int
    """Whose content was deleted just now."""
    conversations: int
    """Turns that were kept for keys made for the user."""
    answers: int
    """Cached ones of the whole tenant: an answer does not say for whom it was made."""
    open: tuple[str, ...]
    """Tasks that are not over; their content is still needed. Cancel or decide them, then erase again."""
    left: tuple[str, ...]
    """Tasks in which content was found afterwards: the proof is that there are none."""
    beside: tuple[str, ...]
    """Places that this does not reach, as far as the workspace has them."""

    @property
    def whole(self) -> bool:
        return not self.open and not self.left


def erase(workspace: Workspace, clock: Clock, user: str, tenant: str = "") -> Erased:
    """Deletes, writes it into the audit, and reads everything again. May be run again.

    Raises:
        StoreUnavailable: it was not done, or not to the end; run it again.
    """
    store = open_store(workspace)
    try:
        return _erase(workspace, store, clock, user, tenant or workspace.settings.tenant)
    finally:
        store.close()


def _erase(workspace: Workspace, store: Store, clock: Clock, user: str, tenant: str) -> Erased:
    at_hand = Caller(workspace.settings.tenant, key_id=f"os:{login()}")
    Auditing(store.audit, clock).noted(at_hand, "admin", "data.erased", user, f"of {tenant}")
    records, known = 0, 0
    open_tasks: list[str] = []
    for row in _tasks(store, tenant, user):
        known += 1
        if row.status == "finished":
            records += store.scrub(row.id, "none", _nothing)
        else:
            open_tasks.append(row.id)
    keys = [each.id for each in store.keys.records() if each.tenant == tenant and each.user == user]
    conversations = sum(store.responses.forget(tenant, key) for key in keys)
    answers = store.cache.clear(tenant) + store.similar.clear(tenant)
    settled = store.settle()
    left = [row.id for row in _tasks(store, tenant, user) if row.status == "finished" and _holds_content(store, row.id)]
    journals = () if settled else ("the store's own journals, until it has recycled them",)
    beside = (*journals, *_archived(workspace, store), *_beside(workspace))
    return Erased(tenant, user, known, records, conversations, answers, tuple(open_tasks), tuple(left), beside)


def _tasks(store: Store, tenant: str, user: str) -> Iterator[TaskRow]:
    """All of the user's, newest first."""
    until_ns, before = 0, ""
    while page := store.tasks.list(
        TaskFilter(tenant=tenant, user=user, until_ns=until_ns, before_id=before, limit=PAGE)
    ):
        yield from page
        until_ns, before = page[-1].created_ns, page[-1].id


def _holds_content(store: Store, task: str) -> bool:
    return any(record.content is not None for record in store.records(task))


def _nothing(_text: str) -> str:
    return ""


def _archived(workspace: Workspace, store: Store) -> Iterator[str]:
    """Files that rows left for, with what was said in them."""
    files = [each for each in store.retention.archives() if each.file]
    if files:
        folder = workspace.root / workspace.settings.retention.folder
        yield f"{folder}: {len(files)} Parquet files of what has left the store, with its content unless that was forgotten before"


def _beside(workspace: Workspace) -> Iterator[str]:
    """What somebody has to look after by hand."""
    folder = workspace.store.parent
    yield "backups that were made before"
    yield "what a server that runs keeps in memory, until it starts again"
    if workspace.settings.redis.url:
        yield "the exact cache in Redis, until its entries expire"
    if workspace.settings.telemetry.otlp is not None and workspace.settings.telemetry.otlp.content:
        yield f"what {workspace.settings.telemetry.otlp.endpoint} was sent with `content: true`"
    for name, what in (("files", "files of batches and of code.run, which belong to a tenant and not to a user"),):
        if (folder / name).is_dir():
            yield f"{folder / name}: {what}"
