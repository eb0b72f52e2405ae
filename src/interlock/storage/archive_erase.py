"""Erasing in what has left the store: Parquet files are written anew without what was said in the rows that somebody wants gone.

Above: `app`, which holds off whoever rolls rows off meanwhile. Below: parquet, parquet_read. Rows stay, and so do their sums and the file's name; only their content goes. A new file is
whole and on the disk before it takes the place of the old one, whose blocks are overwritten as far as the file system lets us.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from interlock.core.errors import StoreUnavailable
from interlock.core.sealing import SEALED

from .parquet import Kind, write_all
from .parquet_read import Value, read_all

PATTERN = "ledger-*.parquet"
_INTEGERS = frozenset(("place", "seq", "at_ns", "started_ns", "duration_us", "cost_nano_usd", "simulated_nano_usd"))


class Rewritten(Struct, frozen=True):
    """What was done in a folder of archives."""

    files: int = 0
    """Written anew."""
    records: int = 0
    """Whose content went, or became another."""
    tasks: frozenset[str] = frozenset()
    """Of the user who was looked for, those given included."""


class _Who(Struct):
    tenant: str = ""
    user: str = ""


class _Said(Struct):
    caller: _Who | None = None


_event = msgspec.json.Decoder(_Said)
Row = dict[str, Value]
Contents = list[tuple[Row, str]]
"""Rows with what is to stand there in the place of their content."""


def forget_user(folder: Path, tenant: str, user: str, tasks: Collection[str] = ()) -> Rewritten:
    """Empties the content of every archived record of the user's tasks and calls; `tasks`: more of them, known from elsewhere."""
    theirs = set(tasks)

    def of_user(rows: list[Row]) -> list[Row]:
        theirs.update(str(row["task"]) for row in rows if row["tenant"] == tenant and _user(row) == user)
        return [row for row in rows if row["tenant"] == tenant and row["task"] in theirs]

    return structs.replace(_each(folder, _without(of_user)), tasks=frozenset(theirs))


def forget_tenant(folder: Path, tenant: str) -> Rewritten:
    """Empties what was archived of the tenant in the clear; what is sealed is left to its keys."""
    sealed = f'{{"{SEALED}":'

    def in_the_clear(rows: list[Row]) -> list[Row]:
        return [row for row in rows if row["tenant"] == tenant and not str(row["content"]).startswith(sealed)]

    return _each(folder, _without(in_the_clear))


def rewritten(folder: Path, change: Callable[[Row, str], str]) -> Rewritten:
    """Puts what `change` makes of each row's content in its place; it is told whose task the row is of, too."""

    def changed(rows: list[Row]) -> Contents:
        users = {row["task"]: user for row in rows if (user := _user(row))}
        with_content = [(row, users.get(row["task"], "")) for row in rows if row["content"]]
        return [(row, left) for row, user in with_content if (left := change(row, user)) != row["content"]]

    return _each(folder, changed)


def _without(chosen: Callable[[list[Row]], list[Row]]) -> Callable[[list[Row]], Contents]:
    return lambda rows: [(row, "") for row in chosen(rows) if row["content"]]


def _each(folder: Path, changed: Callable[[list[Row]], Contents]) -> Rewritten:
    files = records = 0
    for path in sorted(folder.glob(PATTERN)):
        names, values = read_all(path)
        rows: list[Row] = [dict(zip(names, each, strict=True)) for each in values]
        others = changed(rows)
        if others:
            for row, left in others:
                row["content"] = left
            _replace(path, names, [[row[name] for name in names] for row in rows])
            files, records = files + 1, records + len(others)
    return Rewritten(files, records)


def _user(row: Row) -> str:
    caller = _event.decode(str(row["event"])).caller
    return "" if caller is None else caller.user


def _replace(path: Path, names: list[str], rows: list[list[Value]]) -> None:
    columns: dict[str, Kind] = {name: "int64" if name in _INTEGERS else "text" for name in names}
    aside = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            write_all(file, columns, rows, "interlock")
            file.flush()
            os.fsync(file.fileno())
        with path.open("r+b") as old:
            aside.replace(path)
            _to_disk(path.parent)
            old.write(bytes(os.fstat(old.fileno()).st_size))
            old.flush()
            os.fsync(old.fileno())
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: could not be written anew without what was erased: {error}.",
            hint="See that there is room and that it may be written, then erase again.",
        ) from error


def _to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
