"""Looking after a workspace's store: examined, copied, and put back.

Above: cli. Below: stores, storage, ledger. A PostgreSQL is copied by its own tools; docs/scaling.md says how.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from msgspec import Struct

from interlock.config.workspace import Workspace
from interlock.core.caller import Secret
from interlock.core.errors import InterlockError, InvalidRequest, StoreUnavailable
from interlock.core.store import Store
from interlock.core.time import NS_PER_S, SystemClock
from interlock.ledger.flight import Wreck, left_behind
from interlock.storage.backup import copied, put_back, sound

from .again import erase_again
from .erasing import Erased
from .erasing_tenant import ErasedTenant
from .erasures import Erasures
from .migrating import state
from .sealing import keyring_of
from .stores import name_of, open_store

LITTLE_ROOM = 1 << 30
"""Bytes free on the disk below which it is said."""
SLOW_COMMIT_MS = 50.0
LATE_S = 60.0
"""A task that is due for longer has nobody who works on it."""


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    about: str
    said: str
    ok: bool = True
    hint: str = ""
    warning: bool = False
    """Nothing is broken, and yet somebody should change it."""


def examined(workspace: Workspace) -> list[Finding]:
    """How the store stands. Reads, and writes one row of its own, to time a commit.

    Raises:
        StoreUnavailable: it cannot be opened at all.
    """
    store = open_store(workspace)
    clock = SystemClock()
    try:
        found = [Finding("store", name_of(workspace)), _schema(workspace), encrypted(workspace)]
        found.append(_tenants(workspace.database) if workspace.database else _sound(workspace.store))
        totals = store.totals()
        sums = (totals.events_nano_usd, totals.tasks_nano_usd, totals.rolls_nano_usd)
        exact = len(set(sums)) == 1
        hint = "" if exact else "The ledger is broken: take a backup and report it, before anything else."
        found.append(
            Finding("sums", f"events, tasks and hours say {sums[0]} nano-dollars" if exact else f"{sums}", exact, hint)
        )
        began_s = time.perf_counter()
        store.texts.put("", "schedule", "doctor", "", clock.wall_ns())
        took_ms = (time.perf_counter() - began_s) * 1000
        slow = (
            ""
            if took_ms < SLOW_COMMIT_MS
            else "Steps of tasks wait for commits: look at the disk, or at the way to the server."
        )
        found.append(Finding("commit", f"{took_ms:.1f} ms", not slow, slow))
        now_ns = clock.wall_ns()
        due = [row for row in store.tasks.runnable(now_ns, limit=10_000) if now_ns - row.updated_ns > LATE_S * NS_PER_S]
        idle = (
            f"Nobody works on them: start `interlock worker -w {workspace.root}` or `interlock serve`." if due else ""
        )
        found.append(Finding("tasks", f"{len(due)} are due for over a minute", not due, idle))
        found.append(Finding("messages", f"{store.outbox.waiting()} wait to be told"))
        found.append(_erased(workspace, store))
    finally:
        store.close()
    return [*found, *_local(workspace)]


def _schema(workspace: Workspace) -> Finding:
    now = state(workspace)
    left = f"{', '.join(now.post)} left for when no older process is" if now.post else "nothing left to do"
    return Finding("schema", f"{now.schema}, {left}", hint="`interlock migrate --post` runs it." if now.post else "")


def encrypted(workspace: Workspace) -> Finding:
    """What of the store is sealed, and whether its keys are at hand."""
    keyring = keyring_of(workspace)
    if keyring is None:
        hint = "Set `encryption`; docs/data-life.md says what that does." if _keeps(workspace) else ""
        return Finding("encryption", "texts are stored as they are", hint=hint)
    try:
        keyring.ready()
    except StoreUnavailable as away:
        return Finding("encryption", str(away), ok=False, hint=away.hint)
    found = keyring.status()
    living = [each for each in found.keys if not each.destroyed_ns]
    old = sum(each.master != found.masters[0] for each in living)
    of = len({each.tenant for each in living})
    said = f"texts are sealed, with {len(living)} keys of {of} tenants under {found.masters[0]}"
    if old:
        said, hint = f"{said}; {old} still under another master key", "Run `interlock vault rewrap`."
        return Finding("encryption", said, hint=hint)
    return Finding("encryption", said)


def _erased(workspace: Workspace, store: Store) -> Finding:
    """Whether the store has been through the list of erasures."""
    erasures = Erasures(workspace, SystemClock())
    left = erasures.pending(store.texts)
    said = f"{len(left)} of {erasures.path} were not done in this store" if left else "none is left to be done"
    return Finding("erasures", said, not left, "Run `interlock erase --again`." if left else "")


def _tenants(database: Secret) -> Finding:
    """Whether the database itself keeps tenants apart from each other."""
    from interlock.storage.postgres.roles import unbound

    if why := unbound(database.reveal()):
        said = f"the store's user is {why}: row-level security does not hold it"
        hint = "Sign in as a role that only owns the schema (docs/scaling.md): CREATE ROLE interlock LOGIN; ALTER DATABASE … OWNER TO interlock."
        return Finding("tenants", said, hint=hint, warning=True)
    return Finding("tenants", "kept apart by row-level security, which holds the store's user")


def _keeps(workspace: Workspace) -> bool:
    """Whether anything that was said is kept whole for longer than it is needed."""
    said = [workspace.settings.logging, *(agent.contract.logging for agent in workspace.agents.values())]
    return any(each.store_prompts == "full" for each in said)


def _sound(path: Path) -> Finding:
    try:
        sound(path, in_use=True)
    except InterlockError as error:
        return Finding("file", str(error), ok=False, hint=error.hint)
    return Finding("file", f"whole, {path.stat().st_size / 1e6:.1f} MB")


def _local(workspace: Workspace) -> list[Finding]:
    """What stands on this machine whatever the store is."""
    home = workspace.store.parent
    free = shutil.disk_usage(home).free
    little = (
        "Free some: a full disk stops the journal of calls under way, and so the calls." if free < LITTLE_ROOM else ""
    )
    wrecks = [wreck for path in left_behind(workspace.store) if (wreck := Wreck.find(path)) is not None]
    for each in wrecks:
        each.close(remove=False)
    left = (
        f"{len(wrecks)} journals of processes that died; the next start settles their calls"
        if wrecks
        else "nothing left behind"
    )
    return [Finding("disk", f"{free / 1e9:.1f} GB free", not little, little), Finding("journals", left)]


def backup(workspace: Workspace, to: Path) -> int:
    """Copies the store while it is in use; returns the copy's size in bytes.

    Raises:
        InvalidRequest: the store is no file. StoreUnavailable: it cannot be copied.
    """
    _file_only(workspace, "PGOPTIONS='-c interlock.tenant=*' pg_dump --enable-row-security -Fc -f FILE ADDRESS")
    return copied(workspace.store, to)


class Restored(Struct, frozen=True):
    """What putting a backup back has come to."""

    before: Path | None
    """Where the store of before is kept."""
    erased: tuple[Erased | ErasedTenant, ...]
    """What had been erased since the backup was made, and is again."""


def restore(workspace: Workspace, backup_file: Path) -> Restored:
    """Puts a backup in the store's place, and erases in it what was erased since.

    Raises:
        InvalidRequest: the store is no file, or a process works on it. StoreUnavailable: the backup is damaged and nothing was changed, or it stands there and `erase_again` is to be
            run.
    """
    _file_only(workspace, "pg_restore -d ADDRESS FILE")
    for path in left_behind(workspace.store):
        wreck = Wreck.find(path)
        if wreck is None:
            raise InvalidRequest(
                f"a process works on {workspace.store} ({path.name} is held)",
                hint="Stop it first; it would write into what is put back.",
            )
        wreck.close(remove=False)
    before = put_back(backup_file, workspace.store)
    return Restored(before, tuple(erase_again(workspace, SystemClock())))


def _file_only(workspace: Workspace, command: str) -> None:
    if workspace.database:
        raise InvalidRequest(
            f"{name_of(workspace)} is a PostgreSQL, which has tools of its own",
            hint=f"`{command}`; see docs/scaling.md.",
        )
