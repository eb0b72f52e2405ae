"""A SQLite file's schema, looked at and brought on by whoever looks after it. Above: app. Below: database, migrate."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path

from .database import Database, explained
from .migrate import bring, level_of
from .schema import Level, Phase, Script


def file_level(path: Path) -> Level:
    """How far it is; nothing is changed. Raises StoreUnavailable."""
    if not path.is_file():
        return Level()
    with explained(path, "see how far the schema is"):
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        try:
            return level_of(db)
        finally:
            db.close()


def brought(path: Path, phases: Collection[Phase]) -> list[Script]:
    """Runs what is pending of these phases, all or nothing; returns it. Raises StoreUnavailable."""
    done: list[Script] = []

    def now(db: sqlite3.Connection, name: str) -> None:
        done.extend(bring(db, name, phases))

    Database(path, busy_timeout_s=30.0, synchronous="full", prepared=now).close()
    return done
