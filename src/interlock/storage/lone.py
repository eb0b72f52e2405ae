"""Lone gateway calls: most of what a gateway records, and each of them a whole task.

Above: segments, writes, packed. Below: rows. Pure: values in, values out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from interlock.core.events import Record, Settled, is_lone
from interlock.core.lots import Lot
from interlock.core.store import TaskRow

from .rows import lone_outcome, money

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
    return alone, others


def by_minute(lots: Sequence[Lot], ns_per_minute: int) -> list[Lot]:
    """Lots whose calls began in one minute each."""
    parts: list[Lot] = []
    for lot in lots:
        minutes = {brief.started_ns // ns_per_minute for brief in lot.briefs}
        if len(minutes) == 1:
            parts.append(lot)
            continue
        for minute in sorted(minutes):
            briefs = [brief for brief in lot.briefs if brief.started_ns // ns_per_minute == minute]
            parts.append(Lot(lot.form, briefs, lot.at_ns))
    return parts


def repeated(calls: Sequence[Call]) -> set[str]:
    """The tasks that are among `calls` more than once."""
    counts = Counter(record.task for record, _ in calls)
    return {task for task, count in counts.items() if count > 1}


def task_of(task: str, at_ns: int, settled: Settled) -> TaskRow:
    """The call as the task that it is."""
    real, simulated = money(settled)
    usage, caller = settled.usage, settled.caller
    model = settled.kind == "model"
    return TaskRow(
        id=task,
        tenant=caller.tenant,
        kind="call",
        workflow=caller.workflow,
        user=caller.user,
        status="finished",
        outcome=lone_outcome(settled),
        created_ns=settled.started_ns,
        updated_ns=at_ns,
        finished_ns=settled.started_ns + settled.duration_us * 1000,
        duration_us=settled.duration_us,
        contract=caller.versions.contract,
        confidence=settled.confidence,
        tier=settled.tier,
        escalations=len(settled.escalations),
        simulated=settled.simulated,
        degraded=settled.degraded,
        events=1,
        last_seq=caller.step,
        model_calls=int(model),
        tool_calls=int(not model),
        input_tokens=usage.input_total,
        output_tokens=usage.output_total,
        cost_nano_usd=real,
        simulated_nano_usd=simulated,
        saved_nano_usd=settled.saved_nano_usd,
        error=settled.error,
        message=settled.message,
    )
