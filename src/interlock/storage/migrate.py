"""Bringing a SQLite file to the schema of this version, whoever comes first.

Above: database, app. Below: schema. The floor is the file's `user_version`; what is done ahead of it stands in `schema_ahead`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from .schema import Level, Phase, Script, pending, refuse_newer, scripts, too_old, wanted

_AHEAD = "CREATE TABLE IF NOT EXISTS schema_ahead (number INTEGER PRIMARY KEY)"


def prepare(db: sqlite3.Connection, name: str, *, by_itself: bool = True) -> None:
    """Makes a file fit to be worked on; several processes may do so at the same time. `by_itself`: as far as a start may change it.

    Raises:
        StoreUnavailable: a newer version has shut this one out, or it lacks something and may not be changed.
    """
    known, level = scripts(), level_of(db)
    if by_itself and (pending(known, level, wanted(level)) or level.floor > len(known)):
        bring(db, name, wanted(level))
        level = level_of(db)
    refuse_newer(name, level, known)
    if (fault := too_old(name, level, known)) is not None:
        raise fault


def bring(db: sqlite3.Connection, name: str, phases: Collection[Phase]) -> list[Script]:
    """Runs what is pending of these phases in one transaction; returns it. Raises StoreUnavailable, and SQLite's own errors."""
    known = scripts()
    db.execute("BEGIN IMMEDIATE")
    try:
        level = level_of(db)
        refuse_newer(name, level, known)
        done = pending(known, level, phases)
        for script in done:
            for statement in _split(script.sql):
                db.execute(statement)
            level = level.after(script, known)
        if done:
            _keep(db, level)
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    return done


def level_of(db: sqlite3.Connection) -> Level:
    """How far the file's schema is."""
    floor = int(db.execute("PRAGMA user_version").fetchone()[0])
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_ahead'").fetchone():
        return Level(floor)
    return Level(floor, frozenset(number for (number,) in db.execute("SELECT number FROM schema_ahead")))


def _keep(db: sqlite3.Connection, level: Level) -> None:
    db.execute(f"PRAGMA user_version = {level.floor}")
    db.execute(_AHEAD)
    db.execute("DELETE FROM schema_ahead")
    db.executemany("INSERT INTO schema_ahead VALUES (?)", [(number,) for number in level.ahead])


def _split(script: str) -> list[str]:
    """The script's statements; `executescript` would commit between them."""
    found: list[str] = []
    pending_lines = ""
    for line in script.splitlines(keepends=True):
        pending_lines += line
        if sqlite3.complete_statement(pending_lines):
            found.append(pending_lines)
            pending_lines = ""
    return found
