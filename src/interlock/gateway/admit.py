"""Who may come in: bounded concurrency, and the budgets of tasks that bring none of their own.

Above: chat. Below: settings, `core`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from types import TracebackType
from typing import Self

from interlock.core.budget import Budget, Limits
from interlock.core.caller import Caller
from interlock.core.errors import Shed
from interlock.core.time import Clock, Deadline

from .settings import Admission

NO_LIMITS = Limits()
BUDGETS_KEPT = 10_000
"""Tasks of outside agents whose budgets are remembered; the one idle longest makes room for a new one."""


class Gate:
    """At most so many calls at once, at most so many waiting, each for at most so long."""

    __slots__ = ("_inside", "_settings", "_waiting")

    def __init__(self, settings: Admission) -> None:
        self._settings = settings
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def inside(self) -> int:
        return self._inside

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def enter(self, deadline: Deadline, clock: Clock) -> Place:
        """A place inside, given back when its `with` block ends.

        Raises:
            Shed: the line is full, or no place came free in time.
        """
        if self._inside < self._settings.max_concurrent:
            self._inside += 1
            return Place(self)
        if len(self._waiting) >= self._settings.max_waiting:
            raise Shed(
                f"{self._inside} calls are under way and {len(self._waiting)} wait.",
                retry_after_s=self._settings.retry_after_s,
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        patience_s = min(self._settings.max_wait_s, deadline.left_s(clock))
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except TimeoutError:
            self._left(turn)
            raise Shed(
                f"no place came free within {patience_s:.1f} s.", retry_after_s=self._settings.retry_after_s
            ) from None
        except asyncio.CancelledError:
            self._left(turn)
            raise
        return Place(self)

    def leave(self) -> None:
        """Hands the place to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._inside -= 1

    def _left(self, turn: asyncio.Future[None]) -> None:
        """One who waited has gone; a place that was already handed over is handed on."""
        if turn.done() and not turn.cancelled():
            self.leave()
        elif turn in self._waiting:
            self._waiting.remove(turn)


class Place:
    """A place inside the gate."""

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.leave()


class Budgets:
    """The budgets of tasks whose callers name the task but keep no budget themselves (agents of other frameworks)."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], tuple[Budget, float]] = OrderedDict()

    def of(self, caller: Caller, limits: Limits, now_s: float) -> tuple[Budget | None, float | None]:
        """(budget, instant by which the task must be over). No budget where nothing is limited."""
        if limits == NO_LIMITS:
            return None, None
        if not caller.task:
            return Budget(limits), _end(now_s, limits)
        key = (caller.tenant, caller.workflow, caller.task)
        known = self._kept.get(key)
        if known is None:
            known = (Budget(limits), now_s)
            self._kept[key] = known
        self._kept.move_to_end(key)
        if len(self._kept) > BUDGETS_KEPT:
            self._kept.popitem(last=False)
        return known[0], _end(known[1], limits)


def _end(start_s: float, limits: Limits) -> float | None:
    return None if limits.max_seconds is None else start_s + limits.max_seconds
