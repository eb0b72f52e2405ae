"""What `decide` can ask for, as frozen values; `run` performs them.

Above: `run`. Below: core. Deciding returns one of these and does nothing else.
"""

from __future__ import annotations

import hashlib
from typing import Any, cast

import msgspec
from msgspec import Struct

from interlock.core.budget import Spend
from interlock.core.chat import ChatRequest
from interlock.core.events import ApprovalAsked, Arrived, Awaits, Effect, Event, Finished, Noted

Entry = tuple[Event, dict[str, Any] | None]
"""An event to be written, with its content."""


class PlannedCall(Struct, frozen=True):
    """One tool call that is to be made."""

    name: str
    arguments: Any
    effect: Effect = "none"
    key: str = ""
    """Of the earlier try; empty for a call that has not been tried."""
    tool_call_id: str = ""
    compensates: int = 0
    ask_first: bool = False
    refused: str = ""
    """Why it may not be made; it settles as denied, so that the model reads why."""
    verdict: str = ""
    """The same with its rule and the policy's version; not kept with the intention."""
    awaits: Awaits = ""
    """It is not performed: the task waits."""
    wait_s: float = 0.0
    """For so long at most; zero: for ever."""
    share: Spend = Spend()
    """What its child may use of the task's budget."""


class CallModel(Struct, frozen=True):
    """One model call through the gateway."""

    request: ChatRequest
    key: str = ""
    notes: tuple[Entry, ...] = ()
    """Written together with the intention."""


class CallTools(Struct, frozen=True):
    """Tool calls that are made at the same time."""

    calls: tuple[PlannedCall, ...]
    notes: tuple[Entry, ...] = ()


class Compensate(Struct, frozen=True):
    """One call that undoes an earlier one; the task's limits do not hold it back."""

    call: PlannedCall


class AskApproval(Struct, frozen=True):
    """Questions to a person, each with its content."""

    questions: tuple[tuple[ApprovalAsked, dict[str, Any]], ...]
    notes: tuple[Entry, ...] = ()


class Write(Struct, frozen=True):
    """Nothing to call: decisions to be written down, after which `decide` is asked again."""

    entries: tuple[Entry, ...]


class Arrive(Struct, frozen=True):
    """What calls waited for is there: an event and its content for each step."""

    arrivals: tuple[tuple[int, Arrived, dict[str, Any]], ...]


class Wait(Struct, frozen=True):
    """A person has to act, time has to pass, or something has to come in; the worker lets go of the task."""

    why: str
    wake_at_ns: int = 0
    """When to look again without a signal; zero: never."""


class Finish(Struct, frozen=True):
    """The task is over."""

    finished: Finished
    content: dict[str, Any]
    notes: tuple[Entry, ...] = ()


class Over(Struct, frozen=True):
    """It has finished before."""


Decision = CallModel | CallTools | Compensate | AskApproval | Write | Arrive | Wait | Finish | Over


def as_object(value: Any) -> dict[str, Any]:
    """`value` where it is a JSON object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def noted(name: str, reason: str, content: dict[str, Any] | None = None) -> Entry:
    """A note as an entry."""
    return Noted(name, reason), content


def arguments_hash(arguments: Any) -> str:
    """16 hex digits that change when the arguments (or the words of a prompt) do; the order of their names does not matter."""
    return hashlib.sha256(msgspec.json.encode(arguments, order="sorted")).hexdigest()[:16]
