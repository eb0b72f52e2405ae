"""Whose a record is: the user under whose key its content is sealed.

Above: records, beside. Below: the seams in core. What an event does not say itself is read off the task's row, once for each task.
"""

from __future__ import annotations

from interlock.core.events import Record, Settled, Started
from interlock.core.store import TaskStore

TASKS = 8192
"""Whose users are remembered."""


class Whose:
    """Users by task. Safe to use from any thread."""

    def __init__(self, tasks: TaskStore) -> None:
        self._tasks = tasks
        self._known: dict[str, str] = {}

    def of(self, record: Record) -> str:
        """Empty where it is nobody's. Raises StoreUnavailable."""
        event = record.event
        if isinstance(event, Settled):
            return event.caller.user
        if isinstance(event, Started):
            self._remember(record.task, event.caller.user)
            return event.caller.user
        return self.of_task(record.task)

    def of_task(self, task: str) -> str:
        """The same of a task. Raises StoreUnavailable."""
        known = self._known.get(task)
        if known is not None:
            return known
        row = self._tasks.get(task)
        if row is not None:
            self._remember(task, row.user)
        return "" if row is None else row.user

    def _remember(self, task: str, user: str) -> None:
        if len(self._known) >= TASKS:
            self._known = {}
        self._known[task] = user
