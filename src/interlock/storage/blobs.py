"""The folder of files: each tenant's in a folder of its own, written aside and then moved into place.

Above: `app` builds it and hands it to whoever asks for `core.batches.Blobs`. Below: the file system.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from interlock.core.batches import FileRow
from interlock.core.errors import StoreUnavailable, TooLarge

LONGEST_LINE = 32 * 1024 * 1024
PIECE = 65_536


class Folder:
    """`core.batches.Blobs` on a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def write(self, row: FileRow, pieces: AsyncIterator[bytes]) -> int:
        aside = await asyncio.to_thread(self._aside, row)
        size = 0
        try:
            file = await asyncio.to_thread(aside.open, "wb")
            try:
                async for piece in pieces:
                    size += len(piece)
                    await asyncio.to_thread(file.write, piece)
                await asyncio.to_thread(_onto_disk, file)
            finally:
                await asyncio.to_thread(file.close)
            await asyncio.to_thread(aside.replace, self.path(row))
        except OSError as fault:
            raise self._unwritable(row, fault) from fault
        finally:
            await asyncio.to_thread(aside.unlink, missing_ok=True)
        return size

    def write_now(self, row: FileRow, pieces: Iterator[bytes]) -> int:
        aside = self._aside(row)
        try:
            with aside.open("wb") as file:
                size = sum(file.write(piece) for piece in pieces)
                _onto_disk(file)
            aside.replace(self.path(row))
        except OSError as fault:
            raise self._unwritable(row, fault) from fault
        finally:
            aside.unlink(missing_ok=True)
        return size

    def path(self, row: FileRow) -> str:
        return str(self._home(row.tenant) / row.id)

    def pieces(self, row: FileRow) -> Iterator[bytes]:
        with Path(self.path(row)).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece

    def lines(self, row: FileRow, at: int = 0) -> Iterator[tuple[int, bytes]]:
        with Path(self.path(row)).open("rb") as file:
            file.seek(at)
            while line := file.readline(LONGEST_LINE + 1):
                if len(line) > LONGEST_LINE:
                    raise TooLarge(f"a line of {row.name} is longer than {LONGEST_LINE} bytes")
                if line.strip():
                    yield at, line.rstrip(b"\r\n")
                at += len(line)

    def read(self, row: FileRow, at: int, size: int) -> bytes:
        with Path(self.path(row)).open("rb") as file:
            file.seek(at)
            return file.read(size)

    def delete(self, row: FileRow) -> None:
        Path(self.path(row)).unlink(missing_ok=True)

    def _home(self, tenant: str) -> Path:
        """A folder name that no tenant's name can lead out of."""
        return self._root / hashlib.blake2b(tenant.encode(), digest_size=12).hexdigest()

    def _aside(self, row: FileRow) -> Path:
        home = self._home(row.tenant)
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as fault:
            raise self._unwritable(row, fault) from fault
        return home / f".{row.id}.{os.getpid()}"

    def _unwritable(self, row: FileRow, fault: OSError) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self._root}: could not write file {row.id}: {fault}",
            hint="See that there is room and that it may be written.",
        )


def _onto_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
