"""Erasing what is known of a user: content of tasks and calls, conversations, answers that may hold it; and saying what is left.

Above: cli. Below: the store, the audit. Sums, times and the user's name stay: the ledger is what bills are held against.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from interlock.config.workspace import Workspace
from interlock.core.batches import ENDED
from interlock.core.caller import Caller
from interlock.core.errors import StoreUnavailable
from interlock.core.store import Store, TaskFilter, TaskRow
from interlock.core.time import Clock, SystemClock
from interlock.ledger import Recorder
from interlock.storage import Folder
from interlock.storage.archive_erase import forget_user

from .auditing import Auditing, login
from .cells import forget_cells
from .sessions import prefix_of
from .stores import open_store
from .waiting import FOLDER

PAGE = 500
FORGET_S = 30.0
"""For each round trip to Redis."""


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
    """Cached ones of the whole tenant, in the store and in Redis: an answer does not say for whom it was made."""
    sessions: int
    messages: int
    """That were still to be told, and signals that were dealt with."""
    files: int
    """Of the user's batches, and tasks whose code (`code.run`) and its files went."""
    archived: int
    """Records in Parquet files whose content was taken out."""
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
    recovered(workspace, clock)
    store = open_store(workspace)
    try:
        return _erase(workspace, store, clock, user, tenant or workspace.settings.tenant)
    finally:
        store.close()


def _erase(workspace: Workspace, store: Store, clock: Clock, user: str, tenant: str) -> Erased:
    at_hand = Caller(workspace.settings.tenant, key_id=f"os:{login()}")
    Auditing(store.audit, clock).noted(at_hand, "admin", "data.erased", user, f"of {tenant}")
    records, known = 0, list[str]()
    open_tasks: list[str] = []
    for row in tasks_of(store, tenant, user):
        known.append(row.id)
        if row.status == "finished":
            records += store.scrub(row.id, "none", _nothing)
        else:
            open_tasks.append(row.id)
    over = [each for each in known if each not in set(open_tasks)]
    messages = store.outbox.forget(over) + store.signals.forget(over)
    keys = [each.id for each in store.keys.records() if each.tenant == tenant and each.user == user]
    conversations = sum(store.responses.forget(tenant, key) for key in keys)
    answers = store.cache.clear(tenant) + store.similar.clear(tenant)
    sessions = store.sessions.forget_all(tenant, prefix_of(user))
    answers += forget_shared(workspace, tenant, prefix_of(user))
    files = _without_batches(workspace, store, tenant, user, clock.wall_ns())
    files += forget_cells(workspace.root, tenant, over)
    with rewriting(workspace, store) as folder:
        archived = forget_user(folder, tenant, user, over).records if folder is not None else 0
    settled = store.settle()
    left = [
        row.id for row in tasks_of(store, tenant, user) if row.status == "finished" and _holds_content(store, row.id)
    ]
    journals = () if settled else ("the store's own journals, until it has recycled them",)
    return Erased(
        tenant,
        user,
        len(known),
        records,
        conversations,
        answers,
        sessions,
        messages,
        files,
        archived,
        tuple(open_tasks),
        tuple(left),
        (*journals, *_beside(workspace)),
    )


def recovered(workspace: Workspace, clock: Clock) -> None:
    """Settles the calls that dead processes left in their flight journals, so that what was said in them is where it can be erased."""
    store = open_store(workspace)
    try:
        recorder = Recorder(store, clock, path=workspace.store)
        recorder.start()
        recorder.close_now()
    finally:
        store.close()


@contextmanager
def rewriting(workspace: Workspace, store: Store) -> Generator[Path | None]:
    """The folder of Parquet files, with nobody else at them meanwhile; `None` where there is none.

    Raises:
        StoreUnavailable: rows are rolled off at this moment.
    """
    folder = workspace.root / workspace.settings.retention.folder
    if not folder.is_dir():
        yield None
        return
    with store.retention.alone() as alone:
        if not alone:
            raise StoreUnavailable(
                f"{folder}: old rows are rolled off at this moment", hint="Erase again when that is over."
            )
        yield folder


def forget_shared(workspace: Workspace, tenant: str, prefix: str) -> int:
    """What replicas share in Redis: the tenant's answers, and its sessions whose ids begin so; how many.

    Raises:
        StoreUnavailable: it cannot be reached.
    """
    settings = workspace.settings
    if settings.caching.exact_cache.backend != "redis" and settings.sessions.backend != "redis":
        return 0
    from interlock.storage.redis_answers import RedisAnswers  # loaded where it is used
    from interlock.storage.redis_sessions import RedisSessions

    async def forget() -> int:
        url, prefix_ = settings.redis.url, settings.redis.prefix
        answers = RedisAnswers(url, SystemClock(), timeout_s=FORGET_S, prefix=prefix_)
        sessions = RedisSessions(url, ttl_s=1, max_bytes=1, timeout_s=FORGET_S, prefix=prefix_)
        try:
            return await answers.clear(tenant) + await sessions.forget_all(tenant, prefix)
        finally:
            await answers.close()
            await sessions.close()

    return asyncio.run(forget())


def _without_batches(workspace: Workspace, store: Store, tenant: str, user: str, now_ns: int) -> int:
    """The lines and files of batches that the user's keys made and that are over; how many files."""
    folder, gone, after = Folder(workspace.store.parent / FOLDER), 0, ""
    while rows := store.batches.list(tenant, "", after, PAGE):
        for batch in rows:
            if batch.caller.user != user or batch.status not in ENDED:
                continue
            store.batches.drop_lines(batch.id)
            for name in filter(None, (batch.input_file, batch.output_file, batch.error_file)):
                file = store.files.get(tenant, name, now_ns)
                if file is not None:
                    folder.delete(file)
                    gone += store.files.delete(tenant, name)
        after = rows[-1].id
    return gone


def tasks_of(store: Store, tenant: str, user: str = "") -> Iterator[TaskRow]:
    """All of the user's, or of the tenant's, newest first."""
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


def _beside(workspace: Workspace) -> Iterator[str]:
    """What somebody has to look after by hand."""
    yield "backups that were made before"
    yield "what a server that runs keeps in memory, until it starts again"
    if workspace.settings.telemetry.otlp is not None and workspace.settings.telemetry.otlp.content:
        yield f"what {workspace.settings.telemetry.otlp.endpoint} was sent with `content: true`"
    folder = workspace.store.parent / FOLDER
    if folder.is_dir() and any(folder.rglob("file*")):
        yield f"{folder}: files that a tenant's keys without a user uploaded"
