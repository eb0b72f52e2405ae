"""THE TOOL WALK: one tool call from its declared contract to its settled event.

Above: the agents. Below: `define`, `threads`, core. Read `ToolDesk.call` top to bottom; everything else here is one of its steps.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from interlock.core.budget import Budget, Spend
from interlock.core.caller import Caller
from interlock.core.errors import (
    InterlockError,
    LimitReached,
    ToolArgumentsInvalid,
    ToolError,
    ToolTimeout,
    ToolUnknown,
)
from interlock.core.events import Attempt, Settled, Status
from interlock.core.ids import Ids
from interlock.core.ports import Ledger
from interlock.core.time import Clock, Deadline

from .define import Tool, ToolContext, accepted, encode
from .threads import Threads

UNEXPECTED = "unexpected_error"
"""Error code of anything a tool raised that was no `ToolError`: nobody knows how far it got."""
_ONE_CALL = Spend(tool_calls=1)


class Grant(Struct, frozen=True):
    """What a contract allows one tool."""

    tool: Tool
    timeout_s: float = 10.0
    """Of each try."""
    retries: int = 0
    """Further tries, made only where the tool's effect is `none` or `idempotent`."""
    max_calls: int | None = None
    max_output_bytes: int = 65_536
    """Of the result as JSON; more is cut and labelled `truncated`."""


class ToolRequest(Struct, frozen=True):
    """One call that somebody wants. `arguments` is a JSON object, or the text a model wrote where it is none."""

    name: str
    arguments: Any
    key: str
    ask_first: bool = False
    """An earlier try may have happened: ask the tool's `reconcile` before doing it again."""


class ToolReply(Struct, frozen=True):
    """The settled event, and beside it `{"arguments", "result"}` or `{"arguments", "error": {code, message, hint, retryable}}`."""

    settled: Settled
    content: dict[str, Any]


