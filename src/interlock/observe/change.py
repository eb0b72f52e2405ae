"""Where a figure of a workflow's tasks changed for good, and which version began there.

Above: alarms, pages. Below: the standard library. Pure. For each figure, the tasks in the order of their beginnings are searched for the place at which
ranks part most (Pettitt 1979: it asks nothing of the distribution, and single outliers count as one rank each). Several figures are looked at at once,
so the false discovery rate is held (Benjamini and Hochberg 1995). A change is called a version's where the version begins within the tasks that the place
may as well be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from interlock.core.caller import Versions
from interlock.core.store import TaskRow
from interlock.core.text import money

FEWEST = 20
"""Tasks on either side of a change."""
MOST = 2_000
FALSE_DISCOVERIES = 0.01
LEAST_EFFECT = 0.15
"""Changes of the middle (of shares: in points) by less than this share are real, maybe, and nobody's concern."""
STRIDE = 64
"""Tasks between two whose records are read, where nothing changed between them."""
_NEAR = 0.8
"""Places that part the ranks at least so much as the best one may be it as well."""


class Ran(Struct, frozen=True):
    """A task that is over, and what decided it."""

    row: TaskRow
    versions: Versions


class Change(Struct, frozen=True):
    """One figure that is not as it was."""

    metric: str
    at_ns: int
    before: float
    after: float
    """Median task before and after; of shares, the mean."""
    n_before: int
    n_after: int
    p: float
    version: str = ""
    """`contract 1a2b3c` that began there; empty: none did."""
    worse: bool = False
    tasks: tuple[str, ...] = ()
    """Of after, those that show it most."""

    def sentence(self) -> str:
        """`cost by task $0.012 → $0.031 since contract 1a2b3c`."""
        since = f" since {self.version}" if self.version else ""
        return f"{self.metric} {self.moved()}{since}"

    def moved(self) -> str:
        """`$0.012 → $0.031`."""
        return f"{shown(self.metric, self.before)} → {shown(self.metric, self.after)}"

    def said(self) -> Iterator[tuple[str, str]]:
        """Its figures, for people."""
        yield "before", f"{shown(self.metric, self.before)} ({self.n_before} tasks)"
        yield "after", f"{shown(self.metric, self.after)} ({self.n_after} tasks)"
        yield "version", self.version or "none of ours began there"
        yield "by chance", f"1 in {1 / self.p:,.0f}" if self.p > 1e-12 else "no"


KINDS = ("prompt", "contract", "route", "policy")
"""Of versions; of several that begin at one place the first is named."""
_SHARES = frozenset({"success", "escalated"})
_FIGURES: Mapping[str, tuple[Callable[[TaskRow], float], bool]] = {
    "cost by task": (lambda row: float(row.cost_nano_usd + row.simulated_nano_usd), True),
    "time by task": (lambda row: row.duration_us / 1e6, True),
    "model calls": (lambda row: float(row.model_calls), True),
    "tool calls": (lambda row: float(row.tool_calls), True),
    "input tokens": (lambda row: float(row.input_tokens), True),
    "output tokens": (lambda row: float(row.output_tokens), True),
    "escalated": (lambda row: float(row.escalations > 0), True),
    "success": (lambda row: float(row.outcome == "resolved" and row.success is not False), False),
}
"""Figure → (how it is read, whether more of it is worse)."""


def changes(runs: Sequence[Ran]) -> list[Change]:
    """Figures that changed among tasks that are over, the surest first; `runs` in any order, the newest `MOST` count."""
    ordered = sorted(runs, key=lambda run: (run.row.created_ns, run.row.id))[-MOST:]
    if len(ordered) < 2 * FEWEST:
        return []
    found = [each for name in _FIGURES if (each := _change(name, ordered)) is not None]
    found.sort(key=lambda each: each.p)
    sure = 0
    for rank, each in enumerate(found, 1):
        if each.p <= FALSE_DISCOVERIES * rank / len(_FIGURES):
            sure = rank
    return [each for each in found[:sure] if _matters(each)]


