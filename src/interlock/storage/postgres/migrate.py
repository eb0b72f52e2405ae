"""Bringing a database to the schema of this version, whoever comes first, while processes of this version and of the one before work on it.

Above: this folder's store, app. Below: database, tail, `storage/schema.py`. The floor stands in `schema_version`, what is done ahead of it in
`schema_ahead`. Each script is a transaction of its own, and gives way: it waits for a lock for a moment only, since whoever comes after it waits
behind it, and is then tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable

from msgspec import Struct

from interlock.core.errors import InvalidRequest, StoreUnavailable
from interlock.storage.schema import Level, Phase, Script, pending, refuse_newer, scripts, too_old, wanted

from .database import Database, Lent
from .tail import enter_era

LOCK_WAIT_MS = 2_000
"""How long a script waits for a table that somebody reads or writes; calls that come meanwhile wait with it."""
TRIES = 40
PAUSE_S = 0.5
SCRIPT_MS = 3_600_000
"""Longest single statement of a script."""
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' interlock schema', 0))"
_THERE = "SELECT to_regclass('schema_version') IS NOT NULL, to_regclass('schema_ahead') IS NOT NULL"
_TABLE = "CREATE TABLE schema_version (version INTEGER NOT NULL)"
_AHEAD = "CREATE TABLE schema_ahead (number INTEGER PRIMARY KEY, done TIMESTAMPTZ NOT NULL DEFAULT now())"
_IN_THE_WAY = ("55P03", "40P01")
"""Whatever else is going on had a table for too long, or waited for one of ours while we waited for one of its (lock_not_available, deadlock_detected)."""
_CONNECTED = """
SELECT application_name, coalesce(host(client_addr), 'this machine'), count(*)
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'interlock %'
GROUP BY 1, 2 ORDER BY 1, 2
"""


class Connected(Struct, frozen=True):
    """Processes that are connected to the database, as they call themselves."""

    knows: int
    """How many scripts their version knows; zero where they do not say so, as versions before there were phases."""
    where: str
    connections: int


def migrate(database: Database, *, by_itself: bool = True) -> int:
    """Makes the schema fit to be worked on; returns the era in which rows are written now (see `tail`). Several processes may do so at the same
    time. `by_itself`: as far as a start may change it.

    Raises:
        StoreUnavailable: the server is away or refuses, a newer version has shut this one out, or it lacks something that may not be changed here.
    """
    known = scripts("postgres")
    level = level_of(database)
    refuse_newer(database.name, level, known)
    if by_itself and pending(known, level, wanted(level)):
        try:
            bring(database, wanted(level))
        except StoreUnavailable as error:
            fault = too_old(database.name, level, known) if "42501" in str(error) else None  # insufficient_privilege
            raise fault or error from error
        level = level_of(database)
    if (fault := too_old(database.name, level, known)) is not None:
        raise fault
    with database.transaction("see in which system it is") as db:
        _alone(db)
        return enter_era(db, database.sql("eras"))


def bring(
    database: Database, phases: Collection[Phase], *, pause: Callable[[float], object] | None = None
) -> list[Script]:
    """Runs what is pending of these phases, one transaction each; returns it.

    Raises:
        StoreUnavailable: the server is away, or a table was in use for as long as was tried. What was run before stays, and is not run again.
    """
    wait = pause or threading.Event().wait
    done: list[Script] = []
    left = TRIES
    while True:
        try:
            script = _next(database, phases)
        except StoreUnavailable as error:
            left -= 1
            if not left or not any(state in str(error) for state in _IN_THE_WAY):
                raise
            wait(PAUSE_S)
            continue
        if script is None:
            return done
        done.append(script)
        left = TRIES


def _next(database: Database, phases: Collection[Phase]) -> Script | None:
    known = scripts("postgres")
    with database.transaction("bring the schema up to date") as db:
        _alone(db)
        level = _level(db)
        refuse_newer(database.name, level, known)
        script = next(iter(pending(known, level, phases)), None)
        if script is None:
            return None
        db.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
        db.execute(f"SET LOCAL statement_timeout = {SCRIPT_MS}")
        db.execute(script.sql)
        _keep(db, level.after(script, known))
        return script


def _alone(db: Lent) -> None:
    db.execute("SET LOCAL lock_timeout = '60s'")
    db.execute(_ALONE)


def level_of(database: Database) -> Level:
    """How far the schema is, seen at one instant: somebody else may be bringing it on. Raises StoreUnavailable."""
    with database.snapshot("see how far the schema is") as db:
        return _level(db)


def _level(db: Lent) -> Level:
    versioned, ahead = db.execute(_THERE).fetchone()
    floor = int(db.execute("SELECT max(version) FROM schema_version").fetchone()[0] or 0) if versioned else 0
    numbers = db.execute("SELECT number FROM schema_ahead").fetchall() if ahead else []
    return Level(floor, frozenset(int(number) for (number,) in numbers))


def _keep(db: Lent, level: Level) -> None:
    versioned, ahead = db.execute(_THERE).fetchone()
    if not versioned:
        db.execute(_TABLE)
    db.execute("DELETE FROM schema_version")
    db.execute("INSERT INTO schema_version VALUES (%s)", (level.floor,))
    if not ahead:
        db.execute(_AHEAD)
    db.execute("DELETE FROM schema_ahead")
    db.executemany("INSERT INTO schema_ahead VALUES (%s)", [(number,) for number in sorted(level.ahead)])


def connected(database: Database) -> list[Connected]:
    """Who of Interlock is connected to the database, whatever its schema there. Raises StoreUnavailable."""
    with database.reading("see who is connected") as db:
        rows = db.execute(_CONNECTED).fetchall()
    return [Connected(_knows(str(name)), str(where), int(count)) for name, where, count in rows]


def _knows(application: str) -> int:
    last = application.rpartition(" ")[2]
    return int(last) if last.isdecimal() else 0


def refuse_while_used(name: str, who: Iterable[Connected], scripts_left: Collection[Script]) -> None:
    """Raises InvalidRequest where processes are connected whose version these scripts would shut out."""
    newest = max((each.number for each in scripts_left), default=0)
    older = [each for each in who if each.knows < newest]
    if older:
        count = sum(each.connections for each in older)
        where = ", ".join(sorted({each.where for each in older}))
        raise InvalidRequest(
            f"{name}: {count} connections of an older Interlock are open (from {where})",
            hint="Stop or upgrade those processes first; `--force` goes on all the same, and breaks what they do.",
        )
