"""Whether anything was committed to a SQLite file since it was last asked. Above: sqlite. Below: `sqlite3`.

`PRAGMA data_version` (sqlite.org/pragma.html#pragma_data_version) of one connection that is kept for it and never writes: it is another number once any
other connection, of this process or of another one, has committed. It is read out of shared memory in some five microseconds and waits for nobody.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path


class Changes:
    """To be called by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Opens nothing yet."""
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    def __call__(self) -> int | None:
        """Another number than before where something may have been committed; `None` where that cannot be said now."""
        try:
            if self._connection is None:
                if self._closed:
                    return None
                self._connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:  # whoever then asks the store is told what is wrong
            self._end()
            return None

    def close(self) -> None:
        self._closed = True
        self._end()

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
