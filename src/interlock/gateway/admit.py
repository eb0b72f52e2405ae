"""Admission control: a limit on concurrent calls with a bounded, fair queue before it, and the budgets of tasks that bring none of their own.

Above: chat, attempt. Below: fair, settings, `core`. The same gate stands before the whole process and, with a limit that follows the latency, before each
deployment.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from types import TracebackType
from typing import Self

from interlock.core.budget import Budget, Limits
from interlock.core.caller import Caller
from interlock.core.errors import Shed
from interlock.core.time import Clock, Deadline

from .fair import FairQueue
from .settings import Admission

NO_LIMITS = Limits()
BUDGETS_KEPT = 10_000
"""Tasks of outside agents whose budgets are remembered; the one idle longest makes room for a new one."""
NORMAL = 1
"""Place of the usual priority in `fair.PRIORITIES`."""
LONGEST_RETRY_AFTER_S = 60.0

Turn = asyncio.Future[None]


class Gate:
    """At most so many calls at once, at most so many waiting, each for at most so long; tenants take turns."""

    __slots__ = ("_counted_since_s", "_left", "_line", "_settings", "_what", "inside", "limit", "place", "pressed")

    def __init__(self, settings: Admission, *, what: str = "") -> None:
        """`what`: before which deployment it stands, for messages; empty before the whole process."""
        self._settings = settings
        self._what = f" to {what}" if what else ""
        self._line: FairQueue[Turn] = FairQueue(settings.tenant_weights)
        self.place = Place(self)
        """Of whoever is inside."""
        self._left = 0
        self._counted_since_s = 0.0
        self.inside = 0
        """Calls under way."""
        self.limit = settings.max_concurrent
        """Calls that may be under way at once; may be changed, then call `admit`."""
        self.pressed = not what
        """Whoever waits here waits for others to end, so the line is kept short; else only for the limit to grow."""

    @property
    def waiting(self) -> int:
        return self._line.size

    async def enter(
        self, deadline: Deadline, clock: Clock, tenant: str = "", priority: int = NORMAL, cost: int = 1
    ) -> Place:
        """A place inside, given back when its `with` block ends. `cost` in tokens, for the fair share.

        Raises:
            Shed: the line is full, or no place came free in time.
        """
        if self.inside < self.limit:  # then nobody waits, since whoever leaves lets the next one in
            self.inside += 1
            return self.place
        turn: Turn = asyncio.get_running_loop().create_future()
        self._line_up(turn, clock, tenant, priority, cost)
        patience_s = deadline.left_s(clock)
        if self.pressed:
            patience_s = min(self._settings.max_wait_s, patience_s)
        try:
            async with asyncio.timeout(patience_s):
                await turn
        except TimeoutError:
            self._gone(tenant, turn)
            raise self._shed(f"no place came free within {patience_s:.1f} s", clock) from None
        except BaseException:
            self._gone(tenant, turn)
            raise
        return self.place

    def leave(self) -> None:
        """A call has ended; whoever is next comes in."""
        self.inside -= 1
        self._left += 1
        if self._line.size:
            self.admit()

    def follow(self, limit: int, clock: Clock, *, pressed: bool) -> None:
        """Another number of calls at once; whoever waits and would not be reached in time then is turned away at once."""
        self.limit, self.pressed = limit, pressed
        while len(self._line) > self._room_to_wait():
            put_out = self._line.evict("")
            if put_out is None:
                return
            if not put_out.done():
                put_out.set_exception(self._shed("it works more slowly than calls come", clock))

    def admit(self) -> None:
        """Lets in whom there is room for."""
        while self.inside < self.limit:
            turn = self._line.pop()
            if turn is None:
                return
            if not turn.done():
                self.inside += 1
                turn.set_result(None)

    def _line_up(self, turn: Turn, clock: Clock, tenant: str, priority: int, cost: int) -> None:
        if len(self._line) >= self._room_to_wait():
            put_out = self._line.evict(tenant)
            if put_out is None:
                raise self._shed("the line is full", clock)
            if not put_out.done():
                put_out.set_exception(self._shed("the line is full, and another tenant's turn was due", clock))
        self._line.push(tenant, priority, cost, turn)
        self.admit()

    def _room_to_wait(self) -> int:
        """Whole process: as declared. A deployment: what it works off in about one round, so that whoever waits is answered in time."""
        most = self._settings.max_waiting
        return min(most, max(32, self.limit)) if self._what and self.pressed else most

    def _gone(self, tenant: str, turn: Turn) -> None:
        """One who waited has gone; a place that was already handed over is handed on."""
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self.leave()
        else:
            self._line.remove(tenant, turn)

    def _shed(self, why: str, clock: Clock) -> Shed:
        """With the time in which the line is worked off at the present pace as `retry_after_s`."""
        now_s = clock.monotonic_s()
        seconds = now_s - self._counted_since_s
        pace = self._left / seconds if seconds > 0 else 0.0
        if seconds > 2.0:
            self._left, self._counted_since_s = 0, now_s
        wait_s = len(self._line) / pace if pace else 0.0
        wait_s = min(LONGEST_RETRY_AFTER_S, max(self._settings.retry_after_s, wait_s))
        return Shed(
            f"{self.inside} calls{self._what} are under way and {len(self._line)} wait: {why}.",
            retry_after_s=round(wait_s, 1),
        )


class Place:
    """A place inside the gate. All of a gate's places are alike, so there is one object for them."""

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
