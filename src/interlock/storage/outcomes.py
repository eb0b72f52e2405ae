"""How finished tasks are counted by the hour in which they began, so that nobody ever counts tasks.

Above: writes. Below: rolls, rows. All but `merge_outcomes` is pure.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from operator import add
from typing import NamedTuple

from interlock.core.events import Settled
from interlock.core.shares import money_of

from .rolls import NS_PER_HOUR, Kinds
from .rows import lone_outcome
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


def alone_ended(kinds: Kinds) -> dict[Kind, Counted]:
    """What lone calls add."""
    sums: dict[Kind, Counted] = {}
    for (key, _), calls in kinds.usual.items():
        spent = sum([call.cost_nano_usd for call in calls])
        real, simulated = (0, spent) if calls[0].simulated else (spent, 0)
        _add(sums, _kind(key[0], key[1], calls[0]), (len(calls), real, simulated, *_asked(calls)))
    for key, _, lot in kinds.lots:
        sample, n = lot.form.sample, len(lot.briefs)
        spent = sum([brief.cost_nano_usd for brief in lot.briefs])
        _add(sums, _kind(key[0], key[1], sample), (n, spent, 0, n * int(sample.kind == "model"), 0))
    for tenant, call in kinds.others:
        _add(sums, _kind(call.started_ns // NS_PER_HOUR, tenant, call), (1, *money_of(call), *_asked((call,))))
    return sums


def _kind(hour: int, tenant: str, call: Settled) -> Kind:
    outcome = lone_outcome(call)
    return hour, tenant, call.caller.workflow, "call", outcome, call.tier, int(call.simulated), _UNSAID


def _asked(calls: Sequence[Settled]) -> tuple[int, int]:
    """Model calls, and escalations, of calls of one kind."""
    return len(calls) if calls[0].kind == "model" else 0, sum([len(call.escalations) for call in calls])


def _add(sums: dict[Kind, Counted], kind: Kind, more: Counted) -> None:
    there = sums.get(kind)
    sums[kind] = more if there is None else tuple(map(add, there, more))  # pyright: ignore[reportArgumentType]


def add_counts(sums: dict[Kind, Counted], more: Mapping[Kind, Counted]) -> None:
    """Adds `more` to `sums`."""
    for kind, counted in more.items():
        _add(sums, kind, counted)


def changed(before: Iterable[Ended], after: Iterable[Ended]) -> dict[Kind, Counted]:
    """What a write adds to the counts, given its finished tasks as they were before and as they are now."""
    sums: dict[Kind, Counted] = {}
    for sign, tasks in ((-1, before), (1, after)):
        for task in tasks:
            _add(sums, task[:8], (sign, *(sign * amount for amount in task[8:])))  # pyright: ignore[reportArgumentType]
    return {kind: counted for kind, counted in sums.items() if any(counted)}


def merge_outcomes(db: sqlite3.Connection, sums: Mapping[Kind, Counted]) -> None:
    """Inside a transaction: adds `sums` to their hours."""
    db.executemany(statements("outcomes")["merge"], [(*kind, *counted) for kind, counted in sums.items()])
