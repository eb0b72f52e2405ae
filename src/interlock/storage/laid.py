"""The write-ahead log of a SQLite file, laid out ahead of what is written.

Above: database. Below: nothing. A commit that makes the log's file longer waits for the file system's own journal as well, which is a third of its CPU
and of its time on ext4. SQLite writes its log over from the beginning once all of it has gone into the file; until then, which is the first sixteen
megabytes of each process that opens the file first, there are zeros in front of it. They are no frames, so a reader's log ends before them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

AT_ONCE = 1 << 20
"""Bytes: some fifty steps of a task, or a commit of five hundred calls."""
FROM = 1 << 17
"""Bytes from which on it is worth it: whoever opens the file for a look writes less."""
_ZEROS = bytes(1 << 16)


class Laid:
    """The log of one file, for the one connection that writes."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-wal")
        self._file: int | None = None
        self._size = 0
        """As it was left here. Another size is where what was written ends, or where somebody cut the file off."""

    def lay(self) -> None:
        """Inside a transaction, beside which nobody can write. A disk that is full is for the commit to find."""
        with suppress(OSError):
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            size = os.fstat(self._file).st_size
            if size == self._size or size < FROM:
                return
            try:
                for _ in range(AT_ONCE // len(_ZEROS)):  # appended: what is written already cannot be written over
                    os.write(self._file, _ZEROS)
            finally:
                self._size = os.fstat(self._file).st_size

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
