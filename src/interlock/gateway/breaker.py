"""A circuit breaker: closed, open, half-open with a single probe. Time is handed in; nothing here waits.

Above: health. Below: settings, `core.errors`. It remembers the error that it failed with last, so that whoever is refused meanwhile is told
the real cause and its age, but never a vendor's words: they may repeat what another tenant had asked. Each change of its state is told, for the
record; a call to a closed one that is answered changes nothing and tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from interlock.core.circuits import CircuitState
from interlock.core.errors import (
    CircuitOpen,
    ConnectFailed,
    InterlockError,
    UpstreamRefused,
    UpstreamStalled,
    UpstreamTimeout,
)

from .settings import Breaking

WINDOW = 20
MASK = (1 << WINDOW) - 1
PROBE_S = 1.0
"""After so long it is worth asking again how a probe that is under way has ended."""
OWN_WORDS = (ConnectFailed, UpstreamTimeout, UpstreamStalled)
"""Errors whose messages are written here and name an address and a time alone."""
Told = Callable[[CircuitState, str], None]
"""(the state from now on, why)."""


def _nobody(_state: CircuitState, _why: str) -> None:
    """Nobody keeps a record."""


class Breaker:
    """Whether one deployment may be called."""

    __slots__ = (
        "_cool_s",
        "_failed_at_s",
        "_history",
        "_last",
        "_opened_until_s",
        "_probing",
        "_run",
        "_seen",
        "_set",
        "_told",
    )

    def __init__(self, breaking: Breaking, told: Told = _nobody) -> None:
        self._set = breaking
        self._told = told
        self._history = 0
        self._seen = 0
        self._run = 0
        self._cool_s = 0.0
        self._opened_until_s = 0.0
        self._probing = False
        self._last: InterlockError | None = None
        self._failed_at_s = 0.0

    @property
    def state(self) -> str:
        """`closed`, `open` (or cooled down, awaiting its probe) or `half_open` (a probe is under way)."""
        if self._cool_s == 0.0:
            return "closed"
        return "half_open" if self._probing else "open"

    @property
    def closed(self) -> bool:
        """`enter` would let a call out without more ado."""
        return self._cool_s == 0.0

    @property
    def failure_share(self) -> float:
        """Share of failures among the calls it remembers, at most the last 20; zero before there were any."""
        return self._history.bit_count() / self._seen if self._seen else 0.0

    @property
    def seen(self) -> int:
        """How many of the last 20 calls it remembers."""
        return self._seen

    def enter(self, now_s: float) -> str:
        """Empty when a call may go out, which it must then report; else why it may not."""
        if self._cool_s == 0.0:
            return ""
        if now_s < self._opened_until_s:
            return f"circuit open for another {self._opened_until_s - now_s:.1f} s"
        if self._probing:
            return "circuit half-open, its one probe is under way"
        self._probing = True
        self._told("half_open", f"cooled down for {self._cool_s:g} s; one probe goes out")
        return ""

    def refusal(self, why: str, now_s: float) -> CircuitOpen:
        """What a caller is told that `enter` turned away: why, when to ask again, and what opened the circuit how long ago."""
        wait_s = max(0.0, self._opened_until_s - now_s) or PROBE_S
        last = self._last
        if last is None:
            return CircuitOpen(f"not asked: {why}.", retry_after_s=wait_s)
        message = f"not asked: {why}; {now_s - self._failed_at_s:.1f} s ago: {_cause(last)}"
        return CircuitOpen(message, retry_after_s=wait_s, cause=last.code)

    def succeeded(self, times: int = 1) -> None:
        """The deployment answered so often, be it with a refusal of the request."""
        if self._cool_s:
            self._history = self._seen = 0
            self._cool_s = 0.0
            self._told("closed", "its probe was answered" if self._probing else "a call from before was answered")
        self._probing = False
        self._run = 0
        self._history = self._history << times & MASK
        self._seen = min(self._seen + times, WINDOW)

    def failed(self, now_s: float, error: InterlockError | None = None) -> None:
        """The deployment failed in a way that another caller would have seen too."""
        self._run += 1
        self._history = (self._history << 1 | 1) & MASK
        self._seen = min(self._seen + 1, WINDOW)
        if error is not None:
            self._last, self._failed_at_s = error.with_traceback(None), now_s
        if self._cool_s:
            if self._probing:
                self._open(now_s, min(self._cool_s * 2, self._set.cool_max_s), "its probe failed")
        elif reason := self._too_many():
            self._open(now_s, self._set.cool_s, reason)

    def abandoned(self) -> None:
        """The call ended before it could show anything (its caller left); the next one may probe."""
        if self._probing:
            self._probing = False
            self._told("open", "its probe ended without showing anything")

    def _open(self, now_s: float, cool_s: float, why: str) -> None:
        self._probing = False
        self._cool_s = cool_s
        self._opened_until_s = now_s + cool_s
        last = "" if self._last is None else f", the last: {self._last.code}"
        self._told("open", f"{why}{last}")

    def _too_many(self) -> str:
        """What is too much; empty while it is not."""
        if self._run >= self._set.consecutive:
            return f"{self._run} failures in a row"
        failures = self._history.bit_count()
        if failures >= self._set.consecutive and failures >= self._set.share * self._seen:
            return f"{failures} of its last {self._seen} calls failed"
        return ""


def _cause(error: InterlockError) -> str:
    """What is told of an error to callers who had no part in it."""
    if isinstance(error, OWN_WORDS):
        return f"{error.code}: {error.message}"
    return f"{error.code}: status {error.upstream_status}" if isinstance(error, UpstreamRefused) else error.code
