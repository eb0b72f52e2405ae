"""THE LOOP: state = fold; decide; record what is intended; perform; record what was done.

Above: `service`. Below: `decide`, `intend`, the gateway and the tool desk through their ports. Read `Worker.work` top to bottom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from interlock.core.budget import Budget, Limits, Spend
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, ChatResponse
from interlock.core.errors import Fenced, InterlockError, LedgerFull, StoreUnavailable
from interlock.core.events import Finished, Noted, OutcomeSeen, Record
from interlock.core.ids import traceparent
from interlock.core.ports import ChatGateway, ChatReply
from interlock.core.time import Clock
from interlock.tools.call import ToolDesk, ToolReply, ToolRequest

from . import information, limits, outage, repeat, waits
from .actions import CallModel, CallTools, Compensate, Decision, PlannedCall, Wait
from .children import Children
from .contract import TIER0_MODEL, Contract
from .decide import decide
from .intend import Intention, intend
from .journal import Journal
from .listen import Arrival, arrivals, ended_children, heard
from .live import Followers
from .state import CALL_FAILED, State, apply, fold

MAX_PARALLEL = 8
"""Tool calls of one task at the same time."""
AT_ONCE_NS = 1
"""When a task wakes that was let go before its worker knew what it waits for: its status may say that it waits."""
LOOK_UP_S = 1.0
"""How often a task that waits for a model looks whether the process wants to end."""
Tell = Callable[[State, Contract, Sequence[Record]], Awaitable[None]]
"""Keeps what is to be told of records that are about to be written, in the state that they were decided in."""
Score = Callable[[State], OutcomeSeen | None]
"""Judges a finished task by what its input line said should become of it."""


class Parts(Struct, frozen=True):
    """What every task of a process works with."""

    gateway: ChatGateway
    desk: ToolDesk
    journal: Journal
    clock: Clock
    redact: Callable[[str], str]
    children: Children
    tell: Tell
    called: Callable[[str], bool] = lambda _: False
    """Whether something has come in for a task since it was last asked."""
    stopping: Callable[[], bool] = lambda: False
    """True once the process wants to end: tasks stop at the next step and are let go."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    answered: repeat.Answered = repeat.unkept
    """What a deterministic agent was answered before."""
    followers: Followers | None = None
    """Who is told what models write while they write."""


