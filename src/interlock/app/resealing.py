"""`interlock vault seal`: what was written before there was `encryption`, or before users had keys, is sealed as it would be today; a bounded portion at a time, gone on with where it stopped.

Above: cli. Below: sealing, erasing, storage.sealing.reseal. Servers may run meanwhile: what they write is sealed already. What ends by itself within days (sessions, turns, messages) is left to do so.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from interlock.config.workspace import Workspace
from interlock.core.caller import Caller
from interlock.core.errors import InvalidRequest
from interlock.core.sealing import KeyDestroyed, SealBroken
from interlock.core.store import Store, TaskFilter, TaskRow
from interlock.core.time import Clock
from interlock.storage import Folder
from interlock.storage.sealing.reseal import Reseal

from .auditing import Auditing, login
from .erasing import files_of, recovered, rewriting
from .sealing import envelope_of, known
from .stores import open_plain
from .waiting import FOLDER

PAGE = 100
MARK = "sealing"
"""Of the store's texts: where it stopped, while it is not through."""


class Resealed(Struct, frozen=True):
    """What one portion has come to."""

    tasks: int
    """That were looked at, the newest first."""
    records: int
    """Whose content was sealed anew."""
    archived: int
    """The same in Parquet files."""
    files: int
    answers: int
    """Cached ones, which were deleted: they come again, sealed."""
    done: bool
    """Nothing is left; else the next portion goes on from here."""


class _Place(Struct, frozen=True):
    until_ns: int = 0
    before_id: str = ""


def seal_texts(workspace: Workspace, clock: Clock, most: int) -> Resealed:
    """Goes on sealing, `most` tasks at most; files and archives come last, with the portion that ends it.

    Raises:
        InvalidRequest: the workspace has no `encryption`. KeyMissing. StoreUnavailable: run it again.
    """
    envelope = envelope_of(workspace)
    if envelope is None:
        raise InvalidRequest("this workspace has no `encryption`", hint="docs/data-life.md says what to write.")
    recovered(workspace, clock)
    store = open_plain(workspace)
    try:
        known(workspace, store)
        at_hand = Caller(workspace.settings.tenant, key_id=f"os:{login()}")
        Auditing(store.audit, clock).noted(at_hand, "admin", "vault.sealed", "", f"{most} tasks at most")
        reseal, said = Reseal(store, envelope), store.texts.get("", "keyring", MARK)
        answers = 0 if said else store.cache.clear() + store.similar.clear()
        place = msgspec.json.decode(said, type=_Place) if said else _Place()
        tasks = records = 0
        while page := _page(store, place, min(PAGE, most - tasks)):
            records += reseal.tasks(page)
            tasks, place = tasks + len(page), _Place(page[-1].created_ns, page[-1].id)
            store.texts.put("", "keyring", MARK, msgspec.json.encode(place).decode(), clock.wall_ns())
        if tasks == most and _page(store, place, 1):
            return Resealed(tasks, records, 0, 0, answers, done=False)
        archived, files = _beside(workspace, store, reseal, clock.wall_ns())
        store.texts.drop("", "keyring", MARK)
        store.settle()
        return Resealed(tasks, records, archived, files, answers, done=True)
    finally:
        store.close()


def _page(store: Store, place: _Place, limit: int) -> list[TaskRow]:
    which = TaskFilter(until_ns=place.until_ns, before_id=place.before_id, limit=limit)
    return store.tasks.list(which) if limit > 0 else []


def _beside(workspace: Workspace, store: Store, reseal: Reseal, now_ns: int) -> tuple[int, int]:
    """Parquet files, then files of batches; how many rows and files."""
    with rewriting(workspace, store) as folder:
        archived = reseal.archives(folder).records if folder is not None else 0
    plain, files = Folder(workspace.store.parent / FOLDER), 0
    for tenant in _tenants(workspace, store):
        for row in files_of(store, tenant, now_ns):
            try:
                files += reseal.file(plain, row)
            except (
                KeyDestroyed,
                SealBroken,
            ):  # of somebody who was erased, or changed by somebody else: nobody can open it
                continue
    return archived, files


def _tenants(workspace: Workspace, store: Store) -> set[str]:
    return {workspace.settings.tenant} | {each.tenant for each in store.keys.records()}
