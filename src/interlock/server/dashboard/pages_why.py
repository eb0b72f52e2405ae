"""One task decision by decision, and beside a run that went well. Above: face, templates. Below: observe's why, the ledger's trace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from interlock.ledger.read import TaskSummary, Trace
from interlock.observe.why import Why, why

ALIKE = 100
"""Good runs among which one of like length is looked for."""


class WhyPage(Struct, frozen=True):
    """Every decision of a task."""

    task: TaskSummary
    decisions: tuple[Why, ...]


class Pair(Struct, frozen=True):
    """One place of two runs; one side is empty where the other did more."""

    mine: Why | None
    other: Why | None
    same: bool
    """Both decided the same."""


class ComparePage(Struct, frozen=True):
    """A task beside another one."""

    mine: TaskSummary
    other: TaskSummary | None
    """`None`: there is no run of the workflow that went well."""
    pairs: tuple[Pair, ...]
    parted: int | None
    """Step of the task after which they part, -1 for the beginning; `None`: they do not, or there is nothing to compare with."""


def why_page(trace: Trace) -> WhyPage:
    """The page."""
    return WhyPage(trace.task, tuple(why(trace)))


def good_run(newest: Sequence[TaskSummary], task: TaskSummary) -> str:
    """Of the newest other runs of the workflow that went well, the one that is most like it in length; empty for none."""
    good = [e for e in newest if e.outcome == "resolved" and e.success is not False and e.task != task.task][:ALIKE]
    steps = task.model_calls + task.tool_calls
    return min(good, key=lambda e: abs(e.model_calls + e.tool_calls - steps)).task if good else ""


def compare_page(mine: Trace, other: Trace | None) -> ComparePage:
    """The page: what both decided stands side by side, in the order of the task."""
    if other is None:
        return ComparePage(mine.task, None, tuple(Pair(each, None, False) for each in why(mine)), None)
    pairs = tuple(_aligned(why(mine), why(other)))
    first = next((at for at, each in enumerate(pairs) if not each.same), None)
    before = pairs[first - 1].mine if first else None
    parted = None if first is None else before.step if before else -1
    return ComparePage(mine.task, other.task, pairs, parted)


def _aligned(mine: Sequence[Why], other: Sequence[Why]) -> Iterator[Pair]:
    """The longest common run of decisions, by what was decided; what only one side did stands alone."""
    a, b = [each.decided for each in mine[:400]], [each.decided for each in other[:400]]
    longest = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            longest[i][j] = longest[i + 1][j + 1] + 1 if a[i] == b[j] else max(longest[i + 1][j], longest[i][j + 1])
    i = j = 0
    while i < len(a) or j < len(b):
        if i < len(a) and j < len(b) and a[i] == b[j]:
            yield Pair(mine[i], other[j], True)
            i, j = i + 1, j + 1
        elif j >= len(b) or (i < len(a) and longest[i + 1][j] >= longest[i][j + 1]):
            yield Pair(mine[i], None, False)
            i += 1
        else:
            yield Pair(None, other[j], False)
            j += 1
