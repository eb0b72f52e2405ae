"""The ledger entry of one tool call: opened at its beginning, settled exactly once; and the words that errors settle with.

Above: `call`, `perform`. Below: grant, core.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from interlock.core.caller import Caller, Secret
from interlock.core.errors import InterlockError, LimitReached, ToolArgumentsInvalid, ToolTimeout, ToolUnknown
from interlock.core.events import Attempt, Settled, Status
from interlock.core.guards import NOTHING_SEEN, Guards, Seen
from interlock.core.ids import traceparent
from interlock.core.ports import Ledger
from interlock.core.time import Clock

from .breaker import ToolBusy, ToolCircuitOpen
from .credentials import hidden
from .define import ToolContext
from .grant import ToolReply, ToolRequest
from .verdict import ToolDenied

UNEXPECTED = "unexpected_error"
"""Error code of anything a tool raised that was no `ToolError`: nobody knows how far it got."""
_OPEN_END = (UNEXPECTED, "timeout", "reconcile_failed")
"""Codes after which it is not known whether a call had its effect."""


class Line:
    """A call on its way."""

    def __init__(
        self, ledger: Ledger, clock: Clock, caller: Caller, request: ToolRequest, call: str, fence: int
    ) -> None:
        self.request = request
        self.arguments: Any = request.arguments
        """As they are used; a rule may have changed them."""
        self.attempts: list[Attempt] = []
        self.reasons: list[str] = []
        self.cached = False
        self.stood_in = False
        """Whether another tool was asked instead."""
        self.doubtful = request.ask_first
        """Whether a try of it may have had its effect without anybody knowing."""
        self.lent: dict[str, Secret] = {}
        """Credentials that the tool was given; none of them leaves with its result."""
        self.guards: Guards | None = None
        """Look at what is recorded."""
        self.seen: Seen = NOTHING_SEEN
        self.borne: set[str] = set()
        """Labels that the tool says its answer bears."""
        self._ledger, self._clock, self._fence = ledger, clock, fence
        self._began_s = clock.monotonic_s()
        self._opened = Settled(call, "tool", request.name, caller, "crashed", clock.wall_ns(), error="crashed")
        self._slot = ledger.open(self._opened)

    @property
    def caller(self) -> Caller:
        return self._opened.caller

    def context(self, workspace: Path) -> ToolContext:
        """What the function gets to know about the call."""
        caller = self.caller
        return ToolContext(
            self.request.key,
            workspace,
            caller.tenant,
            caller.task,
            caller.user,
            caller.step,
            self.lent,
            self.reasons.append,
            traceparent(caller.task, caller.step, caller.trace) if caller.task else "",
            labels=caller.labels,
            bear=self.borne.update,
        )

    def done(self, result: Any, cut: str) -> ToolReply:
        """Settles as a success."""
        content: dict[str, Any] = {"arguments": self.arguments, "result": hidden(result, self.lent)}
        if cut:
            content["labels"] = ["truncated"]
            self.reasons.append(cut)
        return self._settle("cache_hit" if self.cached else "ok", "", "", content)

    def failed(self, error: BaseException) -> ToolReply:
        """Settles as what `error` says."""
        status, code, message = explain(error)
        if self.request.ask_first and self.doubtful and isinstance(error, Exception) and code not in _OPEN_END:
            status, code = "error", "reconcile_failed"  # it was refused before anybody could be asked: the doubt stays
            message = f"{self.request.name} may have happened already, and it could not be asked: {message}"
        message = hidden(message, self.lent)
        if isinstance(error, ToolDenied):
            self.reasons.append(f"denied: {error.rule}")
        shown = {
            "code": code,
            "message": message,
            "hint": hidden(advice(error), self.lent),
            "retryable": getattr(error, "retryable", False),
        }
        limit = error.limit if isinstance(error, LimitReached) else ""
        return self._settle(status, code, message, {"arguments": self.arguments, "error": shown}, limit)

    def _settle(self, status: Status, code: str, message: str, content: dict[str, Any], limit: str = "") -> ToolReply:
        settled = msgspec.structs.replace(
            self._opened,
            status=status,
            duration_us=int((self._clock.monotonic_s() - self._began_s) * 1e6),
            attempts=tuple(self.attempts),
            reasons=tuple(self.reasons),
            error=code,
            message=message,
            limit=limit,
            cache="tool" if self.cached else "",
            caller=self._bearing(),
        )
        if self.guards is not None:
            settled, content = self._guarded(self.guards, settled, content)
        self._ledger.settle(self._slot, settled, content, fence=self._fence)
        return ToolReply(settled, content)

    def _bearing(self) -> Caller:
        """The caller with what the answer bears besides: what its task says next bears it, too."""
        caller = self.caller
        if self.borne <= set(caller.labels):
            return caller
        return msgspec.structs.replace(caller, labels=tuple(sorted({*caller.labels, *self.borne})))

    def _guarded(self, guards: Guards, settled: Settled, content: dict[str, Any]) -> tuple[Settled, dict[str, Any]]:
        """Event and content as they may be recorded; what the tool was given is recorded as its caller wrote it."""
        tenant = self.caller.tenant
        content, seen = guards.given(tenant, content)
        reasons, _ = guards.given(tenant, list(settled.reasons))
        attempts = [msgspec.structs.replace(e, message=guards.given(tenant, e.message)[0]) for e in settled.attempts]
        return msgspec.structs.replace(
            settled,
            message=guards.given(tenant, settled.message)[0],
            reasons=tuple(reasons),
            attempts=tuple(attempts),
            private=self.seen.private or seen.private,
            signals=self.seen.signals,
        ), content


def explain(error: BaseException) -> tuple[Status, str, str]:
    """(status, code, message) that an error settles as."""
    match error:
        case ToolTimeout():
            return "timeout", error.code, error.message
        case ToolUnknown() | ToolArgumentsInvalid() | LimitReached() | ToolDenied() | ToolCircuitOpen() | ToolBusy():
            return "refused", error.code, error.message
        case InterlockError():
            return "error", error.code, error.message
        case Exception():
            return "error", UNEXPECTED, f"{type(error).__name__}: {error}"[:500]
        case _:
            return "client_gone", "cancelled", "the caller went away while the tool was running"


def advice(error: BaseException) -> str:
    """What a model may do instead."""
    if isinstance(error, InterlockError) and error.hint:
        return error.hint
    if isinstance(error, ToolTimeout):
        return "It may be slow now: go on without it, or say that the answer has to wait."
    return "Go on without this result, use another tool, or say what could not be found out."
