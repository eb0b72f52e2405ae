"""Erasing what is known of a user: the key under which it is sealed, content of tasks and calls, conversations, answers that may hold it; and saying what is left.

Above: cli, again. Below: sealing, erasures, the store, the audit. Sums, times and the user's name stay: the ledger is what bills are held against.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, structs

from interlock.config.workspace import Workspace
from interlock.core.batches import ENDED, BatchRow, FileRow
from interlock.core.caller import Caller
from interlock.core.errors import StoreUnavailable
from interlock.core.events import Record
from interlock.core.sealing import KeyDestroyed
from interlock.core.sessions import prefix_of
from interlock.core.store import Store, TaskFilter, TaskRow
from interlock.core.time import Clock, SystemClock
from interlock.ledger import Recorder
from interlock.storage import Folder
from interlock.storage.archive_erase import Rewritten, forget_user

from .auditing import Auditing, login
from .cells import forget_cells
from .erasures import Erasure, Erasures
from .sealing import envelope_of, keyring_of
from .stores import open_store
from .views import forget_views
from .waiting import FOLDER

PAGE = 500
AT_ONCE = 100
"""Tasks whose content goes in one transaction."""
COPIES = "copies of the keyring that were made before: delete them, or run `interlock vault rewrap` and destroy the old master key"
FORGET_S = 30.0
"""For each round trip to Redis."""


class Erased(Struct, frozen=True):
    """What has gone, and what has not."""

    tenant: str
    user: str
    tasks: int
    """Tasks and calls of the user."""
    keys: int
    """Of the user that were destroyed: what they sealed in any copy of the store opens for nobody. Zero without `encryption`, and while `open` names tasks."""
    records: int
    """Whose content was deleted just now."""
    conversations: int
    """Turns that were kept for keys made for the user, or on the user's behalf."""
    answers: int
    """Cached ones of the whole tenant, in the store and in Redis: an answer does not say for whom it was made."""
    sessions: int
    messages: int
    """That were still to be told, and signals that were dealt with."""
    files: int
    """Of the user and of the user's batches, and tasks whose code (`code.run`) and its files went."""
    views: int
    """Of lists, that the user kept or that name the user."""
    archived: int
    """Records in Parquet files whose content was taken out."""
    open: tuple[str, ...]
    """Tasks that are not over; their content, and so the key, is still needed. Cancel or decide them, then erase again."""
    left: tuple[str, ...]
    """Tasks in which content was found afterwards: the proof is that there are none."""
    beside: tuple[str, ...]
    """Places that this does not reach, as far as the workspace has them."""

    @property
    def whole(self) -> bool:
        return not self.open and not self.left


def erase(workspace: Workspace, clock: Clock, user: str, tenant: str = "") -> Erased:
    """Deletes, destroys the user's key, writes it into the audit and the list of erasures, and reads everything again. May be run again.

    Raises:
        KeyMissing: no master key is at hand. StoreUnavailable: it was not done, or not to the end; run it again.
    """
    recovered(workspace, clock)
    store = open_store(workspace)
    try:
        return erase_in(workspace, store, clock, user, tenant or workspace.settings.tenant)
    finally:
        store.close()


def erase_in(workspace: Workspace, store: Store, clock: Clock, user: str, tenant: str) -> Erased:
    """The same in a store that is open."""
    noted(workspace, store, clock, user, f"of {tenant}")
    theirs = list(tasks_of(store, tenant, user))
    over = all(row.status == "finished" for row in theirs)
    erasures, erasure = Erasures(workspace, clock), Erasure(after_all(clock, theirs), tenant, user)
    erasures.note(erasure)
    keys = 0
    if over:
        keys = _without_keys(workspace, tenant, user)
        erasures.note(structs.replace(erasure, keys=True))
    erased = erased_from(workspace, store, clock, erasure, keys)
    erasures.tell(store.texts, tenant)
    if erased.whole:
        erasures.done(store.texts, [erasure])
    return erased


def after_all(clock: Clock, rows: Iterable[TaskRow]) -> int:
    """The moment up to which tasks are erased: now, or when the last of these began where another machine's clock is ahead."""
    return max(clock.wall_ns(), max((row.created_ns for row in rows), default=0))


def noted(workspace: Workspace, store: Store, clock: Clock, target: str, detail: str) -> None:
    """That somebody at the command line erases, in the audit."""
    at_hand = Caller(workspace.settings.tenant, key_id=f"os:{login()}")
    Auditing(store.audit, clock).noted(at_hand, "admin", "data.erased", target, detail)


def _without_keys(workspace: Workspace, tenant: str, user: str) -> int:
    """Destroys the user's key, and the one of the tenant's cached answers; how many of the user there were. A text that was sealed just before has to stay shut for a fresh reader."""
    keyring, envelope = keyring_of(workspace), envelope_of(workspace)
    if keyring is None or envelope is None:
        return 0
    probe = envelope.seal(tenant, "erasure", user.encode(), user=user)
    gone = keyring.forget(tenant, [user])
    keyring.destroy(tenant, ("answers",))
    reader = envelope_of(workspace)
    try:
        if reader is not None:
            reader.open("erasure", probe, tenant)
    except KeyDestroyed:
        return gone
    raise StoreUnavailable(
        f"{keyring.path}: the key of {user} still opens what it sealed", hint="Report it; nothing else was erased."
    )


