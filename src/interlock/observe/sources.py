"""How much models read, how often knowledge had something that answers, how many answers name a source, how often people are asked; out of the hours' meters.

Above: pages. Below: core's meters. Pure: rows in, figures out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from interlock.core.estimate import wilson
from interlock.core.meters import MeterRow

EDGES: tuple[int, ...] = tuple(1 << power for power in range(7, 21))
"""Upper edges of lengths as they are drawn: 128 to a million tokens; what is longer counts with the last."""


class Rate(Struct, frozen=True):
    """So many of so many, and where the share lies 95 times of 100."""

    part: int
    n: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """0–1; zero of none."""
        return self.part / self.n if self.n else 0.0


class Sources(Struct, frozen=True):
    """Of one workflow."""

    workflow: str
    hits: Rate
    """Texts that were looked up in knowledge, and those for which a passage was good enough."""
    cited: Rate
    """Answers of tasks that had sources to name, and those that name at least one."""


class Lengths(Struct, frozen=True):
    """How long the inputs of one workflow's model calls were."""

    workflow: str
    calls: int
    half: int
    """Tokens that half of them had at most, and below 95 of 100; edges of powers of two."""
    most: int
    counts: tuple[int, ...]
    """By `EDGES`."""


class Asked(Struct, frozen=True):
    """How often one workflow asked people."""

    workflow: str
    policy: int
    """By the policy of information flow."""
    rule: int
    """By rules of the contract."""
    tasks: int
    """That ended in the same time."""
    per_task: float | None
    """`None` without tasks."""


def sources(meters: Iterable[MeterRow]) -> tuple[Sources, ...]:
    """By workflow; those that looked nothing up and had nothing to name are left out."""
    counts = _counts(meters, ("searched", "cited"))
    found: list[Sources] = []
    for workflow in sorted({workflow for workflow, _, _ in counts}):
        n = {label: counts[workflow, meter, label] for meter, label in _RESULTS}
        hits, cited = _rate(n["hit"], n["miss"]), _rate(n["cited"], n["uncited"])
        found.append(Sources(workflow, hits, cited))
    return tuple(found)


_RESULTS = (("searched", "hit"), ("searched", "miss"), ("cited", "cited"), ("cited", "uncited"))


def lengths(meters: Iterable[MeterRow]) -> tuple[Lengths, ...]:
    """By workflow, those with most calls first."""
    by: dict[str, list[int]] = {}
    for (workflow, _, label), n in _counts(meters, ("context",)).items():
        if label.isdecimal():
            place = next((at for at, edge in enumerate(EDGES) if int(label) <= edge), len(EDGES) - 1)
            by.setdefault(workflow, [0] * len(EDGES))[place] += n
    found = [
        Lengths(workflow, sum(counts), _edge(counts, 0.5), _edge(counts, 0.95), tuple(counts))
        for workflow, counts in by.items()
    ]
    return tuple(sorted(found, key=lambda each: (-each.calls, each.workflow)))


def asked(meters: Iterable[MeterRow], tasks: Mapping[str, int]) -> tuple[Asked, ...]:
    """By workflow, who asks most often first. `tasks`: that ended, by workflow."""
    counts = _counts(meters, ("asks",))
    found: list[Asked] = []
    for workflow in {workflow for workflow, _, _ in counts}:
        policy, rule = counts[workflow, "asks", "policy"], counts[workflow, "asks", "rule"]
        n = tasks.get(workflow, 0)
        found.append(Asked(workflow, policy, rule, n, (policy + rule) / n if n else None))
    return tuple(sorted(found, key=lambda each: (-(each.per_task or 0.0), each.workflow)))


def _counts(meters: Iterable[MeterRow], wanted: Sequence[str]) -> Counter[tuple[str, str, str]]:
    """By workflow, meter and label."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in meters:
        if row.meter in wanted:
            counts[row.workflow, row.meter, row.label] += row.n
    return counts


def _rate(part: int, rest: int) -> Rate:
    inside = wilson(part, part + rest)
    return Rate(part, part + rest, inside.low, inside.high)


def _edge(counts: Sequence[int], share: float) -> int:
    """The first edge below which at least this share lies."""
    left = share * sum(counts)
    for edge, n in zip(EDGES, counts, strict=True):
        left -= n
        if left <= 1e-9:
            return edge
    return EDGES[-1]
