"""The schema of a workspace's store: how far it is, and bringing it on in two phases around an upgrade.

Above: cli. Below: storage, ledger. What a phase is stands in `storage/schema.py`, how an upgrade goes in docs/migrations.md.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from interlock.config.workspace import Workspace
from interlock.core.caller import Secret
from interlock.core.errors import InvalidRequest
from interlock.ledger.flight import Wreck, left_behind
from interlock.storage.schema import BEFORE_SERVING, Level, Phase, pending, refuse_newer, scripts
from interlock.storage.upgrade import brought, file_level

from .stores import name_of


class SchemaState(Struct, frozen=True):
    """How far a store's schema is."""

    store: str
    schema: int
    """Versions that know fewer scripts are refused."""
    knows: int
    """Scripts that this version has."""
    pre: tuple[str, ...]
    """Pending, and needed before this version can work on it."""
    post: tuple[str, ...]
    """Pending, to be run when no process of an older version is left."""


def state(workspace: Workspace) -> SchemaState:
    """Reads only. Raises StoreUnavailable: it cannot be reached, or is a newer version's."""
    database = "postgres" if workspace.database else ""
    known, level = scripts(database), _level(workspace)
    refuse_newer(name_of(workspace), level, known)
    before = tuple(each.name for each in pending(known, level, BEFORE_SERVING))
    after = tuple(each.name for each in pending(known, level, ("post",)))
    return SchemaState(name_of(workspace), level.floor, len(known), before, after)


def migrate(workspace: Workspace, phase: Phase, *, force: bool = False) -> list[str]:
    """Runs what is pending of `pre` or `post`; returns the names of the scripts. Nothing is run twice, whoever else does so at the same time.

    Raises:
        InvalidRequest: `post` while older processes are there (`force` does not ask), or before `pre`. StoreUnavailable.
    """
    now = state(workspace)
    if phase == "post" and now.pre:
        raise InvalidRequest(
            f"{now.store} still lacks {', '.join(now.pre)}", hint="Run `interlock migrate --pre` first, then upgrade."
        )
    phases: Collection[Phase] = ("post",) if phase == "post" else BEFORE_SERVING
    asked = phase == "post" and not force and bool(now.post)
    address = workspace.database
    return _on_sqlite(workspace, phases, asked) if address is None else _on_postgres(address, phases, asked)


def _on_postgres(address: Secret, phases: Collection[Phase], ask_who_is_there: bool) -> list[str]:
    from interlock.storage.postgres.database import Database
    from interlock.storage.postgres.migrate import bring, connected, level_of, refuse_while_used

    database = Database(address.reveal(), busy_timeout_s=5.0)
    try:
        if ask_who_is_there:
            left = pending(scripts("postgres"), level_of(database), phases)
            refuse_while_used(database.name, connected(database), left)
        return [each.name for each in bring(database, phases)]
    finally:
        database.close()


def _on_sqlite(workspace: Workspace, phases: Collection[Phase], ask_who_is_there: bool) -> list[str]:
    path = workspace.store
    path.parent.mkdir(parents=True, exist_ok=True)
    if ask_who_is_there and (held := at_work(workspace)):
        raise InvalidRequest(
            f"processes work on {path} ({', '.join(held)}), and which version they are cannot be seen in a file",
            hint="Stop them first; `--force` goes on all the same: right where all of them are of this version.",
        )
    return [each.name for each in brought(path, phases)]


def at_work(workspace: Workspace) -> list[str]:
    """The journals of processes that have the store open on this machine."""
    held: list[str] = []
    for path in left_behind(workspace.store):
        wreck = Wreck.find(path)
        if wreck is None:
            held.append(path.name)
        else:
            wreck.close(remove=False)
    return held


def _level(workspace: Workspace) -> Level:
    if workspace.database:
        from interlock.storage.postgres.database import Database
        from interlock.storage.postgres.migrate import level_of

        database = Database(workspace.database.reveal(), busy_timeout_s=5.0)
        try:
            return level_of(database)
        finally:
            database.close()
    return file_level(workspace.store)
