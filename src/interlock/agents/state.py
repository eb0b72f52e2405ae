"""The state of a task: a pure fold over its records. A checkpoint is an append, a resume is a fold, a replay calls nothing.

Above: `decide`, `run`. Below: core's events. Every prefix of a log folds, whatever instant the process died at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from interlock.core.budget import Spend
from interlock.core.caller import Caller
from interlock.core.events import (
    ApprovalAsked,
    ApprovalDecided,
    Arrived,
    Awaits,
    CallKind,
    DoubtSettled,
    Effect,
    Finished,
    InDoubt,
    Intended,
    Noted,
    OutcomeSeen,
    Record,
    Settled,
    Started,
)
from interlock.core.shares import money_of
from interlock.gateway.settle import spend_of
from interlock.observe import watch as watching
from interlock.observe.watch import Watch

from .contract import TIER0_MODEL

CALL_FAILED = "model_call_failed"
"""Name of the note about a model call that the gateway gave up. Content: `{"step", "code", "message"}`."""
RESUMED = "resumed"
"""Name of the note that a worker writes when it takes a task up again."""
PAUSED, UNPAUSED = "paused", "unpaused"
"""Names of the notes between which nobody works on a task."""
CALLED = "called"
"""Name of the note about a signal from outside. Its reason is the signal's name; content: `{"id", "payload", "who"}`."""
_NOT_SENT = ("refused", "shed")


class Action(Struct, frozen=True):
    """One model or tool call with all its tries: tries share the idempotency key."""

    key: str
    kind: CallKind
    name: str
    step: int
    """Seq at which the latest try settles."""
    first_step: int
    effect: Effect = "none"
    arguments: Any = None
    arguments_hash: str = ""
    tool_call_id: str = ""
    turn: int = 0
    """Step of the model answer that asked for it; zero in flows."""
    compensates: int = 0
    tries: int = 1
    settled: Settled | None = None
    content: dict[str, Any] | None = None
    doubted: bool = False
    """Put to a person who has not answered yet."""
    doubted_ns: int = 0
    ruled_ns: int = 0
    ruling: Literal["", "done", "redo", "skip", "compensate"] = ""
    ruled_result: Any = None
    refused: str = ""
    """Why it was not to be made; it settles as denied."""
    awaits: Awaits = ""
    """What ends it, where that is nothing that a worker does."""
    until_ns: int = 0
    child: str = ""
    share: Spend = Spend()
    """Held of the budget until its child has ended."""
    intended_ns: int = 0
    arrived: Arrived | None = None
    arrived_ns: int = 0

    @property
    def waits(self) -> bool:
        """What it waits for is not there yet."""
        return bool(self.awaits) and self.arrived is None

    @property
    def ok(self) -> bool:
        """It is known to have succeeded."""
        if self.awaits:
            return self.arrived is not None and self.arrived.ok
        if self.ruling:
            return self.ruling == "done"
        return self.settled is not None and self.settled.status in ("ok", "cache_hit")

    @property
    def result(self) -> Any:
        """What a successful tool call returned, or what a person said it did."""
        return self.ruled_result if self.ruling else (self.content or {}).get("result")

    @property
    def tier0(self) -> bool:
        return self.kind == "model" and self.name.startswith(TIER0_MODEL)


class Approval(Struct, frozen=True):
    """A question put to a person, and the answer once there is one."""

    seq: int
    asked: ApprovalAsked
    arguments: Any
    turn: int
    asked_ns: int
    decided: ApprovalDecided | None = None
    decided_ns: int = 0
    edited: Any = None
    card: tuple[str, ...] = ()
    """What a person reads besides the rule."""


class Note(Struct, frozen=True):
    """A decision that called nothing."""

    seq: int
    name: str
    reason: str
    content: dict[str, Any]
    at_ns: int
    since_ns: int
    """When the record before it was written."""


