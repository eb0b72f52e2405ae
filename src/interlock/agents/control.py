"""What people say to tasks: decisions, rulings, an end, a pause, a signal, the last word on one that was handed over.

Above: `service`, which is one of these. Below: the journal, `question`. Everything but the last word is a signal: the task hears it when it is worked on next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Literal

from interlock.core.errors import InvalidRequest
from interlock.core.events import OutcomeSeen, Record
from interlock.core.ids import Ids
from interlock.core.store import Signal, TaskRow
from interlock.core.time import Clock

from .approve import APPROVAL_SIGNAL
from .contract import Contract
from .decide import CANCEL_NOTE
from .doubt import DOUBT_SIGNAL
from .journal import Journal
from .listen import CALL_PREFIX, PAUSE_SIGNAL, RESUME_SIGNAL
from .question import Question, questions_of
from .state import State, fold
from .verdicts import Verdicts

Ruling = Literal["approve", "edit", "deny", "done", "redo", "skip", "compensate"]
LONGEST_NAME = 200
APPROVALS: tuple[Ruling, ...] = ("approve", "edit", "deny")


class Control:
    """The half of `Agents` that only leaves word."""

    def __init__(
        self, contracts: Mapping[str, Contract], journal: Journal, clock: Clock, ids: Ids, redact: Callable[[str], str]
    ) -> None:
        self._contracts = contracts
        self._journal, self._clock, self._ids, self._redact = journal, clock, ids, redact
        self.verdicts = Verdicts(journal, clock)
        """What becomes known of tasks after their end."""
        self._nudged = asyncio.Event()
        """There is something to work on before the next look would find it."""
        self._called: set[str] = set()
        """Tasks that something has come in for since their worker last asked."""

    def contract(self, workflow: str) -> Contract:
        """Raises InvalidRequest when there is none of that name."""
        contract = self._contracts.get(workflow)
        if contract is None:
            known = ", ".join(sorted(self._contracts)) or "none"
            raise InvalidRequest(f"there is no workflow {workflow!r}", param="workflow", hint=f"Known: {known}.")
        return contract

    async def row(self, task: str) -> TaskRow | None:
        """The task as lists show it."""
        return await self._journal.get(task)

    async def state(self, task: str) -> State:
        """The task as its log says; an empty state where there is none."""
        return fold(await self._journal.records(task))

    async def questions(self, task: str) -> list[Question]:
        """What the task waits for a person to say."""
        now_ns = self._clock.wall_ns()
        asked = questions_of(fold(await self._journal.records(task)))
        return [question for question in asked if not question.expires_ns or question.expires_ns > now_ns]

    async def decide(
        self,
        task: str,
        step: int,
        decision: Ruling,
        *,
        who: str,
        note: str = "",
        arguments: Mapping[str, Any] | None = None,
        result: Any = None,
    ) -> None:
        """A person's answer to a question, kept as a signal; the task goes on at the next `resume` or `work_off`.

        Raises:
            InvalidRequest: the task asks nothing at that step, not this, or no longer; or nothing undoes the tool.
            ToolArgumentsInvalid: the tool would refuse the edit.
        """
        question = await self._question(task, step, decision)
        payload: dict[str, Any] = {"step": step, "decision": decision, "who": who, "note": note}
        if question.kind == "approval":
            payload["arguments_hash"] = question.arguments_hash
        row = await self._journal.get(task)
        contract = self.contract(row.workflow.partition("~")[0]) if row else None
        if decision == "edit":
            grant = contract.grants.get(question.tool) if contract else None
            if grant is not None:
                grant.tool.convert(dict(arguments or {}))
            payload["arguments"] = dict(arguments or {})
        if decision == "compensate" and contract is not None:
            _undoable(contract, question)
        if decision == "done":
            payload["result"] = result
        name = APPROVAL_SIGNAL if question.kind == "approval" else DOUBT_SIGNAL
        await self._send(task, name, payload)

    async def cancel(self, task: str, *, who: str) -> None:
        """Asks a task to end: its reversible effects are undone. One at work sees it before its next step."""
        await self._send(task, CANCEL_NOTE, {"who": who})

    async def pause(self, task: str, *, who: str) -> None:
        """Asks that nobody works on a task until `unpause`. One at work ends the step it is at; time that passes is not its own."""
        await self._send(task, PAUSE_SIGNAL, {"who": who})

    async def unpause(self, task: str, *, who: str) -> None:
        """Lets a paused task go on."""
        await self._send(task, RESUME_SIGNAL, {"who": who})

    async def signal(self, task: str, name: str, payload: Any, *, who: str, key: str = "") -> bool:
        """Something that a task waits for, or will; False where a signal of that `key` had come before.

        Raises:
            InvalidRequest: the name is empty or too long.
        """
        if not name or len(name) > LONGEST_NAME:
            raise InvalidRequest(f"a signal's name has 1 to {LONGEST_NAME} characters", param="name")
        return await self._send(task, f"{CALL_PREFIX}{name}", {"payload": payload, "who": who}, key)

    async def close(self, task: str, *, success: bool, who: str, note: str = "") -> None:
        """A person has dealt with a task that was handed over: what became of it, and its content goes as the contract says.

        Raises:
            InvalidRequest: it has not finished, or a person has closed it before.
        """
        state = fold(await self._journal.records(task))
        if state.finished is None or state.started is None:
            raise InvalidRequest(f"task {task} has not finished", param="task", hint="Answer its questions first.")
        if state.seen is not None and state.seen.source == "person":
            raise InvalidRequest(f"task {task} has been closed by {state.seen.note or 'a person'}", param="task")
        seen = OutcomeSeen(success, "person", f"{who}: {note}" if note else who)
        await self._journal.append([Record(task, state.next_seq, state.tenant, self._clock.wall_ns(), seen)])
        policy = self.contract(state.started.workflow).store_prompts
        if policy != "full":
            await self._journal.scrub(task, policy, self._redact)

    async def _question(self, task: str, step: int, decision: str) -> Question:
        questions = await self.questions(task)
        kind = "approval" if decision in APPROVALS else "doubt"
        for question in questions:
            if question.step == step and question.kind == kind:
                return question
        open_ones = ", ".join(f"step {q.step} ({q.kind} of {q.tool})" for q in questions) or "nothing"
        raise InvalidRequest(
            f"task {task} asks for no {kind} at step {step}", param="step", hint=f"It asks: {open_ones}."
        )

    async def _send(self, task: str, name: str, payload: dict[str, Any], key: str = "") -> bool:
        sent = Signal(task, key or self._ids.new("sig"), name, payload, self._clock.wall_ns())
        new = await self._journal.signal(sent)
        self._called.add(task)
        self._nudged.set()
        return new

    def _was_called(self, task: str) -> bool:
        """Whether something has come in for the task in this process since this was last asked."""
        if task not in self._called:
            return False
        self._called.discard(task)
        return True


def _undoable(contract: Contract, question: Question) -> None:
    grant = contract.grants.get(question.tool)
    if grant is None or not grant.tool.reversible_by:
        raise InvalidRequest(
            f"nothing undoes {question.tool}", param="decision", hint="Say `done`, `redo` or `skip` instead."
        )
