"""One task decision by decision, and beside a run that went well. Above: face, templates. Below: observe's why, the ledger's trace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from interlock.agents.fork import FORK
from interlock.ledger.read import TaskSummary, Trace
from interlock.observe.why import Why, why

from .pages_again import is_fork

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


class Figure(Struct, frozen=True):
    """One thing about both runs."""

    name: str
    mine: Any
    other: Any
    kind: str = ""
    """`money`, `ms`, `text` (hostile) or a plain number."""


class ComparePage(Struct, frozen=True):
    """A task beside another one."""

    mine: TaskSummary
    other: TaskSummary | None
    """`None`: there is no run of the workflow that went well."""
    pairs: tuple[Pair, ...]
    parted: int | None
    """Step of the task after which they part, -1 for the beginning; `None`: they do not, or there is nothing to compare with."""
    figures: tuple[Figure, ...] = ()
    forked: str = ""
    """`mine` or `other`, where that is a fork: what came before its step is copied, and its cost is that of new calls."""


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
    forked = "other" if is_fork(other.task) else "mine" if is_fork(mine.task) else ""
    return ComparePage(mine.task, other.task, pairs, parted, tuple(_figures(mine, other)), forked)


def _figures(mine: Trace, other: Trace) -> Iterator[Figure]:
    a, b = mine.task, other.task
    yield Figure("answer", _answer(mine), _answer(other), "text")
    yield Figure("cost", a.cost_nano_usd, b.cost_nano_usd, "money")
    if a.simulated_nano_usd or b.simulated_nano_usd:
        yield Figure("simulated, not paid", a.simulated_nano_usd, b.simulated_nano_usd, "money")
    yield Figure("model calls", a.model_calls, b.model_calls)
    yield Figure("tool calls", a.tool_calls, b.tool_calls)
    yield Figure("tokens in", a.input_tokens, b.input_tokens)
    yield Figure("tokens out", a.output_tokens, b.output_tokens)
    yield Figure("time", a.duration_ms, b.duration_ms, "ms")
    if a.error or b.error:
        yield Figure("error", a.error, b.error, "text")


def _answer(trace: Trace) -> Any:
    ended = next((step for step in trace.steps if step.type == "finished"), None)
    return ((ended.content if ended else None) or {}).get("answer", "")


def _aligned(mine: Sequence[Why], other: Sequence[Why]) -> Iterator[Pair]:
    """The longest common run of decisions, by what was decided; what only one side did stands alone."""
    a, b = ([each.decided.removesuffix(FORK) for each in run[:400]] for run in (mine, other))
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