class ToolDesk:
    """Performs tool calls under their contracts' grants. One per process."""

    def __init__(
        self, ledger: Ledger, clock: Clock, ids: Ids, rng: random.Random, workspace: Path, *, max_threads: int = 32
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._ids = ids
        self._rng = rng
        self._workspace = workspace
        self._threads = Threads(max_threads)
        self.backoff_s = 0.05
        """First wait between two tries; it doubles, and each is jittered down to its half."""

    async def call(
        self,
        caller: Caller,
        request: ToolRequest,
        grants: Mapping[str, Grant],
        *,
        budget: Budget | None = None,
        ask: Spend = _ONE_CALL,
        deadline: Deadline | None = None,
        fence: int = 0,
    ) -> ToolReply:
        """What the tool answered, or a structured error that tells a model what it may do instead; settled either way.

        Raises:
            LedgerFull: nothing can be recorded, so nothing was run. A budget without room is an answer: `limit_reached`.
        """
        await self._ledger.ready(deadline or Deadline.after(self._clock, math.inf))
        run = _Run(self._ledger, self._clock, caller, request, self._ids.new("cal"), fence)
        held = Spend()
        try:
            grant = find(grants, request.name)
            arguments = grant.tool.convert(request.arguments)
            held = budget.reserve(ask) if budget else held
            result = await self._perform(run, grant, arguments, deadline)
            reply = run.done(*cap(result, grant.max_output_bytes))
        except BaseException as failed:  # every way out settles; only what belongs to the caller goes on
            reply = run.failed(failed)
            if not isinstance(failed, Exception):
                raise
        finally:
            if budget:
                budget.settle(held, held)
        return reply

    async def _perform(self, run: _Run, grant: Grant, arguments: dict[str, Any], deadline: Deadline | None) -> Any:
        """Try, and try again where that can do no harm."""
        tool = grant.tool
        given = {**arguments, "ctx": run.context(self._workspace)}
        if run.request.ask_first and tool.reconcile is not None:
            known = await self._ask(run, grant, accepted(tool.reconcile, given), deadline)
            if known is not None:
                return known
        given = given if tool.takes_ctx else arguments
        tries = 1 + (grant.retries if tool.effect in ("none", "idempotent") else 0)
        for number in range(1, tries + 1):
            try:
                return await self._once(run, tool.function, grant, given, deadline)
            except Exception as failed:  # a workspace's function may raise anything
                late = deadline is not None and deadline.passed(self._clock)
                if number == tries or late or not _worth_another_try(failed):
                    raise
            await asyncio.sleep(self.backoff_s * 2 ** (number - 1) * self._rng.uniform(0.5, 1.0))
        raise AssertionError("the last try returns or raises")

    async def _ask(self, run: _Run, grant: Grant, given: dict[str, Any], deadline: Deadline | None) -> Any:
        """What the tool says became of an earlier try; `None` when it had not happened."""
        assert grant.tool.reconcile is not None
        try:
            known = await self._once(run, grant.tool.reconcile, grant, given, deadline)
        except Exception as failed:  # so may its `reconcile`
            message = f"{grant.tool.name} may have happened already, and asking it failed: {failed}"
            raise ToolError("reconcile_failed", message, retryable=True) from failed
        run.reasons.append(f"asked the tool: it had {'not ' if known is None else ''}happened")
        return known

    async def _once(
        self,
        run: _Run,
        function: Callable[..., Any],
        grant: Grant,
        given: dict[str, Any],
        deadline: Deadline | None,
    ) -> Any:
        started_ns, began_s = self._clock.wall_ns(), self._clock.monotonic_s()
        timeout_s = grant.timeout_s if deadline is None else min(grant.timeout_s, deadline.left_s(self._clock))
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
            took_us = int((self._clock.monotonic_s() - began_s) * 1e6)
            run.attempts.append(Attempt(grant.tool.name, status, started_ns, took_us, error=code, message=message))


class _Run:
    """One walk's place in the ledger: opened at its beginning, settled exactly once."""

    def __init__(
        self, ledger: Ledger, clock: Clock, caller: Caller, request: ToolRequest, call: str, fence: int
    ) -> None:
        self.request = request
        self.attempts: list[Attempt] = []
        self.reasons: list[str] = []
        self._ledger, self._clock, self._fence = ledger, clock, fence
        self._began_s = clock.monotonic_s()
        self._opened = Settled(call, "tool", request.name, caller, "crashed", clock.wall_ns(), error="crashed")
        self._slot = ledger.open(self._opened)

    def context(self, workspace: Path) -> ToolContext:
        """What the function gets to know about the call."""
        caller = self._opened.caller
        return ToolContext(self.request.key, workspace, caller.tenant, caller.task, caller.user)

    def done(self, result: Any, cut: str) -> ToolReply:
        """Settles as a success."""
        content: dict[str, Any] = {"arguments": self.request.arguments, "result": result}
        if cut:
            content["labels"] = ["truncated"]
            self.reasons.append(cut)
        return self._settle("ok", "", "", content)

    def failed(self, error: BaseException) -> ToolReply:
        """Settles as what `error` says."""
        status, code, message = explain(error)
        shown = {
            "code": code,
            "message": message,
            "hint": advice(error),
            "retryable": getattr(error, "retryable", False),
        }
        return self._settle(status, code, message, {"arguments": self.request.arguments, "error": shown})

    def _settle(self, status: Status, code: str, message: str, content: dict[str, Any]) -> ToolReply:
        settled = msgspec.structs.replace(
            self._opened,
            status=status,
            duration_us=int((self._clock.monotonic_s() - self._began_s) * 1e6),
            attempts=tuple(self.attempts),
            reasons=tuple(self.reasons),
            error=code,
            message=message,
        )
        self._ledger.settle(self._slot, settled, content, fence=self._fence)
        return ToolReply(settled, content)


def find(grants: Mapping[str, Grant], name: str) -> Grant:
    """The grant of that name; a tool that the contract does not list does not exist. Raises ToolUnknown."""
    grant = grants.get(name)
    if grant is None:
        raise ToolUnknown(name, sorted(grants))
    return grant


def cap(result: Any, max_bytes: int) -> tuple[Any, str]:
    """`result` as plain JSON values of at most `max_bytes`, and what was cut (empty: nothing).

    The function has run, so a result that JSON cannot carry becomes text instead of a failure.
    """
    try:
        encoded = msgspec.json.encode(result, enc_hook=encode)
        plain = msgspec.json.decode(encoded)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        plain = repr(result)
        encoded = msgspec.json.encode(plain)
    if len(encoded) <= max_bytes:
        return plain, ""
    text = plain.encode() if isinstance(plain, str) else encoded
    kept = text[:max_bytes].decode(errors="ignore")
    cut = f"truncated: {len(encoded)} bytes of result cut to {max_bytes}"
    return {"truncated": True, "total_bytes": len(encoded), "beginning": kept}, cut


def explain(error: BaseException) -> tuple[Status, str, str]:
    """(status, code, message) that an error settles as."""
    match error:
        case ToolTimeout():
            return "timeout", error.code, error.message
        case ToolUnknown() | ToolArgumentsInvalid() | LimitReached():
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


def _worth_another_try(failed: Exception) -> bool:
    return failed.retryable if isinstance(failed, InterlockError) else True
