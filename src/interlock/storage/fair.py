"""Fair scheduling between tenants: which of the due tasks are taken, so that no tenant waits behind another one's crowd.

Above: SQLite's tasks; PostgreSQL says the same in SQL (`postgres/sql/tasks.sql`, take). Below: core. Pure: values in, ids out.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from interlock.core.due import Wanted


class Due(NamedTuple):
    """A task that somebody should work on."""

    task: str
    tenant: str
    workflow: str
    since_ns: int
    """Since when."""
    priority: int = 0
    """Its own; that of its workflow comes on top."""


def chosen(due: Iterable[Due], busy: Mapping[str, int], wanted: Wanted) -> list[str]:
    """At most `wanted.limit` tasks: again and again one of the tenant that has the fewest under way, its most urgent first.

    `busy`: how many tasks of each tenant are under way, over all workers.
    """
    lines: dict[str, list[tuple[int, int, str]]] = {}
    for each in {each.task: each for each in due}.values():
        urgency = -wanted.priorities.get(each.workflow, 0) - each.priority
        lines.setdefault(each.tenant, []).append((urgency, each.since_ns, each.task))
    for line in lines.values():
        line.sort(reverse=True)
    turns = [(busy.get(tenant, 0), line[-1], tenant) for tenant, line in lines.items()]
    heapq.heapify(turns)
    taken: list[str] = []
    while turns and len(taken) < wanted.limit:
        under_way, _, tenant = heapq.heappop(turns)
        if wanted.per_tenant and under_way >= wanted.per_tenant:
            continue
        line = lines[tenant]
        taken.append(line.pop()[2])
        if line:
            heapq.heappush(turns, (under_way + 1, line[-1], tenant))
    return taken
