"""The statement of one run of a file: the same figures as `interlock pnl`, of its tasks only.

Above: `batch`. Below: economics' statement. The store keeps money by hour and workflow, not by file, so this one is added up from the tasks:
it ends in the same total, but cannot say which kind of token the money went to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from interlock.config.contract import Value
from interlock.core.ports import ON_DEVICE_TIER
from interlock.core.sketch import counted
from interlock.economics.statement import (
    Latency,
    People,
    Savings,
    Statement,
    Waste,
    is_success,
    latency_of,
    per_success,
)
from interlock.ledger.read import TaskSummary


def statement_of(rows: Sequence[TaskSummary], value: Value, workflow: str, slo_ms: float | None) -> Statement:
    """What these tasks cost and brought."""
    good = [row for row in rows if succeeded(row)]
    cost = sum(row.cost_nano_usd for row in rows)
    hand_overs = sum(1 for row in rows if row.outcome == "handed_to_human")
    people = People(hand_overs, hand_overs * value.human_minutes, hand_overs * value.human_nano_usd)
    revenue = len(good) * value.revenue_nano_usd
    return Statement(
        tenant=rows[0].tenant if rows else "",
        workflow=workflow,
        since_ns=0,
        until_ns=0,
        tasks=len(rows),
        succeeded=len(good),
        simulated_tasks=sum(1 for row in rows if row.simulated),
        cost_nano_usd=cost,
        simulated_nano_usd=sum(row.simulated_nano_usd for row in rows),
        cost_per_success_nano_usd=per_success(cost, len(good)),
        revenue_nano_usd=revenue,
        margin_nano_usd=revenue - cost - people.cost_nano_usd,
        lines=(),
        waste=Waste(sum(row.cost_nano_usd for row in rows if row.finished and not succeeded(row))),
        savings=Savings(
            exact_cache_nano_usd=sum(row.saved_nano_usd for row in rows if not row.simulated),
            on_device_tasks=sum(1 for row in good if row.tier == ON_DEVICE_TIER),
        ),
        people=people,
        outcomes=dict(Counter(row.outcome or row.status for row in rows)),
        latency=latency(rows, slo_ms),
    )


def succeeded(row: TaskSummary) -> bool:
    return is_success(row.outcome, simulated=row.simulated, success=row.success)


def latency(rows: Sequence[TaskSummary], slo_ms: float | None) -> Latency:
    """Of the tasks that have ended, waiting for people included."""
    return latency_of(counted(round(row.duration_ms * 1000) for row in rows if row.finished), slo_ms)
