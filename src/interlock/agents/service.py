"""Running tasks: begin, resume, work off. The face that `app` offers; what people say to tasks is its base, `control`.

Above: `app`, `server`, `cli`. Below: `run`, the journal. One `Agents` per process.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any

from msgspec.structs import replace

from interlock.core.caller import Caller
from interlock.core.due import fitting
from interlock.core.errors import Fenced, InterlockError, InvalidRequest, LedgerFull, Shed, StoreUnavailable
from interlock.core.events import OutcomeSeen, Record, Started, Usual
from interlock.core.guards import Guards
from interlock.core.ids import Ids
from interlock.core.ports import ChatGateway
from interlock.core.store import TaskRow
from interlock.core.time import Clock
from interlock.tools.call import ToolDesk

from . import waits
from .again import Again
from .children import Children
from .contract import Contract
from .control import Control
from .inputs import checked
from .intend import short
from .journal import Journal
from .lease import Leases
from .live import Followers, Hears
from .repeat import Answered, unkept
from .result import TaskResult, result_of
from .run import AT_ONCE_NS, Parts, Score, Tell, Worker
from .score import score
from .shift import Shift, Terms
from .state import State, fold
from .verdicts import at_end
from .versions import Kept, NoneKept, terms_of

_log = logging.getLogger("interlock.agents")

UNFINISHED = ("waiting", "waiting_approval")
"""What a result says of a task that is not over."""
Usually = Callable[[str], Usual | None]
"""What successful runs of a workflow need, as far as it is known."""


class Agents(Control):
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
        kept: Kept | None = None,
        guards: Guards | None = None,
        followers: Followers | None = None,
    ) -> None:
        """`redact` takes what is personal out of a text; contracts with `store_prompts: redacted` rely on it. `kept`: where old versions are found.
        `followers`: who is told what models write; without them nothing is.
        """
        super().__init__(contracts, journal, clock, ids, redact)
        self._leases = Leases(journal, self._called.add)
        self._stopping = asyncio.Event()
        self._kept = kept or NoneKept()
        self._guards = guards
        self.followers = followers
        self.tell: Tell = _nobody
        self.answered: Answered = unkept
        """Asked before questions and ends are written, to keep what is to be told of them."""
        self.usually: Usually = _unknown
        """Asked whenever a task begins; what it says stands in the log from then on."""
        self.again = Again(self.contract, journal, clock, ids, self._work_on, self._send, self._kept)
        self._children = Children(self.contract, journal, clock, self._usual, self._begin, self._send)
        self._parts = Parts(
            gateway,
            desk,
            journal,
            clock,
            redact,
            self._children,
            self._tell,
            self._was_called,
            self._stopping.is_set,
            sleep,
            self._answered,
            followers,
        )

    def stop(self) -> None:
        """Lets every task go at its next step; they resume where they are."""
        self._stopping.set()
        self._nudged.set()

    def nudge(self) -> None:
        """There may be something to work on, or to tell to what is at work, before the next look would find it."""
        self._nudged.set()
        self._leases.look()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def run(
        self,
        workflow: str,
        given: Mapping[str, Any],
        *,
        caller: Caller | None = None,
        batch: str = "",
        line: int = 0,
        priority: int = 0,
        expected: Mapping[str, Any] | None = None,
        hears: Hears | None = None,
    ) -> TaskResult:
        """A new task, worked on until it ends or has to wait. `hears` is told what its models write while they write. `priority`: where others go on
        with it.

        Raises:
            InvalidRequest: the workflow is unknown or the input does not fit it; nothing was written.
            StoreUnavailable, LedgerFull: it cannot be recorded; a task that has begun goes on at the next `resume`.
            Fenced: another worker took it over, or has this line already. Shed: the process is ending, and the task was let go.
        """
        contract = self.contract(workflow)
        values = self._taken(contract, given)
        task = _line_task(contract, batch, line) if batch else self._ids.new("tsk")
        who = caller or Caller(contract.tenant)
        who = Caller(
            contract.tenant, who.user, who.key_id, workflow, task, versions=contract.versions, labels=who.labels
        )
        facts, usual = contract.facts(values), self.usually(workflow)
        started = Started(workflow, who, contract.versions, batch, line, facts, usual, priority=fitting(priority))
        record = Record(task, 0, contract.tenant, self._clock.wall_ns(), started, {"input": values})
        fence = await self._begin(record, contract)
        with self._heard_by(task, hears):
            result = await self._work_on(fold([record]), contract, fence, expected)
            return await self._with_children(result)

    async def submit(
        self,
        workflow: str,
        given: Mapping[str, Any],
        *,
        caller: Caller,
        digest: str = "",
        text: bool = False,
        priority: int = 0,
        lock: str = "",
    ) -> tuple[str, bool]:
        """A new task that is worked on by whoever comes first (`work_off`), and whether it is new.

        `digest` (hex) makes its id: the same one again is the same task, whatever the input says then. `text`: somebody is about to follow what
        its models write. `priority`: of the tenant's due tasks those of a higher number go first. `lock`: it does not begin while an older task of the
        tenant with the same one is not over.

        Raises:
            InvalidRequest: the workflow is unknown, not this tenant's, or the input does not fit it; nothing was written.
        """
        contract = self.contract(workflow)
        if caller.tenant != contract.tenant:
            raise InvalidRequest(
                f"there is no workflow {workflow!r}", param="workflow", hint="Known: none of your tenant."
            )
        values = self._taken(contract, given)
        task = f"tsk_{short(bytes.fromhex(digest))}" if digest else self._ids.new("tsk")
        if text and self.followers is not None:
            self.followers.expect(task)
        who = Caller(
            contract.tenant,
            caller.user,
            caller.key_id,
            workflow,
            task,
            versions=contract.versions,
            trace=caller.trace,
            labels=caller.labels,
        )
        facts, usual = contract.facts(values), self.usually(workflow)
        started = Started(workflow, who, contract.versions, "", 0, facts, usual, priority=fitting(priority), lock=lock)
        record = Record(task, 0, contract.tenant, self._clock.wall_ns(), started, {"input": values})
        try:
            fence = await self._begin(record, contract)
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
            return self._shown(state) if state.finished else None
        return await self._go_on(task, fence, expected)

    async def _go_on(self, task: str, fence: int, expected: Mapping[str, Any] | None = None) -> TaskResult | None:
        """Works on a task whose lease is held."""
        state = fold(await self._journal.records(task))
        if state.started is None:
            await self._journal.release(task, fence, wake_at_ns=0)
            return None
        terms = await terms_of(self.contract(state.started.workflow), state, self._kept)
        if not state.waiting or terms.is_new_to(state):
            note = Record(task, state.next_seq, state.tenant, self._clock.wall_ns(), terms.note, None, fence)
            await self._journal.append([note])
            state = fold(await self._journal.records(task))
        if await self._children.orphaned(state):
            await self.cancel(task, who="the end of the task that began it")
        result = await self._work_on(state, terms.contract, fence, expected)
        if result.outcome not in UNFINISHED and state.started is not None and state.started.parent:
            await self.resume(state.started.parent)
        return result

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

    def shift(self, terms: Terms | None = None) -> Shift:
        """What takes due tasks from whichever process they come, and works on them until `stop`. A store that is away is waited for."""
        served = [(contract.tenant, workflow) for workflow, contract in self._contracts.items()]
        return Shift(
            lambda row: self._go_on(row.id, row.fence),
            self._journal,
            served,
            self._clock,
            terms or Terms(),
            nudged=self._nudged,
            stopping=self._stopping.is_set,
        )

    async def _work_on(
        self, state: State, contract: Contract, fence: int, expected: Mapping[str, Any] | None
    ) -> TaskResult:
        assert state.started is not None
        judge: Score | None = None
        if expected or contract.ends.tool or contract.ends.sla_s:
            judge = partial(_judge, expected or {}, contract, self._clock)
        self._leases.hold(state.task)
        try:
            worker = Worker(self._parts, waits.within(contract, state), state.started.caller, fence, judge)
            state = await worker.work(state)
        except Fenced:
            raise
        except BaseException:
            # Whoever comes next need not wait until the lease has run out.
            with suppress(InterlockError):
                await self._journal.release(state.task, fence, wake_at_ns=AT_ONCE_NS)
            raise
        finally:
            self._leases.drop(state.task)
            self._called.discard(state.task)
        if state.finished is None and not state.waiting:
            raise Shed(f"the process is ending; task {state.task} goes on when it is resumed", retry_after_s=1.0)
        self._nudged.set()
        return self._shown(state)

    def _taken(self, contract: Contract, given: Mapping[str, Any]) -> dict[str, Any]:
        """The input as it is recorded. Raises InvalidRequest."""
        values = checked(contract, given)
        return values if self._guards is None else self._guards.given(contract.tenant, values)[0]

    def _shown(self, state: State) -> TaskResult:
        """The result as whoever began the task may see it."""
        result = result_of(state)
        if self._guards is None or result.answer is None:
            return result
        return replace(result, answer=self._guards.revealed(state.tenant, result.answer, ("*",)))

    async def _with_children(self, result: TaskResult) -> TaskResult:
        """Where nobody else does, works on what the task waits for, as long as that brings it forward."""
        while result.outcome == "waiting" and not self.stopping:
            state = fold(await self._journal.records(result.task))
            children = [action.child for action in waits.open_waits(state) if action.child]
            ended = await asyncio.gather(*(self._as_far_as(child) for child in children))
            if not any(each is not None and each.outcome not in UNFINISHED for each in ended):
                return result
            result = await self.resume(result.task) or result
        return result

    async def _as_far_as(self, child: str) -> TaskResult | None:
        result = await self.resume(child)
        return None if result is None else await self._with_children(result)

    async def _begin(self, record: Record, contract: Contract) -> int:
        """Writes a first record; the contract's version can be found again from then on. Raises Fenced."""
        await self._kept.keep(contract)
        return await self._journal.begin(record)

    def _heard_by(self, task: str, hears: Hears | None) -> AbstractContextManager[None]:
        return nullcontext() if hears is None or self.followers is None else self.followers.hearing(task, hears)

    def _usual(self, workflow: str) -> Usual | None:
        return self.usually(workflow)

    async def _tell(self, state: State, contract: Contract, records: Sequence[Record]) -> None:
        await self.tell(state, contract, records)

    async def _answered(self, tenant: str, key: str, text: str) -> str:
        return await self.answered(tenant, key, text)

    def _is_ours(self, row: TaskRow) -> bool:
        """Several tenants may share a store, and their workflows a name."""
        contract = self._contracts.get(row.workflow)
        return contract is not None and contract.tenant == row.tenant


def _line_task(contract: Contract, batch: str, line: int) -> str:
    """The id of a line's task. It is the same in every process, so that two that run one file at once begin no line twice."""
    digest = hashlib.sha256(f"{contract.tenant}\n{contract.workflow}\n{batch}\n{line}".encode()).digest()
    return f"tsk_{short(digest)}"


async def _nobody(_state: State, _contract: Contract, _records: Sequence[Record]) -> None: ...


def _unknown(_workflow: str) -> Usual | None:
    return None


def _judge(expected: Mapping[str, Any], contract: Contract, clock: Clock, state: State) -> OutcomeSeen | None:
    """What labels say; without any, what the contract asks of a success."""
    return score(state, expected) or at_end(state, contract.ends, clock.wall_ns())