def _change(metric: str, runs: Sequence[Ran]) -> Change | None:
    read, more_is_worse = _FIGURES[metric]
    values = [read(run.row) for run in runs]
    if len(set(values)) < 2:
        return None
    parted = _parted(values)
    n = len(values)
    inner = range(FEWEST - 1, n - FEWEST)  # `at` is the last task before the change
    at = max(inner, key=lambda place: abs(parted[place]))
    best = abs(parted[at])
    p = min(1.0, 2 * math.exp(-6 * best * best / (n**3 + n**2)))
    middle = _mean if metric in _SHARES else median
    before, after = middle(values[: at + 1]), middle(values[at + 1 :])
    near = [place for place in inner if abs(parted[place]) >= _NEAR * best]
    found = Change(metric, runs[at + 1].row.created_ns, before, after, at + 1, n - at - 1, p)
    worst = sorted(runs[at + 1 :], key=lambda run: (read(run.row), run.row.created_ns), reverse=more_is_worse)
    version, place = _version(runs, min(near) + 1, max(near) + 1, at + 1)
    if version:  # where a version began among the places it may as well be, that is the place
        before, after = middle(values[:place]), middle(values[place:])
        found = replace(found, at_ns=runs[place].row.created_ns, before=before, after=after, n_before=place)
        found = replace(found, n_after=n - place, version=version)
    return replace(found, worse=(after > before) == more_is_worse, tasks=tuple(run.row.id for run in worst[:20]))


def _parted(values: Sequence[float]) -> list[float]:
    """Pettitt's statistic at each place: twice the sum of ranks up to it, less what it would be without a change."""
    n = len(values)
    order = sorted(range(n), key=values.__getitem__)
    ranks = [0.0] * n
    start = 0
    while start < n:  # ties share the middle of their ranks
        end = start
        while end < n and values[order[end]] == values[order[start]]:
            end += 1
        for place in order[start:end]:
            ranks[place] = (start + end + 1) / 2
        start = end
    total, found = 0.0, [0.0] * n
    for place, rank in enumerate(ranks):
        total += rank
        found[place] = 2 * total - (place + 1) * (n + 1)
    return found


def _version(runs: Sequence[Ran], first: int, last: int, at: int) -> tuple[str, int]:
    """What began among `first` to `last`, the nearest to `at`, and where."""
    best = ("", at)
    for kind in KINDS:
        seen = {getattr(run.versions, kind) for run in runs[:first]}
        for place in range(first, min(last + 1, len(runs))):
            version: str = getattr(runs[place].versions, kind)
            if not version or version in seen or not any(seen):
                continue
            seen.add(version)
            if not best[0] or abs(place - at) < abs(best[1] - at):
                best = (f"{kind} {version}", place)
    return best


def _matters(each: Change) -> bool:
    if each.metric in _SHARES:
        return abs(each.after - each.before) >= LEAST_EFFECT / 2
    return abs(each.after - each.before) >= LEAST_EFFECT * max(abs(each.before), abs(each.after))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def versions_along(rows: Sequence[TaskRow], read: Callable[[str], Versions]) -> list[Ran]:
    """The tasks, in order, with what decided each; only as many are read as are needed to see where it changed.

    A version that came and went between two tasks that are read (at most `STRIDE` apart) is not seen.
    """
    ordered = sorted(rows, key=lambda row: (row.created_ns, row.id))
    if not ordered:
        return []
    known: dict[int, Versions] = {}

    def at(place: int) -> Versions:
        if place not in known:
            known[place] = read(ordered[place].id)
        return known[place]

    def between(low: int, high: int) -> None:
        if high - low > 1 and (at(low) != at(high) or high - low > STRIDE):
            middle = (low + high) // 2
            between(low, middle)
            between(middle, high)

    between(0, len(ordered) - 1)
    at(len(ordered) - 1)
    found, versions = list[Ran](), at(0)
    for place, row in enumerate(ordered):
        versions = known.get(place, versions)
        found.append(Ran(row, versions))
    return found


def shown(metric: str, value: float) -> str:
    """A figure for people."""
    if metric == "cost by task":
        return money(round(value))
    if metric == "time by task":
        return f"{value:.1f} s"
    return f"{100 * value:.0f} %" if metric in _SHARES else f"{value:,.0f}"
