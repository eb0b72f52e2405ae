"""Calls that nobody performs: a timer, a signal from outside, a task of its own. Meanwhile the task is a row.

Above: `decide`, `converse`, `flow`, `run`. Below: `state`, `contract`. Pure. A signal that comes before anybody waits for it is a note in the log, and the first wait
for its name takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from interlock.core.budget import Limits, Spend
from interlock.core.errors import ToolArgumentsInvalid
from interlock.core.events import Arrived
from interlock.core.time import NS_PER_S

from .actions import Arrive, PlannedCall, as_object
from .contract import Await, Contract
from .seconds import worked_ms
from .state import CALLED, Action, Note, State

NEVER_NS = 2**62
"""When a task wakes that has nothing but a signal to wake for."""
DEFAULT_MAX_DEPTH = 3
"""Of tasks below tasks, where no contract says otherwise."""
GOOD_ENDS = ("resolved", "simulated")
_SHARED = ("model_calls", "input_tokens", "output_tokens", "cost_nano_usd")
"""What a child uses of its parent's budget; steps and tool calls are each task's own."""


def planned(state: State, contract: Contract, calls: Sequence[PlannedCall]) -> tuple[PlannedCall, ...]:
    """`calls`, those marked that are waited for. Arguments that do not fit are left to the tool desk, which refuses them."""
    used, made = state.spent + state.held, list[PlannedCall]()
    for call in calls:
        how = contract.awaits.get(call.name)
        grant = contract.grants.get(call.name)
        if how is None or grant is None or call.refused or call.key or not _fits(contract, call):
            made.append(call)
            continue
        given = as_object(call.arguments)
        waited_s = float(given.get("seconds" if how.kind == "timer" else "timeout_s", 0) or 0)
        share = _share(contract, used, how)
        used = used + share
        made.append(replace(call, awaits=how.kind, wait_s=waited_s if how.kind != "child" else 0.0, share=share))
    return tuple(made)


def open_waits(state: State) -> list[Action]:
    """Calls that still wait."""
    return [action for action in state.actions if action.waits]


def wake_at_ns(state: State) -> int:
    """When the first of them ends by itself; zero where none waits."""
    waiting = open_waits(state)
    return min((action.until_ns or NEVER_NS for action in waiting), default=0)


def due(state: State, now_ns: int) -> Arrive | None:
    """Timers that have run out, signals that are there, and those that nobody waits for any longer."""
    unused, found = _unused(state), list[tuple[int, Arrived, dict[str, Any]]]()
    for action in open_waits(state):
        if action.awaits == "signal":
            name = str(as_object(action.arguments).get("name", ""))
            note = next((each for each in unused if each.reason == name), None)
            if note is not None:
                unused.remove(note)
                what = {"signal": name, "payload": note.content.get("payload"), "from": note.content.get("who", "")}
                came = Arrived(action.name, "signal", what=str(note.content.get("id", "")))
                found.append((action.step, came, {"result": what}))
                continue
        if action.awaits == "timer" and action.until_ns <= now_ns:
            slept = {"waited_s": round((now_ns - action.intended_ns) / NS_PER_S, 3)}
            found.append((action.step, Arrived(action.name, "timer"), {"result": slept}))
        elif action.awaits == "signal" and 0 < action.until_ns <= now_ns:
            error = {"code": "timeout", "message": "Nobody sent that signal in time."}
            found.append((action.step, Arrived(action.name, "signal", ok=False), {"error": error}))
    return Arrive(then(state, found)) if found else None


def from_child(action: Action, child: State) -> tuple[int, Arrived, dict[str, Any]] | None:
    """What a child that has ended says; `None` while it has not."""
    end = child.finished
    if end is None:
        return None
    ok = end.outcome in GOOD_ENDS
    told: dict[str, Any] = {"task": child.task, "outcome": end.outcome, "answer": child.answer.get("answer")}
    if ok:
        content: dict[str, Any] = {"result": {**told, **_also(child)}}
    else:
        message = f"the task ended as {end.outcome}: {end.message or end.error or 'no reason given'}"
        content = {"error": {"code": end.outcome, "message": message, **told}}
    came = Arrived(
        action.name,
        "child",
        ok=ok,
        what=child.task,
        spent=shared(child.spent),
        worked_ms=worked_ms(child),
        labels=end.labels,
    )
    return action.step, came, content


def not_begun(action: Action, code: str, message: str) -> tuple[int, Arrived, dict[str, Any]]:
    """A child that could not be begun."""
    return action.step, Arrived(action.name, "child", ok=False), {"error": {"code": code, "message": message}}


def then(
    state: State, arrivals: Sequence[tuple[int, Arrived, dict[str, Any]]]
) -> tuple[tuple[int, Arrived, dict[str, Any]], ...]:
    """The arrivals with what lists say of the task after them."""
    left = len(open_waits(state)) - len(arrivals)
    how = "" if state.paused or state.asking else "waiting" if left else "running"
    return tuple((step, replace(came, then=how), content) for step, came, content in arrivals)


def granted(contract: Contract, share: Spend, seconds: float | None) -> Limits:
    """A child's limits: its share of what its parent has limits for, `seconds` of its time among them, and one level less below it."""
    limits = {f"max_{f}": getattr(share, f) for f in _SHARED if getattr(contract.limits, f"max_{f}") is not None}
    return Limits(**limits, max_seconds=seconds, max_depth=max(0, levels_left(contract) - 1))


def levels_left(contract: Contract) -> int:
    """How many tasks may stand below one of this contract, one under the other."""
    said = contract.limits.max_depth
    return DEFAULT_MAX_DEPTH if said is None else said


def within(contract: Contract, state: State) -> Contract:
    """The contract with the limits that the task's parent set."""
    given = state.started.limits if state.started else None
    return contract if given is None else replace(contract, limits=contract.limits.tightest(given))


def shared(spent: Spend) -> Spend:
    """Of what a child used, what counts as its parent's."""
    return Spend(**{field: getattr(spent, field) for field in _SHARED})


def _share(contract: Contract, used: Spend, how: Await) -> Spend:
    def part(field: str) -> int:
        maximum: int | None = getattr(contract.limits, f"max_{field}")
        return 0 if maximum is None else max(0, int((maximum - getattr(used, field)) * how.share))

    return Spend(**{field: part(field) for field in _SHARED}) if how.kind == "child" else Spend()


def _unused(state: State) -> list[Note]:
    taken = {a.arrived.what for a in state.actions if a.arrived is not None and a.awaits == "signal"}
    return [note for note in state.notes if note.name == CALLED and str(note.content.get("id", "")) not in taken]


def _also(child: State) -> dict[str, Any]:
    return {name: child.answer[name] for name in ("citations", "output") if child.answer.get(name)}


def _fits(contract: Contract, call: PlannedCall) -> bool:
    try:
        contract.grants[call.name].tool.convert(call.arguments)
    except ToolArgumentsInvalid:
        return False
    return True
