"""A copy of a SQLite store while it is being written, and putting one back.

Above: app. Below: `sqlite3`. The copy is what one reading transaction sees (`VACUUM INTO`, sqlite.org/lang_vacuum.html), so it is whole whatever is written meanwhile.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from interlock.core.errors import InvalidRequest, StoreUnavailable

from .database import explained


def copied(store: Path, to: Path) -> int:
    """Copies the store to `to`, which must not be there yet; returns its size in bytes once it is on the disk.

    Raises:
        InvalidRequest: there is no such store, or `to` is there. StoreUnavailable: it cannot be read or written.
    """
    if not store.is_file():
        raise InvalidRequest(f"{store}: there is no store yet", hint="Nothing has been recorded here.")
    if to.exists():
        raise InvalidRequest(f"{to} is there already", hint="Name a file that is not: a backup replaces nothing.")
    aside = to.with_name(f".{to.name}.part")
    aside.unlink(missing_ok=True)
    with explained(store, f"copy it to {to}"):
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True, isolation_level=None)
        try:
            connection.execute("VACUUM INTO ?", (str(aside),))
        finally:
            connection.close()
        sound(aside)
    _onto_disk(aside)
    aside.replace(to)
    return to.stat().st_size


def put_back(backup: Path, store: Path) -> Path | None:
    """Puts a backup in the place of the store, and what stood there aside; returns where that is now.

    Raises:
        InvalidRequest: there is no such backup. StoreUnavailable: it is damaged, or cannot be copied. Nothing was changed then.
    """
    if not backup.is_file():
        raise InvalidRequest(f"{backup}: there is no such backup")
    fresh = store.with_name(f".{store.name}.part")
    store.parent.mkdir(parents=True, exist_ok=True)
    with explained(backup, "read the backup"):
        sound(backup)
        _copy(backup, fresh)
    old = _free_name(store)
    for suffix in (
        "",
        "-wal",
        "-shm",
    ):  # the log of what stood there belongs to it and must not be read into what comes
        there = store.with_name(store.name + suffix)
        if there.exists():
            there.replace(old.with_name(old.name + suffix))
    fresh.replace(store)
    _onto_disk(store.parent)
    return old if old.exists() else None


def sound(path: Path, *, in_use: bool = False) -> None:
    """Raises StoreUnavailable where the file is damaged or no store. `in_use`: others may write to it meanwhile."""
    how = "mode=ro" if in_use else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"file:{path}?{how}", uri=True, isolation_level=None)
    try:
        said = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()
    if said != ["ok"] or not version:
        raise StoreUnavailable(
            f"{path} is {'damaged: ' + said[0] if said != ['ok'] else 'no store of Interlock'}.",
            hint="Take another copy.",
        )


def _free_name(store: Path) -> Path:
    number = 1
    while (name := store.with_name(f"{store.name}.before-restore-{number}")).exists():
        number += 1
    return name


def _copy(source: Path, to: Path) -> None:
    with source.open("rb") as whole, os.fdopen(os.open(to, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
        while piece := whole.read(1 << 20):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _onto_disk(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
