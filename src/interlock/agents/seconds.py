"""A task's time budget (`max_seconds`): the time it worked itself, the time its child tasks worked, and their shares of what is left.

Above: `limits`, `waits`, `outage`, `children`. Below: `state`, `contract`. Pure, and said by the log alone: asked again later, a share is the same.
"""

from __future__ import annotations

from interlock.core.time import NS_PER_S

from .contract import Contract
from .state import Action, State

MS_PER_S = 1_000


def worked_s(state: State, now_ns: int) -> float:
    """Seconds by then that count against the task's limit: its own without what it waited, and those of its children that have ended, also where they worked at once."""
    own_s = (now_ns - state.started_ns - waited_ns(state, now_ns)) / NS_PER_S
    told = [a.arrived.worked_ms for a in state.actions if a.arrived is not None and a.arrived_ns <= now_ns]
    return own_s + sum(told) / MS_PER_S


def worked_ms(state: State) -> int:
    """Of a task that is over: what its parent is told."""
    return max(0, round(worked_s(state, state.finished_ns) * MS_PER_S))


def left_s(state: State, contract: Contract, now_ns: int) -> float:
    """Seconds that the task may still take."""
    allowed = contract.limits.max_seconds
    return float("inf") if allowed is None else allowed - worked_s(state, now_ns)


def share_s(state: State, contract: Contract, action: Action) -> float | None:
    """Seconds that the child of `action` may work: its share of what was left when it was announced, less what others then held; `None`: the parent has no limit."""
    if contract.limits.max_seconds is None:
        return None
    held: dict[int, float] = {}
    for each in (a for a in state.actions if a.awaits == "child" and a.step <= action.step):
        at_ns, how = each.intended_ns, contract.awaits.get(each.name)
        others = [a for a in state.actions if a.step in held and (a.waits or a.arrived_ns > at_ns)]
        left = left_s(state, contract, at_ns) - sum(held[other.step] for other in others)
        held[each.step] = max(0.0, left * how.share) if how else 0.0
    return round(held.get(action.step, 0.0), 3)


def waited_ns(state: State, now_ns: int) -> int:
    """Nanoseconds by then during which at least one thing was waited for: a person, time, a signal, another task, a worker."""
    total, open_since = 0, 0
    for begin, end in sorted(state.waits(now_ns)):
        start, until = max(begin, open_since), min(end, now_ns)
        if until > start:
            total += until - start
            open_since = until
    return total
