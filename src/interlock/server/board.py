"""Shared memory between the workers of one server and their supervisor: which configuration version each serves, and which reload is asked for.

Above: workers, reload. Below: nothing. The watcher writes the head, each worker its own row; whoever reads asks again until it finds what it waits for.
"""

from __future__ import annotations

import mmap
import struct

from msgspec import Struct

_HEAD = struct.Struct("<QQ")
_ROW = struct.Struct("<64s16sQ")
_ROW_BYTES = 128


class Row(Struct, frozen=True):
    """One worker."""

    round: int
    """The last round of reloads that it has taken part in; those that are asked for are numbered from 1 on."""
    version: str
    """What it serves."""
    refused: str
    """Why it stayed with that in that round: empty, or a word."""


class Board:
    """Rows for `workers` workers."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._page = mmap.mmap(-1, _ROW_BYTES * (workers + 1))

    @property
    def asked(self) -> int:
        """How many rounds have been asked for."""
        return int(_HEAD.unpack_from(self._page, 0)[0])

    @property
    def refused(self) -> int:
        """The last round that the watcher refused, since the files were at fault."""
        return int(_HEAD.unpack_from(self._page, 0)[1])

    def ask(self, *, refused: bool) -> int:
        """The watcher opens a round, and closes it at once where it is `refused`; returns its number."""
        number = self.asked + 1
        _HEAD.pack_into(self._page, 0, number, number if refused else self.refused)
        return number

    def tell(self, worker: int, row: Row) -> None:
        _ROW.pack_into(self._page, self._at(worker), row.version.encode(), row.refused.encode()[:16], row.round)

    def row(self, worker: int) -> Row:
        version, refused, number = _ROW.unpack_from(self._page, self._at(worker))
        return Row(number, version.rstrip(b"\0").decode(), refused.rstrip(b"\0").decode())

    def rows(self) -> list[Row]:
        return [self.row(worker) for worker in range(self.workers)]

    def _at(self, worker: int) -> int:
        return _ROW_BYTES * (worker + 1)
