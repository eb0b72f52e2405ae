"""What has gone wrong, and what to do: promises, incidents with their runbooks, figures that changed, tasks that were stopped.

Above: face, templates. Below: observe's values, the ledger's tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from interlock.core.text import money
from interlock.ledger.read import TaskSummary
from interlock.observe.alarms import STOPPED
from interlock.observe.change import Change, shown
from interlock.observe.incidents import Book, Incident
from interlock.observe.orders import Signs
from interlock.observe.slo import Standing

MOST_STOPPED = 20
MOST_OVER = 20
WORDS = {"kept": "kept", "broken": "broken", "open": "too few to say", "unseen": "nothing yet"}


class Promise(Struct, frozen=True):
    """One promise as it is drawn."""

    workflow: str
    label: str
    so_far: str
    between: str
    """The 95 % interval; empty for none."""
    left: float | None
    """Share of the budget; below zero: overdrawn."""
    verdict: str
    state: str
    """A word of `draw.STATES`."""
    burns: str
    """What goes off, in words; empty for nothing."""
    days_left: float | None

    @property
    def left_said(self) -> str:
        """The budget that is left, in words."""
        if self.left is None:
            return "–"
        if self.left >= 0:
            return f"{100 * self.left:.0f} % left"
        return f"spent {1 - self.left:.1f} times" if self.left > -99 else "spent"

    @property
    def bar(self) -> float:
        """The budget that is left as it is drawn, 0–100."""
        return round(100 * min(1.0, max(0.0, self.left if self.left is not None else 0.0)), 1)


class Changed(Struct, frozen=True):
    """A figure that is not as it was."""

    workflow: str
    metric: str
    before: str
    after: str
    at_ns: int
    version: str
    worse: bool
    tasks: tuple[str, ...]


class IncidentsPage(Struct, frozen=True):
    """The page."""

    promises: tuple[Promise, ...]
    open: tuple[Incident, ...]
    over: tuple[Incident, ...]
    changes: tuple[Changed, ...]
    stopped: tuple[TaskSummary, ...]
    """The newest tasks that were stopped for going in circles."""
    signs: tuple[Signs, ...]
    """Texts that look as if they gave orders, by source."""
    looked: int
    """Nanoseconds of the epoch; zero: nobody looks."""


class IncidentPage(Struct, frozen=True):
    """One incident: its figures, its runbook, and the tasks behind it."""

    incident: Incident
    tasks: tuple[TaskSummary, ...]


def incidents_page(
    standings: Mapping[str, Sequence[Standing]],
    book: Book,
    tenant: str,
    changes: Mapping[str, Sequence[Change]],
    newest: Sequence[TaskSummary],
    signs: Sequence[Signs],
) -> IncidentsPage:
    """The page of one tenant."""
    incidents = book.of(tenant)
    return IncidentsPage(
        promises=promises(standings),
        open=tuple(each for each in incidents if each.open),
        over=tuple(each for each in incidents if not each.open)[:MOST_OVER],
        changes=tuple(_changed(name, each) for name, found in changes.items() for each in found),
        stopped=tuple(each for each in newest if each.error.startswith(STOPPED))[:MOST_STOPPED],
        signs=tuple(signs),
        looked=book.looked_ns,
    )


def promises(standings: Mapping[str, Sequence[Standing]]) -> tuple[Promise, ...]:
    """Every promise, the one with the least budget left first."""
    found = [_promise(name, each) for name, held in standings.items() for each in held]
    return tuple(sorted(found, key=lambda each: 2.0 if each.left is None else each.left))


def _promise(workflow: str, each: Standing) -> Promise:
    burn = each.firing
    state = {"kept": "ok", "broken": "failed", "open": "waiting_approval", "unseen": ""}[each.verdict]
    return Promise(
        workflow,
        each.objective.label,
        _so_far(each),
        _between(each),
        each.left,
        "budget spent" if each.spent else WORDS[each.verdict],
        state,
        f"burns {burn.rate:.1f} times too fast" if burn else "",
        each.days_left if (each.left or 0) > 0 else None,
    )


def _so_far(each: Standing) -> str:
    seen = each.seen
    if each.objective.name == "cost":
        return "nothing yet" if each.achieved is None else f"{money(round(each.achieved))} by success"
    if not seen.n:
        return "nothing yet"
    share = f"{100 * (seen.n - seen.bad) / seen.n:.2f} % of {seen.n:,}"
    return f"{share} looked into" if seen.of > seen.n + seen.pending else share


def _between(each: Standing) -> str:
    if each.low is None or each.high is None or each.objective.name == "policy":
        return ""
    if each.objective.name == "cost":
        return f"{money(round(each.low))} – {money(round(each.high))}"
    return f"{100 * each.low:.1f} – {100 * each.high:.1f} %"


def _changed(workflow: str, each: Change) -> Changed:
    before, after = shown(each.metric, each.before), shown(each.metric, each.after)
    return Changed(workflow, each.metric, before, after, each.at_ns, each.version, each.worse, each.tasks[:5])
