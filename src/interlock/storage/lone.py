"""Lone gateway calls as rows: most of what a gateway records, written without a look at what is there.

Above: writes. Below: rows. Pure: values in, rows out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interlock.core.events import Record, Settled

from .rows import LATE_MARK, lone_outcome, money


def split(groups: Sequence[Sequence[Record]]) -> tuple[list[Record], list[int]]:
    """(calls that seem to be a task of their own, places of all other groups).

    A lone call is the first record of its task and under no lease. Whether its task is really new, the insert shows.
    """
    alone: list[Record] = []
    others: list[int] = []
    for place, group in enumerate(groups):
        first = group[0] if len(group) == 1 else None
        if (
            first is not None
            and first.seq == 1
            and not first.fence
            and isinstance(first.event, Settled)
            and LATE_MARK not in first.task
        ):
            alone.append(first)
        else:
            others.append(place)
    known = {record.task for place in others for record in groups[place]}
    if known and not known.isdisjoint([record.task for record in alone]):
        return [], list(range(len(groups)))
    return alone, others


def task_row(record: Record, settled: Settled) -> tuple[Any, ...]:
    """The parameters of `tasks.lone`."""
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