class State(Struct, frozen=True):
    """Everything that is known about a task."""

    task: str = ""
    tenant: str = ""
    next_seq: int = 0
    """The first seq that nobody has used or reserved."""
    started: Started | None = None
    started_ns: int = 0
    last_ns: int = 0
    input: dict[str, Any] = {}
    vouched: tuple[str, ...] | None = None
    """Of a task that another one began: the inputs whose words its policy had let pass; `None`: nobody wrote them but the caller."""
    actions: tuple[Action, ...] = ()
    approvals: tuple[Approval, ...] = ()
    notes: tuple[Note, ...] = ()
    spent: Spend = Spend()
    """What counts against the limits; reservations of crashed calls are in it."""
    cost_nano_usd: int = 0
    """Real money; what simulated deployments would have cost is not in it."""
    escalations: int = 0
    finished: Finished | None = None
    finished_ns: int = 0
    answer: dict[str, Any] = {}
    """Content of the `Finished` record."""
    seen: OutcomeSeen | None = None
    watch: Watch = Watch()
    """How it goes about its work."""

    def note(self, name: str) -> Note | None:
        """The latest note of that name."""
        return next((note for note in reversed(self.notes) if note.name == name), None)

    def waits(self, now_ns: int) -> list[tuple[int, int]]:
        """(begin, end) of the times in which the task waited or nobody worked on it; they may overlap."""
        asked = [(a.asked_ns, a.decided_ns or now_ns) for a in self.approvals]
        doubted = [(a.doubted_ns, a.ruled_ns or now_ns) for a in self.actions if a.doubted_ns]
        idle = [(note.since_ns, note.at_ns) for note in self.notes if note.name in (RESUMED, UNPAUSED)]
        awaited = [(a.intended_ns, a.arrived_ns or now_ns) for a in self.actions if a.awaits]
        return asked + doubted + idle + awaited

    @property
    def asking(self) -> bool:
        """A person has been asked something and has not answered."""
        return any(a.decided is None for a in self.approvals) or any(a.doubted for a in self.actions)

    @property
    def waiting(self) -> bool:
        """There is nothing to do until something comes in: an answer, time, a signal, another task's end."""
        return self.asking or self.paused or any(a.waits for a in self.actions)

    @property
    def paused(self) -> bool:
        """Somebody has asked for a pause, and for no end of it yet."""
        latest = next((n.name for n in reversed(self.notes) if n.name in (PAUSED, UNPAUSED)), "")
        return latest == PAUSED

    @property
    def held(self) -> Spend:
        """What tasks that this one began may still use of its budget."""
        held = Spend()
        for action in self.actions:
            held = held + Spend(steps=1, tool_calls=1) + action.share if action.waits else held
        return held

    @property
    def answers(self) -> list[Action]:
        """The model calls that answered, tier 0 apart, in order."""
        return [a for a in self.actions if a.kind == "model" and not a.tier0 and a.ok and a.content is not None]

    @property
    def turn(self) -> int:
        """Step of the latest model answer; zero before the first."""
        return max((a.step for a in self.answers), default=0)


def fold(records: Iterable[Record]) -> State:
    """The state after `records`, which come in the order of their seqs."""
    state = State()
    for record in records:
        state = apply(state, record)
    return state


def apply(state: State, record: Record) -> State:
    """The state after one more record. Records that say nothing new (a second decision, a late duplicate) change nothing."""
    event, content, since_ns = record.event, record.content or {}, state.last_ns
    next_seq = max(state.next_seq, record.seq + 1)
    state = replace(
        state,
        next_seq=next_seq,
        last_ns=max(state.last_ns, record.at_ns),
        watch=watching.apply(state.watch, record),
    )
    match event:
        case Started():
            return replace(
                state,
                task=record.task,
                tenant=record.tenant,
                started=event,
                started_ns=record.at_ns,
                input=content.get("input", {}),
                vouched=tuple(content.get("vouched", ())) if event.parent else None,
            )
        case Intended():
            return _intended(state, event, content, record.at_ns)
        case Settled():
            return _settled(state, record.seq, event, record.content)
        case Arrived():
            return _arrived(state, record.seq, event, content, record.at_ns)
        case ApprovalAsked():
            asked = Approval(record.seq, event, content.get("arguments"), state.turn, record.at_ns)
            asked = replace(asked, card=tuple(content.get("card", ())))
            return replace(state, approvals=(*state.approvals, asked))
        case ApprovalDecided():
            return _decided(state, event, content, record.at_ns)
        case InDoubt():
            return _on_action(state, event.step, doubted=True, doubted_ns=record.at_ns)
        case DoubtSettled():
            return _ruled(state, event, content, record.at_ns)
        case Noted():
            if event.name == CALL_FAILED:
                state = _without_settlement(state, record, content)
            note = Note(record.seq, event.name, event.reason, content, record.at_ns, since_ns)
            return replace(state, notes=(*state.notes, note))
        case Finished():
            return state if state.finished else replace(state, finished=event, finished_ns=record.at_ns, answer=content)
        case OutcomeSeen():
            return replace(state, seen=event)


