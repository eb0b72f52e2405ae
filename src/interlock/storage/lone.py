"""Lone gateway calls as rows: most of what a gateway records, written without a look at what is there.

Above: writes. Below: rows. Pure: values in, rows out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interlock.core.events import Record, Settled, is_lone

from .rows import call_row, lone_outcome, money

Call = tuple[Record, Settled]


def split(groups: Sequence[Sequence[Record]]) -> tuple[list[Call], list[int]]:
    """(calls that are a task of their own, places of all other groups).

    Nobody else can have such a task's id; whether this very call is there already, the insert shows.
    """
    alone: list[Call] = []
    others: list[int] = []
    for place, group in enumerate(groups):
        first = group[0]
        event = first.event
        if len(group) == 1 and not first.fence and isinstance(event, Settled) and is_lone(first.task, event.call):
            alone.append((first, event))
        else:
            others.append(place)
    if others and alone:
        known = {record.task for place in others for record in groups[place]}
        if not known.isdisjoint([record.task for record, _ in alone]):
            return [], list(range(len(groups)))
    return alone, others


def row(call: Call) -> tuple[Any, ...]:
    """The parameters of `events.insert`."""
    return call_row(*call, lone=True)


def task_row(record: Record, settled: Settled) -> tuple[Any, ...]:
    """The parameters of `tasks.lone`: such a call's task, once more than the call is known of it."""
    real, simulated = money(settled)
    usage, caller = settled.usage, settled.caller
    model = settled.kind == "model"
    return (
        record.task,
        record.tenant,
        caller.workflow,
        caller.user,
        lone_outcome(settled),
        settled.started_ns,
        record.at_ns,
        settled.started_ns + settled.duration_us * 1000,
        settled.duration_us,
        caller.versions.contract,
        settled.confidence,
        settled.tier,
        len(settled.escalations),
        settled.simulated,
        settled.degraded,
        int(model),
        int(not model),
        usage.input_total,
        usage.output_total,
        real,
        simulated,
        settled.saved_nano_usd,
        settled.error,
        settled.message,
    )
