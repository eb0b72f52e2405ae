"""Running tasks: begin, resume, decide, cancel. The face that `app` offers.

Above: `app`, `server`, `cli`. Below: `run`, the journal. One `Agents` per process.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal

from interlock.core.caller import Caller
from interlock.core.errors import Fenced, InterlockError, InvalidRequest, LedgerFull, Shed, StoreUnavailable
from interlock.core.events import Noted, OutcomeSeen, Record, Started, Usual
from interlock.core.ids import Ids
from interlock.core.ports import ChatGateway
from interlock.core.store import Signal, TaskRow
from interlock.core.time import Clock
from interlock.tools.call import ToolDesk

from .again import Again
from .approve import APPROVAL_SIGNAL
from .contract import Contract
from .decide import CANCEL_NOTE
from .doubt import DOUBT_SIGNAL
from .inputs import checked
from .journal import Journal
from .lease import Leases
from .question import Question, questions_of
from .result import TaskResult, result_of
from .run import Parts, Score, Worker
from .score import score
from .state import RESUMED, State, fold

_log = logging.getLogger("interlock.agents")


Told = Callable[[str, TaskResult, Sequence[Question]], None]
Usually = Callable[[str], Usual | None]
"""What successful runs of a workflow need, as far as it is known."""


class Agents:
    """Runs tasks of the contracts it was given."""

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        *,
        gateway: ChatGateway,
        desk: ToolDesk,
        journal: Journal,
        clock: Clock,
        ids: Ids,
        redact: Callable[[str], str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`redact` takes what is personal out of a text; contracts with `store_prompts: redacted` rely on it."""
        self._contracts = contracts
        self._journal, self._clock, self._ids = journal, clock, ids
        self._leases = Leases(journal)
        self._stopping = asyncio.Event()
        self._nudged = asyncio.Event()
        """There is something to work on before the next look would find it."""
        self.told: Told | None = None
        """Told whenever a task is let go: of its workflow, how far it got, and what it asks."""
        self.usually: Usually = _unknown
        """Asked whenever a task begins; what it says stands in the log from then on."""
        self.again = Again(self.contract, journal, clock, ids, self._work_on, self._send)
        self._parts = Parts(gateway, desk, journal, clock, redact, self._stopping.is_set, sleep)

    def stop(self) -> None:
        """Lets every task go at its next step; they resume where they are."""
        self._stopping.set()
        self._nudged.set()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def contract(self, workflow: str) -> Contract:
        """Raises InvalidRequest when there is none of that name."""
        contract = self._contracts.get(workflow)
        if contract is None:
            known = ", ".join(sorted(self._contracts)) or "none"
            raise InvalidRequest(f"there is no workflow {workflow!r}", param="workflow", hint=f"Known: {known}.")
        return contract

    async def run(
        self,
        workflow: str,
        given: Mapping[str, Any],
        *,
        caller: Caller | None = None,
        batch: str = "",
        line: int = 0,
        expected: Mapping[str, Any] | None = None,
    ) -> TaskResult:
        """A new task, worked on until it ends or has to wait.

        Raises:
            InvalidRequest: the workflow is unknown or the input does not fit it; nothing was written.
            StoreUnavailable, LedgerFull: it cannot be recorded; a task that has begun goes on at the next `resume`.
            Fenced: another worker took it over, or has this line already. Shed: the process is ending, and the task was let go.
        """
        contract = self.contract(workflow)
        values = checked(contract, given)
        task = _line_task(contract, batch, line) if batch else self._ids.new("tsk")
        who = caller or Caller(contract.tenant)
        who = Caller(contract.tenant, who.user, who.key_id, workflow, task, versions=contract.versions)
        facts, usual = contract.facts(values), self.usually(workflow)
        started = Started(workflow, who, contract.versions, batch, line, facts, usual)
        record = Record(task, 0, contract.tenant, self._clock.wall_ns(), started, {"input": values})
        fence = await self._journal.begin(record)
        return await self._work(fold([record]), fence, expected)

    async def submit(
        self, workflow: str, given: Mapping[str, Any], *, caller: Caller, digest: str = ""
    ) -> tuple[str, bool]:
        """A new task that is worked on by whoever comes first (`work_off`), and whether it is new.

        `digest` (hex) makes its id: the same one again is the same task, whatever the input says then.

        Raises:
            InvalidRequest: the workflow is unknown, not this tenant's, or the input does not fit it; nothing was written.
        """
        contract = self.contract(workflow)
        if caller.tenant != contract.tenant:
            raise InvalidRequest(
                f"there is no workflow {workflow!r}", param="workflow", hint="Known: none of your tenant."
            )
        values = checked(contract, given)
        task = f"tsk_{_short(bytes.fromhex(digest))}" if digest else self._ids.new("tsk")
        who = Caller(
            contract.tenant, caller.user, caller.key_id, workflow, task, versions=contract.versions, trace=caller.trace
        )
        facts, usual = contract.facts(values), self.usually(workflow)
        started = Started(workflow, who, contract.versions, "", 0, facts, usual)
        record = Record(task, 0, contract.tenant, self._clock.wall_ns(), started, {"input": values})
        try:
            fence = await self._journal.begin(record)
        except Fenced:
            return task, False
        await self._journal.release(task, fence, wake_at_ns=0)
        self._nudged.set()
        return task, True

    async def resume(self, task: str, *, expected: Mapping[str, Any] | None = None) -> TaskResult | None:
        """Goes on with a task that nobody holds; `None` while a living worker does or when there is no such task."""
        fence = await self._journal.claim(task)
        if fence is None:
            state = fold(await self._journal.records(task))
            return result_of(state) if state.finished else None
        state = fold(await self._journal.records(task))
        if state.started is None:
            await self._journal.release(task, fence, wake_at_ns=0)
            return None
        contract = self.contract(state.started.workflow)
        if not state.waiting:
            await self._journal.append([self._resumed(state, contract, fence)])
            state = fold(await self._journal.records(task))
        return await self._work(state, fence, expected)

    def _resumed(self, state: State, contract: Contract, fence: int) -> Record:
        """The note that the task goes on, and whether its contract has changed since it began."""
        assert state.started is not None
        changed = contract.versions.contract != state.started.versions.contract
        reason = (
            "the contract has changed since it began; its log is read under the new one"
            if changed
            else "taken up again"
        )
        event = Noted(RESUMED, reason)
        return Record(state.task, state.next_seq, state.tenant, self._clock.wall_ns(), event, None, fence)

    async def find(self, batch: str, line: int) -> TaskRow | None:
        """The task of one line of an input file, if an earlier run began it."""
        row = await self._journal.find(batch, line)
        return row if row is not None and self._is_ours(row) else None

    async def work_off(self, *, limit: int = 100, concurrency: int = 8) -> list[TaskResult]:
        """Resumes what somebody should work on now: answered questions, passed deadlines, tasks of workers that died.

        A task that cannot be worked on is left for the next time and keeps no other one from its turn.
        """
        room = asyncio.Semaphore(concurrency)

        async def one(task: str) -> TaskResult | None:
            async with room:
                try:
                    return None if self.stopping else await self.resume(task)
                except (Fenced, Shed, StoreUnavailable, LedgerFull):
                    return None
                except Exception:  # noqa: BLE001 - a defect that one task shows must not keep all others waiting
                    _log.exception("task %s could not be worked on", task)
                    return None

        rows = [row for row in await self._journal.runnable() if self._is_ours(row)]
        results = await asyncio.gather(*(one(row.id) for row in rows[:limit]))
        return [result for result in results if result is not None]

    async def keep_working(self, *, every_s: float = 1.0, concurrency: int = 8) -> None:
        """`work_off` again and again until `stop`; for a server, where nobody else resumes tasks. A store that is away is waited for."""
        while not self.stopping:
            with suppress(StoreUnavailable, LedgerFull):
                await self.work_off(concurrency=concurrency)
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._nudged.wait()
            if not self.stopping:
                self._nudged.clear()

    async def questions(self, task: str) -> list[Question]:
        """What the task waits for a person to say."""
        return questions_of(fold(await self._journal.records(task)))

    async def decide(
        self,
        task: str,
        step: int,
        decision: Literal["approve", "edit", "deny", "done", "redo", "skip"],
        *,
        who: str,
        note: str = "",
        arguments: Mapping[str, Any] | None = None,
        result: Any = None,
    ) -> None:
        """A person's answer to a question, kept as a signal; the task goes on at the next `resume` or `work_off`.

        Raises:
            InvalidRequest: the task asks nothing at that step, or not this. ToolArgumentsInvalid: the tool would refuse the edit.
        """
        question = await self._question(task, step, decision)
        payload: dict[str, Any] = {"step": step, "decision": decision, "who": who, "note": note}
        if question.kind == "approval":
            payload["arguments_hash"] = question.arguments_hash
        if decision == "edit":
            row = await self._journal.get(task)
            grant = self.contract(row.workflow).grants.get(question.tool) if row else None
            if grant is not None:
                grant.tool.convert(dict(arguments or {}))
            payload["arguments"] = dict(arguments or {})
        if decision == "done":
            payload["result"] = result
        name = APPROVAL_SIGNAL if question.kind == "approval" else DOUBT_SIGNAL
        await self._send(task, name, payload)

    async def cancel(self, task: str, *, who: str) -> None:
        """Asks a task to end: its reversible effects are undone. A running one sees it at its next wait or resume."""
        await self._send(task, CANCEL_NOTE, {"who": who})

    async def close(self, task: str, *, success: bool, who: str, note: str = "") -> None:
        """A person has dealt with a task that was handed over: what became of it, and its content goes as the contract says.

        Raises:
            InvalidRequest: it has not finished.
        """
        state = fold(await self._journal.records(task))
        if state.finished is None or state.started is None:
            raise InvalidRequest(f"task {task} has not finished", param="task", hint="Answer its questions first.")
        seen = OutcomeSeen(success, "person", f"{who}: {note}" if note else who)
        await self._journal.append([Record(task, state.next_seq, state.tenant, self._clock.wall_ns(), seen)])
        policy = self.contract(state.started.workflow).store_prompts
        if policy != "full":
            await self._journal.scrub(task, policy, self._parts.redact)

    async def _work(self, state: State, fence: int, expected: Mapping[str, Any] | None) -> TaskResult:
        assert state.started is not None
        return await self._work_on(state, self.contract(state.started.workflow), fence, expected)

    async def _work_on(
        self, state: State, contract: Contract, fence: int, expected: Mapping[str, Any] | None
    ) -> TaskResult:
        assert state.started is not None
        judge: Score | None = partial(_judge, expected) if expected else None
        self._leases.hold(state.task)
        try:
            state = await Worker(self._parts, contract, state.started.caller, fence, judge).work(state)
        except Fenced:
            raise
        except BaseException:
            # Whoever comes next need not wait until the lease has run out.
            with suppress(InterlockError):
                await self._journal.release(state.task, fence, wake_at_ns=0)
            raise
        finally:
            self._leases.drop(state.task)
        if state.finished is None and not state.waiting:
            raise Shed(f"the process is ending; task {state.task} goes on when it is resumed", retry_after_s=1.0)
        result = result_of(state)
        if self.told is not None:
            self.told(contract.workflow, result, questions_of(state))
        return result

    def _is_ours(self, row: TaskRow) -> bool:
        """Several tenants may share a store, and their workflows a name."""
        contract = self._contracts.get(row.workflow)
        return contract is not None and contract.tenant == row.tenant

    async def _question(self, task: str, step: int, decision: str) -> Question:
        questions = await self.questions(task)
        kind = "approval" if decision in ("approve", "edit", "deny") else "doubt"
        for question in questions:
            if question.step == step and question.kind == kind:
                return question
        open_ones = ", ".join(f"step {q.step} ({q.kind} of {q.tool})" for q in questions) or "nothing"
        raise InvalidRequest(
            f"task {task} asks for no {kind} at step {step}", param="step", hint=f"It asks: {open_ones}."
        )

    async def _send(self, task: str, name: str, payload: dict[str, Any]) -> None:
        await self._journal.signal(Signal(task, self._ids.new("sig"), name, payload, self._clock.wall_ns()))
        self._nudged.set()


def _line_task(contract: Contract, batch: str, line: int) -> str:
    """The id of a line's task. It is the same in every process, so that two that run one file at once begin no line twice."""
    digest = hashlib.sha256(f"{contract.tenant}\n{contract.workflow}\n{batch}\n{line}".encode()).digest()
    return f"tsk_{_short(digest)}"


def _unknown(_workflow: str) -> Usual | None:
    return None


def _short(digest: bytes) -> str:
    return base64.b32hexencode(digest)[:26].decode().lower()


def _judge(expected: Mapping[str, Any], state: State) -> OutcomeSeen | None:
    return score(state, expected)
