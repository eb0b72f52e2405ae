"""The folder of files, sealed: frames of 64 KiB, each with a seal of its own, so that one line of a large file is read without the rest.

Above: `app` hands it to whoever asks for `core.batches.Blobs`. Below: the plain folder, envelope. A frame's place is the file, its number and whether it is the last, so
frames cannot be moved, left out or cut off. A file that was written before stands as it is, and is read so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from interlock.core.batches import FileRow
from interlock.core.errors import TooLarge
from interlock.storage.blobs import LONGEST_LINE, Folder

from .envelope import VERSIONS, Envelope, overhead

FRAME = 65_536


class SealedFolder:
    """`core.batches.Blobs`. Raises KeyMissing, KeyDestroyed and SealBroken where a file cannot be opened."""

    def __init__(self, inner: Folder, envelope: Envelope) -> None:
        self._inner, self._envelope = inner, envelope

    async def write(self, row: FileRow, pieces: AsyncIterator[bytes]) -> int:
        frames = _Frames(self._envelope, row)

        async def sealed() -> AsyncIterator[bytes]:
            async for piece in pieces:
                for frame in frames.more(piece):
                    yield frame
            yield frames.last()

        await self._inner.write(row, sealed())
        return frames.size

    def write_now(self, row: FileRow, pieces: Iterator[bytes]) -> int:
        frames = _Frames(self._envelope, row)

        def sealed() -> Iterator[bytes]:
            for piece in pieces:
                yield from frames.more(piece)
            yield frames.last()

        self._inner.write_now(row, sealed())
        return frames.size

    def path(self, row: FileRow) -> str | None:
        return None if self._is_sealed(row) else self._inner.path(row)

    def pieces(self, row: FileRow) -> Iterator[bytes]:
        return self._plain(row, 0) if self._is_sealed(row) else self._inner.pieces(row)

    def lines(self, row: FileRow, at: int = 0) -> Iterator[tuple[int, bytes]]:
        if not self._is_sealed(row):
            yield from self._inner.lines(row, at)
            return
        pending = bytearray()
        for piece in self._plain(row, at):
            begun, *more = piece.split(b"\n")
            pending += begun
            for following in more:
                yield from _line(at, bytes(pending))
                at += len(pending) + 1
                pending = bytearray(following)
            if len(pending) > LONGEST_LINE:
                raise TooLarge(f"a line of {row.name} is longer than {LONGEST_LINE} bytes")
        yield from _line(at, bytes(pending))

    def read(self, row: FileRow, at: int, size: int) -> bytes:
        if not self._is_sealed(row):
            return self._inner.read(row, at, size)
        found = bytearray()
        for piece in self._plain(row, at):
            found += piece
            if len(found) >= size:
                break
        return bytes(found[:size])

    def delete(self, row: FileRow) -> None:
        self._inner.delete(row)

    def _is_sealed(self, row: FileRow) -> bool:
        with Path(self._inner.path(row)).open("rb") as file:
            return file.read(1) in VERSIONS

    def _plain(self, row: FileRow, at: int) -> Iterator[bytes]:
        """What stands in the file from `at` on, frame by frame."""
        number, skipped = divmod(at, FRAME)
        with Path(self._inner.path(row)).open("rb") as file:
            sealed = FRAME + overhead(file.read(1))
            total = -(-file.seek(0, 2) // sealed)
            file.seek(number * sealed)
            for each in range(number, total):
                place = _place(row, each, last=each == total - 1)
                yield self._envelope.open(place, file.read(sealed), row.tenant)[skipped:]
                skipped = 0


class _Frames:
    """Pieces of any size cut into sealed frames."""

    def __init__(self, envelope: Envelope, row: FileRow) -> None:
        self._envelope, self._row = envelope, row
        self._held = bytearray()
        self._number = 0
        self.size = 0
        """Bytes so far, as they were given."""

    def more(self, piece: bytes) -> Iterator[bytes]:
        self.size += len(piece)
        self._held += piece
        while len(self._held) > FRAME:  # the last frame may be a full one, and is sealed as the last
            yield self._frame(bytes(self._held[:FRAME]), last=False)
            del self._held[:FRAME]

    def last(self) -> bytes:
        return self._frame(bytes(self._held), last=True)

    def _frame(self, data: bytes, *, last: bool) -> bytes:
        place = _place(self._row, self._number, last=last)
        self._number += 1
        return self._envelope.seal(self._row.tenant, place, data, user=self._row.user)


def _place(row: FileRow, number: int, *, last: bool) -> str:
    return f"file/{row.id}/{number}/{'last' if last else 'more'}"


def _line(at: int, line: bytes) -> Iterator[tuple[int, bytes]]:
    if line.strip():
        yield at, line.rstrip(b"\r\n")
