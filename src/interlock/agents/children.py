"""Tasks that a task begins: each with a share of its parent's budget, one level deeper, and a word to the parent when it ends.

Above: `service`, `run`. Below: the journal, `waits`. A child's id follows from its parent and the step, so that one that was begun before a crash is not begun again;
what tells the parent is written by the store in the transaction that ends the child.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from interlock.core.caller import Caller
from interlock.core.errors import Fenced, InvalidRequest
from interlock.core.events import Record, Started, Usual
from interlock.core.ids import traceparent
from interlock.core.time import Clock

from . import information, waits
from .actions import as_object
from .contract import Contract
from .decide import CANCEL_NOTE
from .inputs import checked
from .journal import Journal
from .listen import Arrival
from .seconds import share_s
from .state import Action, State, fold

Send = Callable[[str, str, dict[str, Any]], Awaitable[object]]
Begin = Callable[[Record, Contract], Awaitable[int]]


class Children:
    """Begins them, and ends those that nobody waits for any longer."""

    def __init__(
        self,
        contract: Callable[[str], Contract],
        journal: Journal,
        clock: Clock,
        usually: Callable[[str], Usual | None],
        begin: Begin,
        send: Send,
    ) -> None:
        """`begin` writes a first record and returns its fence; `send` puts a signal to a task."""
        self._contract, self._journal, self._clock = contract, journal, clock
        self._usually, self._begin, self._send = usually, begin, send

    async def begin(self, state: State, contract: Contract, actions: Sequence[Action]) -> list[Arrival]:
        """Begins those children of `actions` that are not there yet; returns what is known of those that cannot be begun."""
        failed: list[Arrival] = []
        for action in actions:
            if action.awaits != "child" or not action.waits or await self._journal.get(action.child) is not None:
                continue
            try:
                record = self._started(state, contract, action)
            except InvalidRequest as wrong:
                failed.append(waits.not_begun(action, wrong.code, wrong.message))
                continue
            try:
                fence = await self._begin(record, self._contract(contract.awaits[action.name].workflow))
            except Fenced:
                continue
            await self._journal.release(action.child, fence, wake_at_ns=0)
        return failed

    async def of(self, ids: Sequence[str]) -> dict[str, State]:
        """Their states, by id."""
        return {each: fold(await self._journal.records(each)) for each in dict.fromkeys(ids)}

    async def leave(self, state: State) -> None:
        """After a task's end: those of its children that still run are told to end."""
        for action in waits.open_waits(state):
            if action.awaits == "child":
                await self._send(action.child, CANCEL_NOTE, {"who": f"the end of {state.task}"})

    def read(self, state: State, contract: Contract) -> list[tuple[str, Contract]]:
        """Those whose answers the task has read, with their contracts: their content is kept no longer than those say."""
        found: list[tuple[str, Contract]] = []
        for action in state.actions:
            how = contract.awaits.get(action.name)
            error: dict[str, Any] = (action.content or {}).get("error", {})
            if how is None or action.waits or not action.child or error.get("code") == "handed_to_human":
                continue
            with suppress(InvalidRequest):
                found.append((action.child, self._contract(how.workflow)))
        return found

    async def orphaned(self, state: State) -> bool:
        """Whether a task that goes on has a parent that is over, so that nobody waits for it."""
        started = state.started
        if started is None or not started.parent or state.note(CANCEL_NOTE) is not None:
            return False
        row = await self._journal.get(started.parent)
        return row is None or row.status == "finished"

    async def unread(self, state: State) -> bool:
        """Whether a task that has ended has a parent that may still have to read its answer."""
        started = state.started
        if started is None or not started.parent:
            return False
        row = await self._journal.get(started.parent)
        return row is not None and row.status != "finished"

    def _started(self, state: State, contract: Contract, action: Action) -> Record:
        assert state.started is not None
        workflow = contract.awaits[action.name].workflow
        own = self._contract(workflow)
        values, above = checked(own, as_object(action.arguments)), state.started.caller
        who = Caller(own.tenant, above.user, above.key_id, workflow, action.child, versions=own.versions)
        labels = information.labels_of(state, contract)
        who = replace(who, trace=traceparent(state.task, action.step, above.trace), labels=labels)
        started = Started(workflow, who, own.versions, facts=own.facts(values), usual=self._usually(workflow))
        started = replace(
            started,
            depth=state.started.depth + 1,
            parent=state.task,
            parent_step=action.step,
            limits=waits.granted(contract, action.share, share_s(state, contract, action)),
            priority=state.started.priority,
        )
        return Record(
            action.child,
            0,
            own.tenant,
            self._clock.wall_ns(),
            started,
            {"input": values, "vouched": information.vouched(contract, action.name)},
        )
