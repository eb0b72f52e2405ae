"""Results on stdout in the order of the input file, whichever order the tasks end in: a script can join them line by line.

Above: batch. Below: options. What is held back is bounded by how many tasks run at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from interlock.agents.batch import Done
from interlock.agents.lines import Line

from .options import print_json


class InOrder:
    """Prints results in the order in which `reading` handed the lines out."""

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()
        self._ended: dict[int, Done] = {}

    def reading(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The lines, their order remembered."""
        for line in lines:
            self._waiting.append(line.number)
            yield line

    def add(self, done: Done) -> None:
        """One line has ended; prints what no earlier line holds back any more."""
        self._ended[done.line.number] = done
        while self._waiting and self._waiting[0] in self._ended:
            show(self._ended.pop(self._waiting.popleft()))

    def finish(self) -> None:
        """Prints what is left, where lines before it never ended: the run was stopped."""
        for number in self._waiting:
            if number in self._ended:
                show(self._ended.pop(number))


def show(done: Done) -> None:
    """The result of a line that was run now; a line that was done before, or could not be used, has none."""
    if done.result is None or done.before:
        return
    from msgspec import to_builtins

    where: dict[str, Any] = {"line": done.line.number, **({"id": done.line.id} if done.line.id else {})}
    print_json({**to_builtins(done.result), **where})