def _intended(state: State, event: Intended, content: dict[str, Any], at_ns: int) -> State:
    state = replace(state, next_seq=max(state.next_seq, event.step + 1))
    for index, action in enumerate(state.actions):
        if action.key == event.key:
            again = replace(
                action,
                step=event.step,
                tries=action.tries + 1,
                settled=None,
                content=None,
                doubted=False,
                ruling="",
                ruled_result=None,
            )
            return replace(state, actions=(*state.actions[:index], again, *state.actions[index + 1 :]))
    action = Action(
        key=event.key,
        kind=event.kind,
        name=event.name,
        step=event.step,
        first_step=event.step,
        effect=event.effect,
        arguments=content.get("arguments"),
        arguments_hash=event.arguments_hash,
        tool_call_id=event.tool_call_id,
        turn=0 if event.kind == "model" or event.tool_call_id.startswith("flow:") else state.turn,
        compensates=event.compensates,
        refused=str(content.get("refused", "")),
        awaits=event.awaits,
        until_ns=event.until_ns,
        child=event.child,
        share=event.share,
        intended_ns=at_ns,
    )
    return replace(state, actions=(*state.actions, action))


def _settled(state: State, seq: int, event: Settled, content: dict[str, Any] | None) -> State:
    sent = event.status not in _NOT_SENT
    on_device = event.kind == "model" and event.name.startswith(TIER0_MODEL)
    used = Spend(steps=int(sent))
    if event.kind == "tool":
        used += Spend(tool_calls=int(sent), cost_nano_usd=event.cost_nano_usd)
    elif not on_device:
        used += spend_of(event)
    state = replace(
        state,
        spent=state.spent + used,
        cost_nano_usd=state.cost_nano_usd + money_of(event)[0],
        escalations=state.escalations + len(event.escalations),
    )
    return _on_action(state, seq, settled=event, content=content)


def _arrived(state: State, seq: int, event: Arrived, content: dict[str, Any], at_ns: int) -> State:
    if not any(action.step == seq and action.waits for action in state.actions):
        return state
    used = Spend(steps=1, tool_calls=1) + event.spent
    state = replace(state, spent=state.spent + used)
    return _on_action(state, seq, arrived=event, content=content, arrived_ns=at_ns)


def _without_settlement(state: State, record: Record, content: dict[str, Any]) -> State:
    """A call that failed before the gateway could settle it is known to have failed all the same."""
    for action in state.actions:
        if action.step == content.get("step") and action.settled is None:
            failed = Settled(
                call="",
                kind=action.kind,
                name=action.name,
                caller=Caller(record.tenant, task=record.task, step=action.step),
                status="error",
                started_ns=record.at_ns,
                error=str(content.get("code", "")),
                message=str(content.get("message", "")),
            )
            return _on_action(state, action.step, settled=failed)
    return state


def _decided(state: State, event: ApprovalDecided, content: dict[str, Any], at_ns: int) -> State:
    for index, approval in enumerate(state.approvals):
        if approval.seq == event.step and approval.decided is None:
            edited = content.get("arguments") if event.decision == "edit" else None
            known = replace(approval, decided=event, decided_ns=at_ns, edited=edited)
            return replace(state, approvals=(*state.approvals[:index], known, *state.approvals[index + 1 :]))
    return state


def _ruled(state: State, event: DoubtSettled, content: dict[str, Any], at_ns: int) -> State:
    for action in state.actions:
        if action.step == event.step and action.doubted:
            ruled = {"ruling": event.decision, "ruled_result": content.get("result"), "ruled_ns": at_ns}
            return _on_action(state, event.step, doubted=False, **ruled)
    return state


def _on_action(state: State, step: int, **changes: Any) -> State:
    for index, action in enumerate(state.actions):
        if action.step == step:
            changed = replace(action, **changes)
            return replace(state, actions=(*state.actions[:index], changed, *state.actions[index + 1 :]))
    return state