class Worker:
    """One process's hold on one task, from the claim to the end or the next wait."""

    def __init__(
        self, parts: Parts, contract: Contract, caller: Caller, fence: int, score: Score | None = None
    ) -> None:
        self._parts, self._contract, self._fence, self._score = parts, contract, fence, score
        self._caller = replace(caller, versions=contract.versions, workflow=contract.workflow)
        self._budget = Budget(contract.limits)
        self._room = asyncio.Semaphore(MAX_PARALLEL)

    async def work(self, state: State) -> State:
        """The state at the end, at a wait, or where the process was told to stop; the lease is given back in each case.

        Raises:
            Fenced: another worker has taken the task over; nothing more is written. StoreUnavailable, LedgerFull: nothing can
                be recorded, so nothing is done; the task goes on where it was when its lease has run out.
        """
        parts, contract = self._parts, self._contract
        self._budget = limits.budget_of(state, contract)
        state = await self._listen(await self._begin_children(state)) if state.actions else state
        while state.finished is None and not parts.stopping():
            if parts.called(state.task):
                state = await self._listen(state)
            decision = decide(state, contract, parts.clock.wall_ns())
            if isinstance(decision, Wait):
                before, state = state, await self._listen(state)
                if state is before:
                    return await self._let_go(state, decision.wake_at_ns)
                continue
            intention = intend(state, decision, parts.clock.wall_ns(), self._fence)
            records = self._judged(state, intention.records)
            await parts.tell(state, contract, records)
            state = await self._write(state, records)
            state = await self._perform(state, decision, intention)
        return await self._let_go(state, AT_ONCE_NS)

    async def _perform(self, state: State, decision: Decision, intention: Intention) -> State:
        match decision:
            case CallModel():
                return await self._ask(state, decision, intention)
            case CallTools():
                return await self._call(state, decision.calls, intention, self._budget)
            case Compensate():
                return await self._call(state, (decision.call,), intention, None)
            case _:
                return state

    async def _ask(self, state: State, decision: CallModel, intention: Intention) -> State:
        """One model call; what it settled as comes back from the gateway, or from the log where it failed."""
        parts, step, request = self._parts, intention.steps[0], decision.request
        try:
            reply = await self._asked(state, step, request)
        except (Fenced, LedgerFull, StoreUnavailable):
            raise
        except InterlockError as failed:
            what = {"step": step, "code": failed.code, "message": failed.message}
            event = Noted(CALL_FAILED, f"step {step}: {failed.code}: {failed.message}")
            await parts.journal.append([self._record(state, state.next_seq, event, what)])
            state = fold(await parts.journal.records(state.task))
            await self._wait_out(state, step)
            return state
        content = {"response": response_content(reply.response)}
        state = apply(state, self._record(state, step, reply.settled, content))
        if self._contract.seed is None or request.model.startswith(TIER0_MODEL):
            return state
        differs = await repeat.compared(parts.answered, state, self._contract, step, decision.request, reply)
        return await self._write(state, [self._record(state, state.next_seq, differs)] if differs else [])

    async def _asked(self, state: State, step: int, request: ChatRequest) -> ChatReply:
        """The gateway's reply, told to the task's followers while it is written. Raises as `ChatGateway.chat`."""
        parts, contract = self._parts, self._contract
        budget = Budget(Limits()) if request.model.startswith(TIER0_MODEL) else self._budget
        if contract.trace_id:
            request = replace(request, traceparent=traceparent(state.task, step, self._caller.trace))
        caller = replace(self._at(step), labels=information.labels_of(state, contract))
        deadline = limits.deadline_of(state, contract, parts.clock)
        followers = parts.followers
        ear = None if followers is None else followers.ear(state, contract, step, request.model)
        if followers is None or ear is None:
            return await parts.gateway.chat(caller, request, budget=budget, deadline=deadline, fence=self._fence)
        with ear:
            return await followers.aloud(caller, request, budget=budget, deadline=deadline, fence=self._fence, ear=ear)

    async def _wait_out(self, state: State, step: int) -> None:
        """Waits until a call that failed at `step` is worth making again; at once where it is not, or where the process wants to end."""
        failed = next((action for action in state.actions if action.step == step), None)
        if failed is None:
            return
        left_s = outage.wait_s(state, self._contract, failed, self._parts.clock.wall_ns())
        while left_s > 0 and not self._parts.stopping():
            await self._parts.sleep(min(left_s, LOOK_UP_S))
            left_s -= LOOK_UP_S

    async def _call(
        self, state: State, calls: Sequence[PlannedCall], intention: Intention, budget: Budget | None
    ) -> State:
        """Tool calls, at the same time; each settles by itself, and none can take another one down. Those that are waited for are begun."""
        state = await self._begin_children(state)
        grants = self._contract.grants if budget else self._contract.undo_grants
        deadline = limits.deadline_of(state, self._contract, self._parts.clock) if budget else None
        labels = information.labels_of(state, self._contract)

        async def one(call: PlannedCall, step: int, key: str) -> ToolReply:
            why = {"refused": call.refused, "verdict": call.verdict}
            request = ToolRequest(call.name, call.arguments, key, ask_first=call.ask_first, **why)
            async with self._room:
                return await self._parts.desk.call(
                    replace(self._at(step), labels=labels),
                    request,
                    grants,
                    budget=budget,
                    ask=Spend(tool_calls=1),
                    deadline=deadline,
                    fence=self._fence,
                )

        own = [e for e in zip(calls, intention.steps, intention.keys, strict=True) if not e[0].awaits]
        made = [asyncio.ensure_future(one(*each)) for each in own]
        try:
            replies = await asyncio.gather(*made)
        finally:
            for each in made:
                each.cancel()
            await asyncio.gather(*made, return_exceptions=True)
        for (_, step, _), reply in zip(own, replies, strict=True):
            state = apply(state, self._record(state, step, reply.settled, reply.content))
        return state

    async def _listen(self, state: State) -> State:
        """The state with what people have said since; the same object when they said nothing."""
        signals = await self._parts.journal.pending(state.task)
        if not signals:
            return state
        ended = await self._parts.children.of(ended_children(signals))
        came = self._arrived(state, arrivals(state, signals, ended))
        entries = heard(state, self._contract, signals)
        said = [self._record(state, state.next_seq + i, *entry) for i, entry in enumerate(entries)]
        written = await self._write(state, [*came, *said])
        await self._parts.journal.consume(state.task, [signal.id for signal in signals])
        return written

    async def _begin_children(self, state: State) -> State:
        """Begins those that a crash kept from being begun, and those just announced."""
        waiting = [action for action in waits.open_waits(state) if action.awaits == "child"]
        failed = await self._parts.children.begin(state, self._contract, waiting) if waiting else []
        return await self._write(state, self._arrived(state, failed)) if failed else state

    def _arrived(self, state: State, came: Sequence[Arrival]) -> list[Record]:
        return [self._record(state, step, event, content) for step, event, content in waits.then(state, came)]

    async def _write(self, state: State, records: Sequence[Record]) -> State:
        if not records:
            return state
        await self._parts.journal.append(records)
        for record in records:
            state = apply(state, record)
        return state

    async def _let_go(self, state: State, wake_at_ns: int) -> State:
        """Gives the lease back; of a finished task, keeps only the content that the contract allows once nobody has to read it."""
        parts, finished = self._parts, state.finished
        if finished is None:
            await parts.journal.release(state.task, self._fence, wake_at_ns=wake_at_ns)
            return state
        await parts.children.leave(state)
        if finished.outcome != "handed_to_human" and not await parts.children.unread(state):
            await self._scrub(state.task, self._contract)
        for child, contract in parts.children.read(state, self._contract):
            await self._scrub(child, contract)
        return state

    async def _scrub(self, task: str, contract: Contract) -> None:
        if contract.store_prompts != "full":
            await self._parts.journal.scrub(task, contract.store_prompts, self._parts.redact)

    def _judged(self, state: State, records: Sequence[Record]) -> Sequence[Record]:
        """The records, a `Finished` among them with what its answer bears, and after it what the input line's expectations say about it."""
        if records and isinstance(records[-1].event, Finished):
            labels = information.labels_of(state, self._contract)
            records = [*records[:-1], replace(records[-1], event=replace(records[-1].event, labels=labels))]
        if self._score is None or not records or not isinstance(records[-1].event, Finished):
            return records
        end = state
        for record in records:
            end = apply(end, record)
        seen = self._score(end)
        return [*records, self._record(end, end.next_seq, seen)] if seen else records

    def _at(self, step: int) -> Caller:
        return replace(self._caller, step=step)

    def _record(self, state: State, seq: int, event: Any, content: dict[str, Any] | None = None) -> Record:
        return Record(state.task, seq, state.tenant, self._parts.clock.wall_ns(), event, content, self._fence)


def response_content(response: ChatResponse) -> dict[str, Any]:
    """An answer as it stands in a model call's content."""
    plain: dict[str, Any] = msgspec.to_builtins(response)
    return {k: v for k, v in plain.items() if k not in ("raw", "raw_dialect", "usage")}
