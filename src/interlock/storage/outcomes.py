"""How finished tasks are counted by the hour in which they began, so that nobody ever counts tasks.

Above: writes. Below: lone, rows. All but `merge_outcomes` is pure.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .lone import Call
from .rolls import NS_PER_HOUR
from .rows import lone_outcome, money
from .statements import statements

Kind = tuple[int, str, str, str, str, str, int, int]
"""Hour, tenant, workflow, kind, outcome, tier, simulated, success: what tasks of one count share."""
Counted = tuple[int, int, int, int, int]
"""How many, nano-dollars real and simulated, model calls, escalations."""
_UNSAID = -1
"""In the place of `success` while nobody who knows has said."""


class Ended(NamedTuple):
    """One finished task as it counts: a `Kind`, and below what it adds."""

    hour: int
    tenant: str
    workflow: str
    kind: str
    outcome: str
    tier: str
    simulated: int
    success: int
    cost_nano_usd: int
    simulated_nano_usd: int
    model_calls: int
    escalations: int


def alone_ended(calls: Sequence[Call]) -> dict[Kind, Counted]:
    """What lone calls add."""
    groups: dict[Kind, list[tuple[int, int, int, int]]] = {}
    outcomes: dict[tuple[str, bool], str] = {}
    for record, call in calls:
        kind = (call.status, call.simulated)
        outcome = outcomes.get(kind)
        if outcome is None:
            outcome = outcomes[kind] = lone_outcome(call)
        key = (
            call.started_ns // NS_PER_HOUR,
            record.tenant,
            call.caller.workflow,
            "call",
            outcome,
            call.tier,
            int(call.simulated),
            _UNSAID,
        )
        group = groups.get(key)
        if group is None:
            group = groups[key] = []
        group.append((*money(call), call.kind == "model", len(call.escalations)))
    return {key: _summed(group) for key, group in groups.items()}


def _summed(group: Sequence[tuple[int, int, int, int]]) -> Counted:
    real, simulated, calls, escalations = map(sum, zip(*group, strict=True))
    return len(group), real, simulated, calls, escalations


def changed(before: Iterable[Ended], after: Iterable[Ended]) -> dict[Kind, Counted]:
    """What a write adds to the counts, given its finished tasks as they were before and as they are now."""
    sums: dict[Kind, Counted] = {}
    for sign, tasks in ((-1, before), (1, after)):
        for task in tasks:
            one = (sign, *(sign * amount for amount in task[8:]))
            there = sums.get(task[:8], (0,) * 5)
            sums[task[:8]] = tuple(map(sum, zip(there, one, strict=True)))  # pyright: ignore[reportArgumentType]
    return {kind: counted for kind, counted in sums.items() if any(counted)}


def merge_outcomes(db: sqlite3.Connection, sums: Mapping[Kind, Counted]) -> None:
    """Inside a transaction: adds `sums` to their hours."""
    db.executemany(statements("outcomes")["merge"], [(*kind, *counted) for kind, counted in sums.items()])
