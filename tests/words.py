"""Every word that stands anywhere in a workspace: each byte of each file, and what compressed cells and columns hold."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.storage.parquet_kit import rows_of

APART = (".yaml", ".py", ".pyc", ".key")
"""Endings of files that a workspace's owner wrote, and of keys."""


def places_of(word: str, root: Path, address: str = "") -> list[str]:
    """Where `word` can be read without a key: files as they are, cells of databases and columns of Parquet files decompressed."""
    wanted = word.encode()
    found = [str(path.relative_to(root)) for path in _files(root) if wanted in path.read_bytes()]
    found += [place for place, said in _inside(root, address) if wanted in said]
    return found


def every_word(root: Path) -> bytes:
    """All of it in one piece."""
    return b"\n".join([*(path.read_bytes() for path in _files(root)), *(said for _, said in _inside(root, ""))])


def _files(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix not in APART]


def _inside(root: Path, address: str) -> Iterator[tuple[str, bytes]]:
    for path in _files(root):
        with path.open("rb") as file:
            head = file.read(16)
        if head.startswith(b"SQLite format 3"):
            yield from _cells(path)
        elif head.startswith(b"PAR1"):
            yield path.name, repr(rows_of(path)).encode()
    if address:
        with psycopg.connect(address) as db:
            tables = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
            for (table,) in tables:
                for row in db.execute(f'SELECT * FROM "{table}"'.encode()):
                    yield from ((table, each) for cell in row for each in _readings(cell))


def _cells(path: Path) -> Iterator[tuple[str, bytes]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.text_factory = bytes
        tables = [row[0].decode() for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in db.execute(f'SELECT * FROM "{table}"'):
                yield from ((f"{path.name}:{table}", each) for cell in row for each in _readings(cell))


def _readings(cell: Any) -> Iterator[bytes]:
    """A cell as it is, and decompressed from wherever a compressed text may begin in it."""
    said = cell.encode() if isinstance(cell, str) else bytes(cell) if isinstance(cell, bytes | memoryview) else b""
    yield said
    at = said.find(b"x")
    while at >= 0:
        with suppress(zlib.error):
            yield zlib.decompressobj().decompress(said[at:])
        at = said.find(b"x", at + 1)
