"""The end of a batch: what became of the tasks, how long they took, what was right, what to look at next.

Above: `run`. Below: rich. The money is drawn by `statement`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import Struct

from .options import millis, table
from .palette import ACCENT, BAD, BAD_ENDS, DIM, GOOD, OUTCOMES, WARN, words
from .scoring import Verdict
from .text import cell, one_line, plural, share

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from interlock.ledger.read import TaskSummary

WRONG_SHOWN = 3
SHORTEST_ID = 18


class Ended(Struct, frozen=True):
    """One task of a batch as the summary sees it."""

    task: str
    line: int
    outcome: str
    duration_us: int
    finished: bool
    escalations: int = 0
    simulated: bool = False
    error: str = ""
    message: str = ""
    verdict: Verdict | None = None
    """`None` where the line has no label."""
    why: str = ""
    """What speaks against it, of the first few that are wrong."""


class Batch(Struct, frozen=True):
    """A whole batch, lines that earlier runs finished included."""

    workflow: str
    tasks: tuple[Ended, ...]
    wall_s: float
    done_before: int = 0
    rejected: int = 0
    rejected_file: str = ""
    reasons: Mapping[str, int] = {}
    """Why tasks were escalated: rule as it stands in the file → how often."""
    explained: int = 0
    """Of so many escalated tasks the reasons were looked up."""
    troubles: tuple[str, ...] = ()
    """Why models could not answer, and what to do about it."""


def ended(row: TaskSummary, said: Verdict | None, why: str) -> Ended:
    """A task of the store as the summary sees it."""
    return Ended(
        task=row.task,
        line=row.line,
        outcome=row.outcome,
        duration_us=round(row.duration_ms * 1000),
        finished=bool(row.finished),
        escalations=row.escalations,
        simulated=row.simulated,
        error=row.error,
        message=row.message,
        verdict=said,
        why=why,
    )


def percentiles(durations_us: Sequence[int]) -> tuple[int, int, int]:
    """p50, p95 and p99 by nearest rank, in microseconds."""
    ordered = sorted(durations_us)

    def at(part: float) -> int:
        return ordered[max(0, math.ceil(part * len(ordered)) - 1)]

    return at(0.5), at(0.95), at(0.99)


def draw(where: Console, batch: Batch, statement: RenderableType | None, hints: Sequence[tuple[str, str]]) -> None:
    """The summary, from what happened to what to do next."""
    where.print(heading(batch))
    if batch.tasks:
        where.print(outcomes(batch.tasks))
        for line in facts(batch):
            where.print(line)
    if statement is not None:
        where.print()
        where.print(statement)
    for warning in warnings(batch):
        where.print(warning)
    if hints:
        where.print(next_steps(hints))


def heading(batch: Batch) -> Text:
    """How many tasks in which time."""
    from rich.text import Text

    ran = len(batch.tasks) - batch.done_before
    if not ran and batch.done_before:
        return Text(f"\nnothing was left to do: {plural(batch.done_before, 'line')} had been done before", ACCENT)
    text = Text(f"\n{plural(ran, 'task')} of {batch.workflow} in {millis(round(batch.wall_s * 1e6))}", ACCENT)
    if batch.done_before:
        text.append(f", {plural(batch.done_before, 'line')} had been done before; all are counted below", DIM)
    return text


def outcomes(tasks: Iterable[Ended]) -> RenderableType:
    """How often each outcome came, with its share."""
    counts = Counter(each.outcome for each in tasks)
    total = sum(counts.values())
    order = [*OUTCOMES, *sorted(counts.keys() - OUTCOMES.keys())]
    rows = [
        [cell(words(each), OUTCOMES.get(each, "")), counts[each], share(counts[each], total)]
        for each in order
        if counts[each]
    ]
    return table(["outcome", "tasks", "share"], rows, right=["tasks", "share"])


def facts(batch: Batch) -> list[Text]:
    """Latency, tiers, escalations and labels, a line each; empty ones are left out."""
    from rich.text import Text

    lines: list[Text] = []
    finished = [each.duration_us for each in batch.tasks if each.finished]
    if finished:
        p50, p95, p99 = percentiles(finished)
        lines.append(Text(f"latency      p50 {millis(p50)} · p95 {millis(p95)} · p99 {millis(p99)}"))
    escalated = sum(1 for each in batch.tasks if each.escalations)
    if escalated:
        why = " · ".join(f"{count}× {rule}" for rule, count in list(batch.reasons.items())[:3])
        if why and batch.explained < escalated:
            why = f"of {batch.explained:,} looked at: {why}"
        lines.append(Text(f"escalated    {plural(escalated, 'task')}").append(f"   {why}" if why else "", DIM))
    scored = [each for each in batch.tasks if each.verdict]
    if scored:
        lines.append(labels(scored))
        ids = short_ids(batch.tasks)
        wrong = [each for each in scored if each.verdict == "wrong"]
        lines.extend(
            Text("             ")
            .append(one_line(f"line {each.line}: {each.why}", 110), DIM)
            .append(f"  {ids[each.task]}", DIM)
            for each in wrong[:WRONG_SHOWN]
        )
    return lines


def labels(scored: Sequence[Ended]) -> Text:
    """How the answers compare with the labels of the file."""
    from rich.text import Text

    counts = Counter(each.verdict for each in scored)
    judged = counts["right"] + counts["wrong"]
    parts = [
        Text(f"{counts['right']} right", GOOD),
        Text(f"{counts['wrong']} wrong", BAD if counts["wrong"] else ""),
    ]
    if counts["missed"]:
        parts.append(Text(f"{counts['missed']} left to a person though the label has an answer", WARN))
    if counts["simulated"]:
        parts.append(Text(f"{counts['simulated']} simulated, not scored", OUTCOMES["simulated"]))
    if counts["unfinished"]:
        parts.append(Text(f"{counts['unfinished']} did not come to an end", BAD))
    rate = f" ({100 * counts['right'] / judged:.1f} % of those judged)" if judged else ""
    return Text("labels       ").append_text(Text(" · ").join(parts)).append(rate, DIM)


def warnings(batch: Batch) -> list[Text]:
    """What must not be overlooked."""
    from rich.text import Text

    found: list[Text] = []
    simulated = sum(1 for each in batch.tasks if each.simulated)
    if simulated:
        found.append(
            Text.assemble(
                ("\n SIMULATED ", f"reverse {OUTCOMES['simulated']}"),
                f" {plural(simulated, 'task')} reached a simulated model: its text is a placeholder, its cost is not money, "
                "and none of it counts as a success.",
            )
        )
    if batch.rejected:
        found.append(
            cell(
                f"{plural(batch.rejected, 'line')} could not be read and did not run; kept in {batch.rejected_file}",
                BAD,
            )
        )
    found.extend(cell(said, BAD) for said in batch.troubles)
    failed = Counter(each.error or each.message for each in batch.tasks if each.outcome in BAD_ENDS)
    found.extend(cell(f"{count}× {why}", BAD, 160) for why, count in failed.most_common(3) if why)
    return found


def next_steps(hints: Sequence[tuple[str, str]]) -> RenderableType:
    """Commands worth trying, each with what it shows."""
    from rich.table import Table

    made = Table.grid(padding=(0, 3, 0, 0))
    made.add_column(no_wrap=True, overflow="fold")
    made.add_column()
    made.add_row(cell("next", DIM))
    for command, what in hints:
        made.add_row(cell(command, ACCENT), cell(what, DIM))
    return made


def short_ids(tasks: Sequence[Ended]) -> dict[str, str]:
    """For each task the beginning of its id that no other one of the batch shares, a little longer than it must be."""
    ordered = sorted(each.task for each in tasks)
    if not ordered:
        return {}
    shared = [0, *(in_common(one, next_one) for one, next_one in pairwise(ordered)), 0]
    return {task: task[: max(SHORTEST_ID, max(pair) + 3)] for task, pair in zip(ordered, pairwise(shared), strict=True)}


def in_common(one: str, other: str) -> int:
    """How many characters two ids begin with together."""
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
