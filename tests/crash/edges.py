"""Every write of a process, counted from its start, before it is made and after; at one of these edges the process ends."""

import os
import signal
from collections.abc import Callable
from typing import Any

NOUNS = ("tasks", "signals", "outbox", "texts")
WRITES = frozenset(
    {"write", "begin", "claim", "take", "renew", "release", "add", "consume", "put", "done", "open", "settle"}
)


class Edges:
    """The count. `fatal` 0: none is the last."""

    def __init__(self, fatal: int) -> None:
        self.passed, self._fatal = 0, fatal

    def edge(self) -> None:
        self.passed += 1
        if self.passed == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class Edged:
    """What writes (a store, a recorder), with an edge before and after each of its writes."""

    def __init__(self, inner: Any, edges: Edges) -> None:
        self._inner, self._edges = inner, edges

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in NOUNS:
            return Edged(found, self._edges)
        return self._between(found) if name in WRITES else found

    def _between(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            self._edges.edge()
            done = write(*given, **named)
            self._edges.edge()
            return done

        return counted
