"""Write-ahead records: turns a decision into the records that announce it before it is performed, each at a place of its own in the log.

Above: `run`. Below: `actions`, `state`. Pure. Places that an announcement reserves are never given away again, so that a settlement
that comes late, from a crash or from a stalled worker, lands on nobody's record.
"""

from __future__ import annotations

import base64
import hashlib

from msgspec import Struct
from msgspec.structs import replace

from interlock.core.events import ApprovalAsked, Finished, Intended, Record
from interlock.core.time import NS_PER_S

from .actions import Arrive, AskApproval, CallModel, CallTools, Compensate, Decision, Entry, Finish, PlannedCall, Write
from .actions import arguments_hash as hash_of
from .sources import sourced
from .state import State


class Intention(Struct, frozen=True):
    """What is written before anything is done, and at which steps the calls will settle, in their order."""

    records: tuple[Record, ...]
    steps: tuple[int, ...] = ()
    keys: tuple[str, ...] = ()


def intend(state: State, decision: Decision, now_ns: int, fence: int) -> Intention:
    """The announcement of `decision`."""
    match decision:
        case CallModel():
            return _model(state, decision, now_ns, fence)
        case CallTools():
            return _tools(state, decision.calls, decision.notes, now_ns, fence)
        case Compensate():
            return _tools(state, (decision.call,), (), now_ns, fence)
        case AskApproval():
            return _entries(state, (*decision.notes, *decision.questions), now_ns, fence)
        case Arrive():
            return Intention(
                tuple(_record(state, step, (came, content), now_ns, fence) for step, came, content in decision.arrivals)
            )
        case Write():
            return _entries(state, decision.entries, now_ns, fence)
        case Finish():
            return _entries(state, (*decision.notes, (decision.finished, decision.content)), now_ns, fence)
        case _:
            return Intention(())


def _entries(state: State, entries: tuple[Entry, ...], now_ns: int, fence: int) -> Intention:
    return Intention(tuple(_record(state, state.next_seq + i, entry, now_ns, fence) for i, entry in enumerate(entries)))


def _model(state: State, decision: CallModel, now_ns: int, fence: int) -> Intention:
    place = state.next_seq + len(decision.notes)
    step = place + 1
    key = decision.key or f"{state.task}:{step}"
    words = hash_of(decision.request)
    intended = Intended(step=step, kind="model", name=decision.request.model, key=key, arguments_hash=words)
    records = _entries(state, (*decision.notes, (intended, None)), now_ns, fence).records
    return Intention(records, (step,), (key,))


def _tools(
    state: State, calls: tuple[PlannedCall, ...], notes: tuple[Entry, ...], now_ns: int, fence: int
) -> Intention:
    first = state.next_seq + len(notes) + len(calls)
    steps = tuple(first + index for index in range(len(calls)))
    keys = tuple(call.key or f"{state.task}:{step}" for call, step in zip(calls, steps, strict=True))
    intended: list[Entry] = []
    for call, step, key in zip(calls, steps, keys, strict=True):
        event = Intended(
            step=step,
            kind="tool",
            name=call.name,
            key=key,
            effect=call.effect,
            arguments_hash=hash_of(call.arguments),
            tool_call_id=call.tool_call_id,
            compensates=call.compensates,
            awaits=call.awaits,
            until_ns=now_ns + int(call.wait_s * NS_PER_S) if call.wait_s else 0,
            child=child_of(state.task, step) if call.awaits == "child" else "",
            share=call.share,
        )
        refused = {"refused": call.refused} if call.refused else {}
        intended.append((event, {"arguments": call.arguments, **refused}))
    return Intention(_entries(state, (*notes, *intended), now_ns, fence).records, steps, keys)


def child_of(task: str, step: int) -> str:
    """The id of the task that a call at `step` begins: the same one, however often it is begun."""
    digest = hashlib.sha256(f"{task}\n{step}".encode()).digest()
    return f"tsk_{short(digest)}"


def short(digest: bytes) -> str:
    """The 26 characters of an id."""
    return base64.b32hexencode(digest)[:26].decode().lower()


def _record(state: State, seq: int, entry: Entry, now_ns: int, fence: int) -> Record:
    event, content = entry
    if isinstance(event, ApprovalAsked):
        event = replace(event, step=seq)
    if isinstance(event, Finished):
        event = sourced(state, event, content)
    if isinstance(event, Finished) and state.started is not None and state.started.parent:
        event = replace(event, parent=state.started.parent, parent_step=state.started.parent_step)
    return Record(state.task, seq, state.tenant, now_ns, event, content, fence)
