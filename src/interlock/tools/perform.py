"""Doing what a tool call says: under a deadline, again where that can do no harm, by another tool where the first one did nothing.

Above: `call`. Below: define, grant, line, threads, breaker.
"""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from interlock.core.errors import InterlockError, ToolError, ToolTimeout
from interlock.core.events import Attempt
from interlock.core.time import Clock, Deadline

from .breaker import Breaker, ToolBusy
from .credentials import Broker, hidden
from .define import accepted
from .grant import Grant
from .line import Line, explain
from .threads import Threads
from .verdict import judge

Sleep = Callable[[float], Awaitable[object]]


class Performer:
    """Performs calls. One per process: it keeps each tool's circuit and places."""

    def __init__(
        self, clock: Clock, rng: random.Random, workspace: Path, threads: Threads, sleep: Sleep, broker: Broker
    ) -> None:
        self._broker = broker
        self._clock, self._rng, self._workspace, self._threads, self._sleep = clock, rng, workspace, threads, sleep
        self._breakers: dict[str, Breaker] = {}
        self._gates: dict[tuple[str, int], asyncio.Semaphore] = {}
        self.backoff_s = 0.05
        """First wait between two tries; it doubles, and each is jittered down to its half."""

    async def run(self, line: Line, grant: Grant, arguments: dict[str, Any], deadline: Deadline | None) -> Any:
        """What the tool, or the one that stands in for it, answered. Raises what the tool raised, or the other one if that may have had an effect."""
        try:
            return await self._guarded(line, grant, arguments, deadline)
        except Exception as failed:  # a workspace's function may raise anything
            other = grant.fallback
            late = deadline is not None and deadline.passed(self._clock)
            if other is None or late or not did_nothing(line, grant, failed):
                raise
            line.stood_in = True
            line.reasons.append(
                f"fallback: {grant.tool.name} failed ({explain(failed)[1]}), {other.tool.name} is asked"
            )
            try:
                return await self._standing_in(line, other, deadline)
            except Exception as also:  # as above
                if not did_nothing(line, other, also):
                    raise
                line.reasons.append(f"fallback: {other.tool.name} failed too ({explain(also)[1]})")
                raise failed from also

    async def _standing_in(self, line: Line, other: Grant, deadline: Deadline | None) -> Any:
        """The other tool's answer, on its own terms: arguments that it knows, its rules, its places, its circuit."""
        allowed, decided = judge(other.tool.name, other.rules, other.tool.taken(line.arguments))
        line.reasons.extend(decided)
        return await self._guarded(line, other, other.tool.convert(allowed), deadline)

    async def _guarded(self, line: Line, grant: Grant, arguments: dict[str, Any], deadline: Deadline | None) -> Any:
        """The tries, in one of the tool's places and behind its circuit; waiting for a place says nothing against the tool."""
        async with self._place(grant, deadline):
            return await self._behind(line, grant, arguments, deadline)

    @asynccontextmanager
    async def _place(self, grant: Grant, deadline: Deadline | None) -> AsyncGenerator[None]:
        """One of `max_concurrency`, waited for as long as one try may take. Raises ToolBusy."""
        places = grant.max_concurrency
        if places is None:
            yield
            return
        gate = self._gates.setdefault((grant.tool.name, places), asyncio.Semaphore(places))
        timeout_s = self._time_of(grant, deadline)
        try:
            async with asyncio.timeout(timeout_s):
                await gate.acquire()
        except TimeoutError as late:
            raise ToolBusy(grant.tool.name, places, timeout_s) from late
        try:
            yield
        finally:
            gate.release()

    async def _behind(self, line: Line, grant: Grant, arguments: dict[str, Any], deadline: Deadline | None) -> Any:
        breaker = self._breakers.setdefault(grant.tool.name, Breaker(self._clock))
        breaker.enter(grant.tool.name)
        try:
            result = await self._tries(line, grant, arguments, deadline)
        except Exception as failed:  # as above
            breaker.leave(failed, grant.breaker_failures, grant.breaker_cool_s)
            raise
        except BaseException:
            breaker.cancelled()
            raise
        breaker.leave(None, grant.breaker_failures, grant.breaker_cool_s)
        return result

    async def _tries(self, line: Line, grant: Grant, arguments: dict[str, Any], deadline: Deadline | None) -> Any:
        """Try, and try again where that can do no harm."""
        tool = grant.tool
        if grant.credentials:
            line.lent.update(await self._broker.lend(grant.credentials))
        given = {**arguments, "ctx": line.context(self._workspace)}
        if line.request.ask_first and tool.reconcile is not None:
            known = await self._ask(line, grant, accepted(tool.reconcile, given), deadline)
            if known is not None:
                return known
            line.doubtful = False
        given = given if tool.takes_ctx else arguments
        tries = 1 + (grant.retries if tool.effect in ("none", "idempotent") else 0)
        for number in range(1, tries + 1):
            try:
                return await self._once(line, tool.function, grant, given, deadline)
            except Exception as failed:  # as above
                late = deadline is not None and deadline.passed(self._clock)
                if number == tries or late or not _worth_another_try(failed):
                    raise
            await self._sleep(self.backoff_s * 2 ** (number - 1) * self._rng.uniform(0.5, 1.0))
        raise AssertionError("the last try returns or raises")

    async def _ask(self, line: Line, grant: Grant, given: dict[str, Any], deadline: Deadline | None) -> Any:
        """What the tool says became of an earlier try; `None` when it had not happened."""
        assert grant.tool.reconcile is not None
        try:
            known = await self._once(line, grant.tool.reconcile, grant, given, deadline)
        except Exception as failed:  # so may its `reconcile`
            message = f"{grant.tool.name} may have happened already, and asking it failed: {failed}"
            raise ToolError("reconcile_failed", message, retryable=True) from failed
        line.reasons.append(f"asked the tool: it had {'not ' if known is None else ''}happened")
        return known

    def _time_of(self, grant: Grant, deadline: Deadline | None) -> float:
        """Seconds that one try may take."""
        return grant.timeout_s if deadline is None else min(grant.timeout_s, deadline.left_s(self._clock))

    async def _once(
        self,
        line: Line,
        function: Callable[..., Any],
        grant: Grant,
        given: dict[str, Any],
        deadline: Deadline | None,
    ) -> Any:
        started_ns, began_s = self._clock.wall_ns(), self._clock.monotonic_s()
        timeout_s = self._time_of(grant, deadline)
        scope = asyncio.timeout(timeout_s)
        failed: BaseException | None = None
        try:
            async with scope:
                if inspect.iscoroutinefunction(function):
                    return await function(**given)
                return await self._threads.run(function, **given)
        except TimeoutError as late:
            failed = ToolTimeout(grant.tool.name, timeout_s) if scope.expired() else late
            raise failed from late
        except InterlockError as caught:
            # Only a ToolError is a tool's word; a limit or timeout of something that it called is not.
            failed = caught if isinstance(caught, ToolError) else RuntimeError(f"{type(caught).__name__}: {caught}")
            if failed is caught:
                raise
            raise failed from caught
        except BaseException as caught:
            failed = caught
            raise
        finally:
            status, code, message = ("ok", "", "") if failed is None else explain(failed)
            if failed is not None and function is grant.tool.function and not says_no(failed):
                line.doubtful = True
            took_us = int((self._clock.monotonic_s() - began_s) * 1e6)
            message = hidden(message, line.lent)
            line.attempts.append(Attempt(grant.tool.name, status, started_ns, took_us, error=code, message=message))


def did_nothing(line: Line, grant: Grant, failed: Exception) -> bool:
    """Whether it is certain that a failed call changed nothing: it has no effect, or no try of it ended without the tool's own no."""
    if grant.tool.effect == "none":
        return True
    return says_no(failed) and not line.doubtful


def says_no(failed: BaseException) -> bool:
    """Whether a failure is the tool's own word that it did nothing, or ours that it was never begun."""
    return isinstance(failed, ToolError) and not isinstance(failed, ToolTimeout) and failed.code != "reconcile_failed"


def _worth_another_try(failed: Exception) -> bool:
    return failed.retryable if isinstance(failed, InterlockError) else True
