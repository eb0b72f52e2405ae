"""What a person sees on stderr while a batch runs: a bar on a terminal, a line every few seconds elsewhere.

Above: `run`. Below: rich.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID
from rich.progress import TimeRemainingColumn as TimeColumn
from rich.text import Text

from interlock.core.time import Clock

from .options import console
from .palette import OUTCOMES
from .text import plural

EVERY_S = 5.0
"""Between two lines of progress where there is no terminal."""
SHORT = {
    "resolved": "resolved",
    "waiting": "asleep",
    "waiting_approval": "waiting",
    "handed_to_human": "to a person",
    "simulated": "simulated",
    "denied": "denied",
    "failed": "failed",
    "limit_reached": "over limit",
    "cancelled": "cancelled",
}


class Shown(Protocol):
    """Progress that is being shown."""

    def add(self, outcome: str) -> None:
        """One more task is over."""
        ...


@asynccontextmanager
async def showing(total: int, clock: Clock) -> AsyncGenerator[Shown]:
    """Progress over `total` tasks for as long as the block runs; nothing is left of the bar afterwards."""
    where = console(stderr=True)
    if where.is_terminal and not where.is_dumb_terminal:
        with _bar(where) as bar:
            yield Bar(bar, bar.add_task("", total=total, counts=Text()))
        return
    lines = Lines(total, clock)
    ticking = asyncio.create_task(lines.tick())
    try:
        yield lines
    finally:
        ticking.cancel()


class Counts(ProgressColumn):
    """The count of each outcome so far."""

    def render(self, task: Task) -> Text:
        return task.fields["counts"]


def _bar(where: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        Counts(),
        TimeColumn(compact=True, elapsed_when_finished=True),
        console=where,
        transient=True,
        refresh_per_second=8,
    )


class Bar:
    """A bar with the count of each outcome beside it."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task
        self._counts: dict[str, int] = {}

    def add(self, outcome: str) -> None:
        self._counts[outcome] = self._counts.get(outcome, 0) + 1
        self._bar.update(self._task, advance=1, counts=counted(self._counts))


class Lines:
    """A line of text now and then, for logs and pipes."""

    def __init__(self, total: int, clock: Clock) -> None:
        self._total, self._clock = total, clock
        self._began_s = clock.monotonic_s()
        self._counts: dict[str, int] = {}

    def add(self, outcome: str) -> None:
        self._counts[outcome] = self._counts.get(outcome, 0) + 1

    async def tick(self) -> None:
        """Says how far it is, for ever."""
        where = console(stderr=True)
        while True:
            await asyncio.sleep(EVERY_S)
            where.print(self.line())

    def line(self) -> Text:
        """How far it is."""
        done = sum(self._counts.values())
        spent_s = max(1e-6, self._clock.monotonic_s() - self._began_s)
        left = f", about {(self._total - done) * spent_s / done:.0f} s left" if done else ""
        return Text.assemble(f"{done} of {plural(self._total, 'task')} done  ", counted(self._counts), left)


def counted(counts: dict[str, int]) -> Text:
    """`resolved 120 · to a person 31`, each in its colour."""
    parts = [
        Text(f"{SHORT.get(each, each)} {counts[each]}", style) for each, style in OUTCOMES.items() if each in counts
    ]
    return Text(" · ").join(parts)
