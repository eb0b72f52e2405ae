"""THE TOOL WALK: one tool call from its declared contract to its settled event.

Above: the agents. Below: one file per step (`verdict`, `kept`, `perform`, `line`), core. Read `ToolDesk.call` top to bottom.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from interlock.core.budget import Budget, Spend
from interlock.core.caller import Caller
from interlock.core.errors import ToolUnknown
from interlock.core.guards import Guards
from interlock.core.ids import Ids
from interlock.core.ports import Ledger
from interlock.core.time import Clock, Deadline

from .credentials import Broker, hidden
from .define import encode
from .fields import picked
from .grant import Grant, ToolReply, ToolRequest
from .kept import KeptAnswers
from .line import UNEXPECTED, Line, advice, explain
from .perform import Performer, Sleep
from .threads import Threads
from .verdict import ToolDenied, judge

__all__ = ["UNEXPECTED", "Grant", "ToolDesk", "ToolReply", "ToolRequest", "advice", "cap", "explain", "find"]
_ONE_CALL = Spend(tool_calls=1)


class ToolDesk:
    """Performs tool calls under their contracts' grants. One per process."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        ids: Ids,
        rng: random.Random,
        workspace: Path,
        *,
        max_threads: int = 32,
        sleep: Sleep = asyncio.sleep,
        broker: Broker | None = None,
        guards: Guards | None = None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._ids = ids
        self._guards = guards
        self.performer = Performer(clock, rng, workspace, Threads(max_threads), sleep, broker or Broker({}, clock))
        self._kept = KeptAnswers(clock)

    def forget(self) -> None:
        """Drops every answer that is kept."""
        self._kept.clear()

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
        line = Line(self._ledger, self._clock, caller, request, self._ids.new("cal"), fence)
        line.guards = self._guards
        held = Spend()
        try:
            grant = find(grants, request.name)
            if request.refused:
                line.reasons.extend(filter(None, (request.verdict,)))
                raise ToolDenied(request.name, "information flow", request.refused, "")
            given = request.arguments
            if line.guards is not None and grant.reveal:
                given = line.guards.revealed(caller.tenant, given, grant.reveal)
            grant.tool.convert(given)
            line.arguments, decided = judge(request.name, grant.rules, given)
            line.reasons.extend(decided)
            arguments = grant.tool.convert(line.arguments)
            if line.guards is not None:  # what is recorded, kept and handed to a stand-in is what its caller may see
                line.arguments, _ = line.guards.given(caller.tenant, line.arguments)
            held = budget.reserve(ask) if budget else held
            result = await self._answer(line, grant, arguments, deadline)
            reply = line.done(*cap(result, grant.max_output_bytes))
        except BaseException as failed:  # every way out settles; only what belongs to the caller goes on
            reply = line.failed(failed)
            if not isinstance(failed, Exception):
                raise
        finally:
            if budget:
                budget.settle(held, held)
        return reply

    async def _answer(self, line: Line, grant: Grant, arguments: dict[str, Any], deadline: Deadline | None) -> Any:
        """Out of the kept answers, or performed and then kept: whole, as its caller may see it, and only the tool's own."""
        if not grant.cache_ttl_s or grant.tool.effect != "none":
            return await self._performed(line, grant, arguments, deadline)
        key = self._kept.key(line.caller, grant, line.arguments)
        found = self._kept.look(key, grant.cache_ttl_s)
        if found is not None:
            line.cached, line.seen = True, found.seen
            line.borne.update(found.labels)
            line.reasons.append(f"kept answer, {found.age_s:.0f} s old")
            return found.result
        result = hidden(cap(await self._performed(line, grant, arguments, deadline), sys.maxsize)[0], line.lent)
        if not line.stood_in:
            self._kept.keep(key, result, line.seen, frozenset(line.borne))
        return result

    async def _performed(self, line: Line, grant: Grant, arguments: dict[str, Any], deadline: Deadline | None) -> Any:
        """What the tool answered, less what its caller may not see."""
        result = await self.performer.run(line, grant, arguments, deadline)
        if grant.fields:
            result = picked(cap(result, sys.maxsize)[0], grant.fields)
        if line.guards is not None:
            result, line.seen = line.guards.given(line.caller.tenant, cap(result, sys.maxsize)[0])
        return result


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
