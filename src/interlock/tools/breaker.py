"""When a tool fails again and again it is left alone for a while, so that tasks do not queue up behind it.

Above: `call`. Below: core. One per tool and process.
"""

from __future__ import annotations

from interlock.core.errors import InterlockError, ToolArgumentsInvalid, ToolError, ToolTimeout
from interlock.core.time import Clock


class ToolCircuitOpen(ToolError):
    """The tool failed so often that it is left alone; says what it failed with."""

    status = 503

    def __init__(self, tool: str, left_s: float, last: str) -> None:
        super().__init__(
            "circuit_open",
            f"{tool} keeps failing and is left alone for {left_s:.0f} s more; it last said: {last}",
            hint="Use another tool, go on without it, or say that this has to wait.",
            retryable=True,
        )
        self.retry_after_s = left_s


class ToolBusy(ToolError):
    """All places of the tool were taken for as long as a call of it may take: it was not begun."""

    status = 503

    def __init__(self, tool: str, places: int, waited_s: float) -> None:
        super().__init__(
            "tool_busy",
            f"{tool} was not called: all {places} of its places (max_concurrency) were taken for {waited_s:g} s",
            hint="Nothing was done. Use another tool, go on without it, or say that this has to wait.",
            retryable=True,
        )


class Breaker:
    """Closed, open for `cool_s`, then half open for one try."""

    __slots__ = ("_clock", "_failed", "_last", "_open_until_s", "_probing")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed = 0
        self._open_until_s = 0.0
        self._probing = False
        self._last = ""

    def enter(self, tool: str) -> None:
        """Raises ToolCircuitOpen while the tool is left alone, and while the one try afterwards is under way."""
        if not self._open_until_s:
            return
        left_s = self._open_until_s - self._clock.monotonic_s()
        if left_s > 0 or self._probing:
            raise ToolCircuitOpen(tool, max(0.0, left_s), self._last)
        self._probing = True

    def leave(self, failed: BaseException | None, failures: int, cool_s: float) -> None:
        """Counts how a call ended."""
        self._probing = False
        if failed is None or not counts(failed):
            self._failed, self._open_until_s = 0, 0.0
            return
        self._failed += 1
        self._last = str(failed)[:200]
        if failures and self._failed >= failures:
            self._open_until_s = self._clock.monotonic_s() + cool_s

    def cancelled(self) -> None:
        """A call that its caller gave up says nothing about the tool."""
        self._probing = False


def counts(failed: BaseException) -> bool:
    """Whether a failure speaks against the tool: a timeout, a passing error or an unexpected one; not the tool's plain no."""
    if isinstance(failed, ToolArgumentsInvalid):
        return False
    if isinstance(failed, InterlockError):
        return isinstance(failed, ToolTimeout) or failed.retryable
    return isinstance(failed, Exception)
