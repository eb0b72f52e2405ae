"""Tasks for those who come in over HTTP: begun, looked at, decided on, cancelled; always of the caller's own tenant.

Above: server. Below: compose's agents, ledger's reader. What belongs to another tenant does not exist.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any, cast

from interlock.agents.contract import Contract
from interlock.agents.control import Ruling
from interlock.agents.question import Question
from interlock.agents.replay import Replay
from interlock.agents.result import TaskResult, result_of
from interlock.agents.service import Agents
from interlock.agents.verdicts import Source
from interlock.core.caller import Caller
from interlock.core.errors import InvalidRequest, UnknownTask
from interlock.core.store import TaskFilter
from interlock.ledger.read import Reader, TaskSummary, Trace

from .follow import POLL_S, Follow, Told
from .following import Place, place_of
from .forking import Forking, Terms

Decision = Ruling


class TaskDesk:
    """One per process."""

    def __init__(self, agents: Agents, reader: Reader) -> None:
        self._agents = agents
        self._reader = reader
        self._forking = Forking(agents.again)
        self._follow = Follow(agents, self.trace)

    async def create(
        self,
        caller: Caller,
        workflow: str,
        given: Mapping[str, Any],
        key: str,
        *,
        text: bool = False,
        priority: int = 0,
        lock: str = "",
    ) -> tuple[TaskSummary, bool]:
        """A task that somebody will work on, and whether it is new: the same `key` of the same caller is the same task. `text`: its caller is about
        to follow what its models write.

        Raises:
            InvalidRequest: the workflow is unknown or the input does not fit it.
        """
        named = f"{caller.tenant}\n{caller.key_id}\n{workflow}\n{key}" if key else ""
        digest = hashlib.sha256(named.encode()).hexdigest() if named else ""
        task, new = await self._agents.submit(
            workflow, given, caller=caller, digest=digest, text=text, priority=priority, lock=lock
        )
        return await self.one(caller, task), new

    async def list(
        self, caller: Caller, *, workflow: str = "", status: str = "", outcome: str = "", limit: int = 50
    ) -> list[TaskSummary]:
        """The tenant's tasks, newest first."""
        which = TaskFilter(
            tenant=caller.tenant,
            kind="task",
            workflow=workflow,
            status=cast("Any", status),
            outcome=outcome,
            limit=limit,
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

    async def result(self, caller: Caller, task: str, wait_s: float) -> tuple[TaskResult, bool]:
        """How far it got, and whether it is over; waits for its end, `wait_s` at most. Raises UnknownTask."""
        await self.one(caller, task)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while True:
                    if await self._over(task):
                        break
                    await asyncio.sleep(POLL_S)
        state = await self._agents.state(task)
        if state.started is None:
            raise InvalidRequest(f"{task} is a call, not a task", param="task", hint="Its trace has the answer.")
        return result_of(state), state.finished is not None

    def events(self, caller: Caller, task: str, place: Place, *, text: bool = False) -> AsyncGenerator[Told | None]:
        """Records as they come, those behind `place` first, and with `text` what models write while they write; `None` where nothing has come for
        a while. Ends with the task. Raises UnknownTask.
        """
        return self._follow.task(caller, task, place, text=text)

    async def _over(self, task: str) -> bool:
        row = await self._agents.row(task)
        return row is None or row.status == "finished"

    async def waiting(self, caller: Caller) -> list[Question]:
        """Every question that the tenant's tasks put to a person, oldest first."""
        asking = await self.list(caller, outcome="waiting_approval", limit=1_000)
        asking += await self.list(caller, status="in_doubt", limit=1_000)
        found: list[Question] = []
        for task in dict.fromkeys(row.task for row in sorted(asking, key=lambda row: row.waiting_since)):
            found.extend(await self._agents.questions(task))
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
        decision: Ruling,
        *,
        who: str,
        note: str,
        arguments: Mapping[str, Any] | None,
        result: Any = None,
    ) -> None:
        """A person's answer; the task goes on. Raises UnknownTask, InvalidRequest: nothing (any more) is asked there."""
        await self.one(caller, task)
        await self._agents.decide(task, step, decision, who=who, note=note, arguments=arguments, result=result)

    async def outcome(
        self, caller: Caller, task: str, *, success: bool, source: Source, who: str, note: str
    ) -> TaskSummary:
        """What became of a task according to somebody who knows. Raises UnknownTask, InvalidRequest."""
        await self.one(caller, task)
        await self._agents.verdicts.seen(task, success=success, source=source, who=who, note=note)
        return await self.one(caller, task)

    async def cancel(self, caller: Caller, task: str, who: str) -> None:
        """Asks it to end; its reversible effects are undone. Raises UnknownTask, InvalidRequest: it is over."""
        await self._going_on(caller, task)
        await self._agents.cancel(task, who=who)

    async def pause(self, caller: Caller, task: str, who: str) -> None:
        """Asks that it makes no further step. Raises UnknownTask, InvalidRequest: it is over."""
        await self._going_on(caller, task)
        await self._agents.pause(task, who=who)

    async def unpause(self, caller: Caller, task: str, who: str) -> None:
        """Lets it go on. Raises UnknownTask, InvalidRequest: it is over."""
        await self._going_on(caller, task)
        await self._agents.unpause(task, who=who)

    async def signal(self, caller: Caller, task: str, name: str, payload: Any, *, who: str, key: str) -> bool:
        """Sends it something; False where that `key` has been sent before. Raises UnknownTask, InvalidRequest: it is over."""
        await self._going_on(caller, task)
        return await self._agents.signal(task, name, payload, who=who, key=f"{who}:{key}" if key else "")

    async def close(self, caller: Caller, task: str, *, success: bool, who: str, note: str) -> None:
        """What became of a task that was handed over. Raises UnknownTask, InvalidRequest: it is not over, or was closed before."""
        await self.one(caller, task)
        await self._agents.close(task, success=success, who=who, note=note)

    def contract(self, workflow: str) -> Contract:
        """What a workflow, or a fork of it, is decided under now. Raises InvalidRequest: it is none of ours."""
        return self._agents.contract(workflow.partition("~")[0])

    async def replay(self, caller: Caller, task: str, *, now: bool = False) -> Replay:
        """The task decided once more from its log, calling and writing nothing; `now`: under the contract of now. Raises UnknownTask, InvalidRequest."""
        await self.one(caller, task)
        return await self._agents.again.replay(task, now=now)

    async def fork(self, caller: Caller, task: str, terms: Terms) -> str:
        """The id of a new task that goes on from a step under other terms; it may still be under way.

        Raises:
            UnknownTask, InvalidRequest: nothing can be forked there. Shed: as many are under way as may be.
        """
        await self.one(caller, task)
        return await self._forking.begin(task, terms)

    async def _going_on(self, caller: Caller, task: str) -> None:
        found = await self.one(caller, task)
        if found.kind != "task" or found.status == "finished":
            raise InvalidRequest(f"{task} is over", param="task", hint="Nothing more can be asked of it.")


async def followed(desk: TaskDesk, caller: Caller, task: str, after: str) -> AsyncGenerator[Told]:
    """As `TaskDesk.events`, with the text, from a place as text. Raises UnknownTask."""
    async with aclosing(desk.events(caller, task, place_of(after), text=True)) as events:
        async for each in events:
            if each is not None:
                yield each
