"""What stands beside the ledger: signals from outside.

Above: the stores, as `signals`. Below: session.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from interlock.core.store import Signal

from .rows import encode
from .session import Database


class Signals:
    """`core.store.SignalStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.sql("signals")

    def add(self, signal: Signal) -> bool:
        row = (signal.task, signal.id, signal.name, encode(signal.payload), signal.at_ns)
        with self._database.transaction(f"add a signal for task {signal.task}") as db:
            return db.execute(self._sql["add"], row).rowcount > 0

    def pending(self, task: str) -> list[Signal]:
        with self._database.reading(f"read signals of task {task}") as db:
            rows = db.execute(self._sql["pending"], (task,)).fetchall()
        return [Signal(row[0], row[1], row[2], msgspec.json.decode(row[3]), row[4]) for row in rows]

    def called(self, tasks: Sequence[str]) -> list[str]:
        with self._database.reading("look for signals of tasks at work") as db:
            return [row[0] for row in db.execute(self._sql["called"], (encode(list(tasks)),)).fetchall()]

    def consume(self, task: str, ids: Sequence[str]) -> None:
        with self._database.transaction(f"consume signals of task {task}") as db:
            db.executemany(self._sql["consume"], [(task, each) for each in ids])

    def forget(self, tasks: Sequence[str]) -> int:
        with self._database.transaction("forget what signals said") as db:
            return sum(db.execute(self._sql["forget"], (task,)).rowcount for task in tasks)
