"""What the writing connection of a SQLite file knows without asking: as long as nobody else commits, nobody else can have changed it.

Above: database holds one, writes and said ask it. Below: statements. Places are taken from the file some hundred at a time, since a row that every
commit counts up is a page that every commit writes; what is left of them when another process has committed is given up, so that places are in the order of commits.
"""

from __future__ import annotations

import sqlite3

from .statements import statements


class Ahead:
    """Belongs to one connection, and to whoever is inside its transaction."""

    def __init__(self) -> None:
        self._seen: int | None = None
        """The file's version, as the connection last saw it."""
        self._alone = False
        """Nobody else has committed since the transaction before."""
        self._next = self._end = 0
        self._secret = b""

    def look(self, db: sqlite3.Connection) -> None:
        """Inside a transaction, before anything else is asked here: forgets what others may have changed."""
        seen: int = db.execute("PRAGMA data_version").fetchone()[0]
        self._alone = seen == self._seen
        if not self._alone:
            self.forget()
            self._seen = seen

    def forget(self) -> None:
        """Something was undone, or others have written."""
        self._seen = None
        self._alone = False
        self._next = self._end = 0
        self._secret = b""

    def reserve(self, db: sqlite3.Connection, places: int) -> int:
        """The first of so many places for what is written now, beyond all that hold something."""
        if self._next + places > self._end:
            asked = {"places": places, "may": int(self._alone)}
            self._end, most = db.execute(statements("events")["reserve"], asked).fetchone()
            self._next = self._end - max(places, most if self._alone else 0)
        first = self._next
        self._next += places
        return first

    def secret(self, db: sqlite3.Connection) -> bytes:
        """What names of bodies are made with; empty while nobody may keep any."""
        if not self._secret:
            row = db.execute(statements("bodies")["secret"]).fetchone()
            self._secret = b"" if row is None else bytes(row[0])
        return self._secret
