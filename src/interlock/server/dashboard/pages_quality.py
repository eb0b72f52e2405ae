"""Are the answers good? What users, judges, labels and people said of the newest tasks; what they were made from, and how often people were asked.

Above: face, templates. Below: the ledger's tasks, meters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from interlock.core.estimate import wilson
from interlock.core.meters import MeterRow
from interlock.ledger.read import TaskSummary
from interlock.observe.sources import Asked, Lengths, Sources, asked, lengths, sources

MOST = 50
DAYS = 30
"""Behind the figures that come from meters."""


class Judged(Struct, frozen=True):
    """What one source said of one workflow's tasks."""

    workflow: str
    source: str
    good: int
    n: int
    low: float
    high: float
    """Where the share of good ones lies, 95 times of 100."""


class Kept(Struct, frozen=True):
    """How one workflow's tasks ended, and how many of them somebody has judged."""

    workflow: str
    tasks: int
    resolved: int
    judged: int
    contradicted: int
    """Resolved, but no success according to whoever knows."""


class QualityPage(Struct, frozen=True):
    """The page, out of the newest tasks."""

    n: int
    workflows: tuple[Kept, ...]
    sources: tuple[Judged, ...]
    bad: tuple[TaskSummary, ...]
    """The newest that somebody called no success."""
    days: int = DAYS
    """Behind the rest, whatever number of tasks ended in them."""
    knowledge: tuple[Sources, ...] = ()
    """How often knowledge had something that answers, and how many answers name a source."""
    lengths: tuple[Lengths, ...] = ()
    """How much models read."""
    asks: tuple[Asked, ...] = ()
    """How often people were asked."""


def quality_page(
    newest: Sequence[TaskSummary], meters: Sequence[MeterRow] = (), ended: Mapping[str, int] | None = None
) -> QualityPage:
    """The page of one tenant; `meters` of the last `DAYS`, `ended`: tasks that ended in them, by workflow."""
    over = [each for each in newest if each.status == "finished" and not each.simulated]
    names = sorted({each.workflow for each in over})
    said = [each for each in over if each.success is not None]
    pairs = sorted({(each.workflow, each.success_source) for each in said})
    bad = [each for each in said if each.success is False]
    return QualityPage(
        len(over),
        tuple(_kept(name, [each for each in over if each.workflow == name]) for name in names),
        tuple(
            _judged(*pair, [each for each in said if (each.workflow, each.success_source) == pair]) for pair in pairs
        ),
        tuple(bad[:MOST]),
        knowledge=sources(meters),
        lengths=lengths(meters),
        asks=asked(meters, ended or {}),
    )


def _kept(name: str, tasks: Sequence[TaskSummary]) -> Kept:
    resolved = [each for each in tasks if each.outcome == "resolved"]
    return Kept(
        name,
        len(tasks),
        len(resolved),
        sum(each.success is not None for each in tasks),
        sum(each.success is False for each in resolved),
    )


def _judged(workflow: str, source: str, tasks: Sequence[TaskSummary]) -> Judged:
    good = sum(each.success is True for each in tasks)
    inside = wilson(good, len(tasks))
    return Judged(workflow, source, good, len(tasks), inside.low, inside.high)