def erased_from(workspace: Workspace, store: Store, clock: Clock, erasure: Erasure, keys: int = 0) -> Erased:
    """What the store, files and caches hold of the user, deleted; keys are left alone. Tasks that began after the erasure stay: who comes again is not forgotten again."""
    tenant, user = erasure.tenant, erasure.user
    theirs = [row for row in tasks_of(store, tenant, user) if row.created_ns <= erasure.at_ns]
    over = [row.id for row in theirs if row.status == "finished"]
    records = sum(store.rewrite(over[at : at + AT_ONCE], _nothing) for at in range(0, len(over), AT_ONCE))
    with rewriting(workspace, store) as folder:
        archived = Rewritten() if folder is None else forget_user(folder, tenant, user, over)
    tasks = sorted(archived.tasks | set(over))
    messages = without_messages(store, tasks)
    made_for = [each.id for each in store.keys.records() if each.tenant == tenant and each.user == user]
    conversations = sum(store.responses.forget(tenant, key) for key in made_for)
    conversations += store.responses.forget_user(tenant, user)
    answers = store.cache.clear(tenant) + store.similar.clear(tenant)
    sessions = store.sessions.forget_all(tenant, prefix_of(user))
    answers += forget_shared(workspace, tenant, prefix_of(user))
    files = _without_files(workspace, store, tenant, user, clock.wall_ns())
    files += forget_cells(workspace.root, tenant, tasks)
    views = forget_views(store.texts, tenant, user, made_for, clock.wall_ns())
    settled = store.settle()
    left = [task for task in over if _holds_content(store, task)]
    return Erased(
        tenant=tenant,
        user=user,
        tasks=len(theirs),
        keys=keys,
        records=records,
        conversations=conversations,
        answers=answers,
        sessions=sessions,
        messages=messages,
        files=files,
        views=views,
        archived=archived.records,
        open=tuple(row.id for row in theirs if row.status != "finished"),
        left=tuple(left),
        beside=tuple(_beside(workspace, store, tenant, settled=settled, now_ns=clock.wall_ns())),
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


def without_messages(store: Store, tasks: Sequence[str]) -> int:
    """What is still to be told of tasks that are over, and what came in for them; how many."""
    gone = 0
    for at in range(0, len(tasks), AT_ONCE):
        some = tasks[at : at + AT_ONCE]
        for task in store.signals.called(some):  # what still came in after their end is needed no more
            store.signals.consume(task, [each.id for each in store.signals.pending(task)])
        gone += store.outbox.forget(some) + store.signals.forget(some)
    return gone


def _without_files(workspace: Workspace, store: Store, tenant: str, user: str, now_ns: int) -> int:
    """What the user uploaded, and the lines and files of batches that the user's keys made and that are over; how many files."""
    folder, gone = Folder(workspace.store.parent / FOLDER), 0
    names = [row.id for row in files_of(store, tenant, now_ns) if row.user == user]
    busy = set[str]()
    for batch in batches_of(store, tenant):
        if batch.caller.user != user:
            continue
        used = {batch.input_file, batch.output_file, batch.error_file} - {""}
        if batch.status in ENDED:
            store.batches.drop_lines(batch.id)
            names += used
        else:
            busy |= used
    for name in set(names) - busy:
        file = store.files.get(tenant, name, now_ns)
        if file is not None:
            folder.delete(file)
            gone += store.files.delete(tenant, name)
    return gone


def batches_of(store: Store, tenant: str) -> Iterator[BatchRow]:
    """All of the tenant's, newest first."""
    after = ""
    while rows := store.batches.list(tenant, "", after, PAGE):
        yield from rows
        after = rows[-1].id


def files_of(store: Store, tenant: str, now_ns: int) -> Iterator[FileRow]:
    """All of the tenant's, newest first."""
    after = ""
    while rows := store.files.list(tenant, "", after, PAGE, now_ns):
        yield from rows
        after = rows[-1].id


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


def _nothing(_record: Record, _content: bytes) -> bytes:
    return b"null"


def _beside(workspace: Workspace, store: Store, tenant: str, *, settled: bool, now_ns: int) -> Iterator[str]:
    """What somebody has to look after by hand."""
    settings = workspace.settings
    if not settled:
        yield "the store's own journals, until it has recycled them"
    if settings.encryption is None:
        yield "backups that were made before, where they are read as files: `interlock restore` erases in what it puts back"
    else:
        yield COPIES
        yield "what backups hold that was not sealed with the user's key when they were made: `interlock restore` erases it in what it puts back"
    if settings.telemetry.otlp is not None and settings.telemetry.otlp.content:
        yield f"what {settings.telemetry.otlp.endpoint} was sent with `content: true`"
    nobodys = sum(1 for row in files_of(store, tenant, now_ns) if not row.user)
    if nobodys:
        yield f"{nobodys} files under {workspace.store.parent / FOLDER} that keys without a user uploaded: nobody knows whose they are"
