"""The seam to a durable engine that a team runs already: it drives our tasks, and our log stays the truth about them.

Above: agents carry a task through it, plug-ins implement it. Below: nothing. An engine runs the same function again after a crash and gives recorded results for steps
that had ended; so whatever happens between two of its calls must follow from them alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol


class Engine(Protocol):
    """What a task needs of one."""

    async def step(self, name: str, key: str, perform: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """What `perform` returned, a JSON object: performed at least once, recorded before this returns, and from then on given again.

        `key` is the same whenever the same step is met again; what `perform` does must bear a repetition under it.
        """
        ...

    async def wait(self, key: str, seconds: float) -> None:
        """Returns after `seconds`, or sooner when somebody wakes it; holds nothing meanwhile where the engine can do that."""
        ...
