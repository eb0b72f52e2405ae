"""Tasks for those who come in over HTTP: begun, looked at, decided on, cancelled; always of the caller's own tenant.

Above: server. Below: compose's agents, ledger's reader. What belongs to another tenant does not exist.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, cast

from interlock.agents.question import Question
from interlock.agents.service import Agents
from interlock.agents.verdicts import Source
from interlock.core.caller import Caller
from interlock.core.errors import UnknownTask
from interlock.core.store import TaskFilter
from interlock.ledger.read import Reader, TaskSummary, Trace, TracedStep

Decision = Literal["approve", "edit", "deny", "done", "redo", "skip"]
POLL_S = 0.3
LONGEST_STREAM_S = 3_600.0


class TaskDesk:
    """One per process."""

    def __init__(self, agents: Agents, reader: Reader) -> None:
        self._agents = agents
        self._reader = reader

    async def create(
        self, caller: Caller, workflow: str, given: Mapping[str, Any], key: str
    ) -> tuple[TaskSummary, bool]:
        """A task that somebody will work on, and whether it is new: the same `key` of the same caller is the same task.

        Raises:
            InvalidRequest: the workflow is unknown or the input does not fit it.
        """
        named = f"{caller.tenant}\n{caller.key_id}\n{workflow}\n{key}" if key else ""
        digest = hashlib.sha256(named.encode()).hexdigest() if named else ""
        task, new = await self._agents.submit(workflow, given, caller=caller, digest=digest)
        return await self.one(caller, task), new

    async def list(self, caller: Caller, *, workflow: str = "", status: str = "", limit: int = 50) -> list[TaskSummary]:
        """The tenant's tasks, newest first."""
        which = TaskFilter(
            tenant=caller.tenant, kind="task", workflow=workflow, status=cast("Any", status), limit=limit
        )
        return await asyncio.to_thread(self._reader.tasks, which)

    async def one(self, caller: Caller, task: str) -> TaskSummary:
        """Raises UnknownTask."""
        found = await asyncio.to_thread(self._reader.task, task)
        if found is None or found.tenant != caller.tenant:
            raise UnknownTask(task)
        return found

    async def trace(self, caller: Caller, task: str) -> Trace:
        """Everything recorded about it. Raises UnknownTask."""
        await self.one(caller, task)
        found = await asyncio.to_thread(self._reader.trace, task)
        if found is None:
            raise UnknownTask(task)
        return found

    async def events(self, caller: Caller, task: str, after: int) -> AsyncIterator[TracedStep | None]:
        """Steps as they are recorded, those after `after` first; `None` where nothing has come for a while. Ends with the task."""
        async with asyncio.timeout(LONGEST_STREAM_S):
            while True:
                trace = await self.trace(caller, task)
                for step in trace.steps:
                    if step.step > after:
                        after = step.step
                        yield step
                if trace.task.status == "finished":
                    return
                yield None
                await asyncio.sleep(POLL_S)

    async def waiting(self, caller: Caller) -> list[Question]:
        """Every question that the tenant's tasks put to a person, oldest first."""
        found: list[Question] = []
        for status in ("waiting", "in_doubt"):
            for row in await self.list(caller, status=status, limit=1_000):
                found.extend(await self._agents.questions(row.task))
        return found

    async def questions(self, caller: Caller, task: str) -> list[Question]:
        """Raises UnknownTask."""
        await self.one(caller, task)
        return await self._agents.questions(task)

    async def decide(
        self,
        caller: Caller,
        task: str,
        step: int,
        decision: Decision,
        *,
        who: str,
        note: str,
        arguments: Mapping[str, Any] | None,
    ) -> None:
        """A person's answer; the task goes on. Raises UnknownTask, InvalidRequest: nothing (any more) is asked there."""
        await self.one(caller, task)
        await self._agents.decide(task, step, decision, who=who, note=note, arguments=arguments)

    async def outcome(
        self, caller: Caller, task: str, *, success: bool, source: Source, who: str, note: str
    ) -> TaskSummary:
        """What became of a task according to somebody who knows. Raises UnknownTask, InvalidRequest."""
        await self.one(caller, task)
        await self._agents.verdicts.seen(task, success=success, source=source, who=who, note=note)
        return await self.one(caller, task)

    async def cancel(self, caller: Caller, task: str, who: str) -> None:
        """Asks it to end; its reversible effects are undone. Raises UnknownTask."""
        await self.one(caller, task)
        await self._agents.cancel(task, who=who)
