"""Replay and fork: a task decided again from its log, or a copy of it that goes on from one of its steps under another contract.

Above: `service`. Below: `replay`, `fork`, the journal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from interlock.core.errors import InvalidRequest
from interlock.core.events import Record
from interlock.core.ids import Ids
from interlock.core.time import Clock

from .approve import APPROVAL_SIGNAL
from .contract import Contract
from .fork import FORK, copied, held_back
from .journal import Journal
from .question import questions_of
from .replay import Replay, replay
from .result import TaskResult
from .state import State, fold
from .versions import Kept, same

Work = Callable[[State, Contract, int, Mapping[str, Any] | None], Awaitable[TaskResult]]
Send = Callable[[str, str, dict[str, Any]], Awaitable[object]]


class Begun(Struct, frozen=True):
    """A fork that stands in the ledger and has not gone on yet."""

    state: State
    original: State
    contract: Contract
    fence: int

    @property
    def task(self) -> str:
        return self.state.task


class Again:
    """Looks at old tasks with new eyes."""

    def __init__(
        self,
        contract: Callable[[str], Contract],
        journal: Journal,
        clock: Clock,
        ids: Ids,
        work: Work,
        send: Send,
        kept: Kept,
    ) -> None:
        """`work` goes on with a task until it ends or waits; `send` puts a signal; `kept` finds contracts of earlier versions."""
        self._kept = kept
        self._contract, self._journal, self._clock, self._ids = contract, journal, clock, ids
        self._work, self._send = work, send

    async def replay(self, task: str, *, now: bool = False) -> Replay:
        """Decides the task once more from its log, under the contract that it began with where that is kept; calls and writes nothing. `now`: under that of now.

        Raises:
            InvalidRequest: there is no such task, or its workflow is none of ours.
        """
        records = await self._journal.records(task)
        contract, began = self._contract(_workflow_of(records, task)), fold(records[:1])
        kept = None if now or same(contract, began) else await self._kept.find(contract, began)
        return replay(records, kept or contract)

    async def fork(
        self, task: str, at: int, change: Callable[[Contract], Contract], *, effects: bool = False
    ) -> TaskResult:
        """A new task that goes on from step `at` of an old one under a changed contract, until it ends or asks something new.

        What people decided on the very same calls of the original is decided the same way. With `effects` its tools are really called.

        Raises:
            InvalidRequest: there is no such task, or nothing to be decided anew at that step.
        """
        return await self.go_on(await self.begin_fork(task, at, change, effects=effects))

    async def begin_fork(
        self, task: str, at: int, change: Callable[[Contract], Contract], *, effects: bool = False
    ) -> Begun:
        """The fork as `go_on` takes it, so that its id is known before it calls anything. Raises InvalidRequest, as `fork` does."""
        records = await self._journal.records(task)
        contract = change(self._contract(_workflow_of(records, task).partition("~")[0]))
        original = fold(records)
        contract = replace(
            contract if effects else held_back(contract, original), workflow=f"{contract.workflow}{FORK}"
        )
        made = copied(records, at, self._ids.new("tsk"), self._clock.wall_ns(), contract)
        fence = await self._journal.begin(made[0])
        await self._journal.append([replace(record, fence=fence) for record in made[1:]])
        return Begun(fold(made), original, contract, fence)

    async def go_on(self, begun: Begun) -> TaskResult:
        """Works on a fork until it ends or asks something new."""
        state, fence = begun.state, begun.fence
        while True:
            result = await self._work(state, begun.contract, fence, None)
            fork = fold(await self._journal.records(state.task))
            if fork.finished is not None or not await self._as_before(fork, begun.original):
                return result
            claimed = await self._journal.claim(state.task)
            if claimed is None:
                return result
            fence, state = claimed, fold(await self._journal.records(state.task))

    async def _as_before(self, fork: State, original: State) -> bool:
        """Answers the fork's questions as people answered the same ones of the original; whether all were."""
        known = {(a.asked.tool, a.asked.arguments_hash): a for a in original.approvals if a.decided is not None}
        questions = questions_of(fork)
        for question in questions:
            before = known.get((question.tool, question.arguments_hash))
            if before is None or before.decided is None or before.decided.decision == "expire":
                return False
            payload: dict[str, Any] = {
                "step": question.step,
                "decision": before.decided.decision,
                "who": f"{before.decided.who}, in the original",
                "note": before.decided.note,
                "arguments_hash": question.arguments_hash,
            }
            if before.edited is not None:
                payload["arguments"] = before.edited
            await self._send(fork.task, APPROVAL_SIGNAL, payload)
        return bool(questions)


def _workflow_of(records: Sequence[Record], task: str) -> str:
    started = fold(records[:1]).started
    if started is None:
        raise InvalidRequest(
            f"there is no task {task!r} with steps of its own", param="task", hint="`interlock tasks` lists them."
        )
    return started.workflow
