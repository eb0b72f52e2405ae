"""Durable steps for code that is not one of our agents: each step is recorded before and after it runs, and a run that begins anew is given the recorded results.

Above: `app`, for plug-ins and a team's own code. Below: the journal, `lease`, `state`. The task is one of ours like any other (lists, traces, costs); nobody but the code that
has it can go on with it, since its decisions are not ours.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from interlock.core.caller import Caller, Versions
from interlock.core.errors import Fenced, InvalidRequest
from interlock.core.events import (
    CallKind,
    DoubtSettled,
    Effect,
    Event,
    Finished,
    InDoubt,
    Intended,
    Record,
    Settled,
    Started,
    Status,
)
from interlock.core.ids import Ids
from interlock.core.steps import StepInDoubt
from interlock.core.time import Clock

from .actions import arguments_hash
from .intend import short
from .journal import Journal
from .lease import Leases
from .state import Action, State, apply, fold

AGAIN: frozenset[Effect] = frozenset({"none", "idempotent"})
"""Effects that bear a repetition under their key."""
MOST_CHARS = 500
"""Of what an error says."""


class LoggedSteps:
    """`core.steps.Steps` over a journal; the lease is held by whoever makes it."""

    def __init__(self, journal: Journal, clock: Clock, ids: Ids, state: State, caller: Caller, fence: int) -> None:
        self._journal, self._clock, self._ids = journal, clock, ids
        self._state, self._caller, self._fence = state, caller, fence
        self._met = Counter[str]()
        self.task = state.task

    @property
    def finished(self) -> bool:
        return self._state.finished is not None

    async def step(
        self,
        name: str,
        perform: Callable[[str], Awaitable[Any]],
        *,
        kind: CallKind = "tool",
        effect: Effect = "once",
        arguments: Any = None,
    ) -> Any:
        self._met[name] += 1
        key = f"{self.task}:{name}#{self._met[name]}"
        known = self._known(key)
        if known is not None and known.ok:
            return known.result
        if known is not None and known.settled is None and known.ruling != "redo" and effect not in AGAIN:
            await self._doubt(known)
        if self.finished:
            raise InvalidRequest(
                f"task {self.task} is over, and step {name} is none of those that it made.",
                hint="The code has changed since, or does not decide by its steps alone: begin a task under another key.",
            )
        place = self._state.next_seq
        intended = Intended(
            place + 1, kind, name, key, effect, arguments_hash(arguments) if arguments is not None else ""
        )
        await self._write(place, intended, {"arguments": arguments} if arguments is not None else None)
        return await self._performed(place + 1, kind, name, key, perform)

    async def settle(self, step: int, *, done: bool, who: str, result: Any = None) -> None:
        if not any(action.step == step and action.doubted for action in self._state.actions):
            raise InvalidRequest(f"step {step} of task {self.task} is in no doubt.", param="step")
        content = {"result": result} if done else None
        await self._write(self._state.next_seq, DoubtSettled(step, "done" if done else "redo", who), content)

    async def finish(self) -> None:
        if not self.finished:
            await self._write(self._state.next_seq, Finished("resolved"), None)

    async def _performed(
        self, step: int, kind: CallKind, name: str, key: str, perform: Callable[[str], Awaitable[Any]]
    ) -> Any:
        started_ns, started_s = self._clock.wall_ns(), self._clock.monotonic_s()

        async def settled(status: Status, content: dict[str, Any] | None, error: Exception | None = None) -> None:
            took_us = round((self._clock.monotonic_s() - started_s) * 1e6)
            event = Settled(
                self._ids.new("cal"),
                kind,
                name,
                self._at(step),
                status,
                started_ns,
                took_us,
                error=type(error).__name__ if error else "",
                message=str(error)[:MOST_CHARS] if error else "",
            )
            await self._write(step, event, content)

        try:
            result = await perform(key)
        except Exception as error:  # whatever the caller's code raises is recorded as the step's end and raised on; a cancelled step stays in doubt
            await settled("error", None, error)
            raise
        await settled("ok", {"result": result})
        return result

    async def _doubt(self, action: Action) -> None:
        if not action.doubted:
            await self._write(self._state.next_seq, InDoubt(action.step, action.name), None)
        raise StepInDoubt(
            f"step {action.step} ({action.name}) of task {self.task} was begun before a crash, and nobody knows whether it happened.",
            hint=f"Look where it would show, then say so: `await steps.settle({action.step}, done=…, who=…, result=…)`, and run again.",
        )

    def _known(self, key: str) -> Action | None:
        return next((action for action in self._state.actions if action.key == key), None)

    def _at(self, step: int) -> Caller:
        who = self._caller
        return Caller(who.tenant, who.user, who.key_id, who.workflow, self.task, step)

    async def _write(self, seq: int, event: Event, content: dict[str, Any] | None) -> None:
        """The place is taken before anything is waited for, so steps may be made side by side."""
        record = Record(self.task, seq, self._state.tenant, self._clock.wall_ns(), event, content, self._fence)
        self._state = apply(self._state, record)
        await self._journal.append([record])


@asynccontextmanager
async def logged_steps(
    journal: Journal, clock: Clock, ids: Ids, *, tenant: str, workflow: str, key: str, user: str = ""
) -> AsyncGenerator[LoggedSteps]:
    """The steps of one task, under this process's lease; the same `key` is the same task. It is over when the block ends well; one that fails may be run again.

    Raises:
        Fenced: another living process has the task.
    """
    digest = hashlib.sha256(f"{tenant}\n{workflow}\nsteps\n{key}".encode()).digest()
    task = f"tsk_{short(digest)}"
    caller = Caller(tenant, user, workflow=workflow, task=task)
    started = Record(task, 0, tenant, clock.wall_ns(), Started(workflow, caller, Versions()), {"input": {"key": key}})
    try:
        fence = await journal.begin(started)
    except Fenced:
        fence = await journal.claim(task) or 0
    state = fold(await journal.records(task))
    if not fence and state.finished is None:
        raise Fenced(f"another process has task {task}.", hint="Run it again when that one has ended.")
    steps, leases = LoggedSteps(journal, clock, ids, state, caller, fence), Leases(journal, lambda _: None)
    leases.hold(task)
    try:
        yield steps
        await steps.finish()
    finally:
        leases.drop(task)
        if not steps.finished:
            await journal.release(task, fence, wake_at_ns=0)
