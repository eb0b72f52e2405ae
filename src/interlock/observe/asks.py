"""How often people are asked: questions of the information-flow policy by task. Who is asked too often says yes to everything.

Above: alarms' reader, pages. Below: core's meters and roll-ups. Pure: rows in, shares out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from interlock.core.meters import MeterRow

HOURS = 24
FEWEST = 5
"""Fewer questions than these in a day trouble nobody, whatever their share."""


class Asks(Struct, frozen=True):
    """Of one workflow, over the last day."""

    workflow: str
    asks: int
    tasks: int

    @property
    def per_task(self) -> float:
        return self.asks / max(1, self.tasks)

    def too_often(self, most: float) -> bool:
        """Whether it is more than `most` a task (zero: nobody watches)."""
        return most > 0 and self.asks >= FEWEST and self.per_task > most


def asks(meters: Iterable[MeterRow], tasks: Mapping[str, int], hour: int) -> list[Asks]:
    """By workflow, who asks most often first. `tasks`: begun in the last day, by workflow; `hour` is now."""
    counted: Counter[str] = Counter()
    for row in meters:
        if row.meter == "asks" and row.label == "policy" and hour - row.hour < HOURS:
            counted[row.workflow] += row.n
    found = [Asks(workflow, n, tasks.get(workflow, 0)) for workflow, n in counted.items()]
    return sorted(found, key=lambda each: (-each.per_task, each.workflow))
