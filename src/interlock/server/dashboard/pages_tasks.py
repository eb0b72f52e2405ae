"""The list of tasks: which were asked for, and where the list goes on. Above: face, templates. Below: the ledger's reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec import Struct, structs

from interlock.app.views import View
from interlock.core.errors import InvalidRequest
from interlock.core.money import NANO_PER_USD
from interlock.core.store import TaskFilter
from interlock.core.text import WORDS
from interlock.ledger.read import TaskPage, TaskSummary

PAGE = 50
STATUSES = ("running", "waiting", "in_doubt", "paused", "finished")
KINDS = ("task", "call", "late")


class Asked(Struct, frozen=True):
    """What the filters say."""

    workflow: str = ""
    user: str = ""
    outcome: str = ""
    status: str = ""
    kind: str = ""
    cost: str = ""
    """Dollars at least."""
    steps: str = ""
    """Calls at least."""
    contract: str = ""
    """Version that it began under."""
    at: str = ""
    """Where the page begins: nanoseconds, a dot, an id."""


class TasksPage(Struct, frozen=True):
    """Tasks, newest first."""

    asked: Asked
    tasks: tuple[TaskSummary, ...]
    next: dict[str, str]
    """The query of the next page; empty on the last one."""
    workflows: tuple[str, ...]
    contracts: tuple[tuple[str, str], ...] = ()
    """Versions in the files now, with the workflow of each."""
    views: tuple[View, ...] = ()
    """Filters that the visitor has kept."""
    view: str = ""
    """The one of them that is shown."""
    outcomes: tuple[str, ...] = tuple(name for name in WORDS if name not in ("", "running", "in_doubt"))
    statuses: tuple[str, ...] = STATUSES
    kinds: tuple[str, ...] = KINDS


def asked_of(query: Mapping[str, str]) -> Asked:
    """The filters in a query; names that are none are left alone."""
    return Asked(**{name: query.get(name, "").strip()[:200] for name in Asked.__struct_fields__})


def filter_of(asked: Asked, tenant: str) -> TaskFilter:
    """The same for the store.

    Raises:
        InvalidRequest: a filter that is none of its choices, or no number.
    """
    for name, choices in (("status", STATUSES), ("kind", KINDS)):
        value = getattr(asked, name)
        if value and value not in choices:
            raise InvalidRequest(f"{name} is one of {', '.join(choices)}", param=name)
    until, _, before = asked.at.partition(".")
    if asked.at and not (until.isascii() and until.isdigit() and len(until) < 20):
        raise InvalidRequest("`at` is what the link to the next page says", param="at")
    return TaskFilter(
        tenant=tenant,
        workflow=asked.workflow,
        user=asked.user,
        outcome=asked.outcome,
        status=cast("Any", asked.status),
        kind=cast("Any", asked.kind),
        least_nano_usd=_dollars(asked.cost),
        contract=asked.contract,
        least_steps=_steps(asked.steps),
        until_ns=int(until or 0),
        before_id=before,
        limit=PAGE,
    )


def view_of(sent: Mapping[str, str]) -> View:
    """A form as filters with a name. Raises InvalidRequest: without one, or filters that none could be."""
    name = sent.get("name", "").strip()[:60]
    if not name:
        raise InvalidRequest("a kept view needs a name", param="name")
    asked = structs.replace(asked_of(sent), at="")
    filter_of(asked, "")
    return View(name, {key: value for key, value in structs.asdict(asked).items() if value})


def tasks_page(asked: Asked, found: TaskPage, versions: Mapping[str, str], views: Sequence[View] = ()) -> TasksPage:
    """The page; `versions`: of each workflow's contract, as it is in the files."""
    more = structs.replace(asked, at=f"{found.until_ns}.{found.before_id}") if found.until_ns else None
    following = {} if more is None else {name: value for name, value in structs.asdict(more).items() if value}
    narrowed = {name: value for name, value in structs.asdict(asked).items() if value and name != "at"}
    shown = next((view.name for view in views if view.query == narrowed), "")
    known = tuple((version, name) for name, version in sorted(versions.items()))
    return TasksPage(asked, found.tasks, following, tuple(sorted(versions)), known, tuple(views), shown)


def _steps(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 7):
        raise InvalidRequest("steps is a number of calls, such as 20", param="steps")
    return int(text or 0)


def _dollars(text: str) -> int:
    try:
        amount = float(text or 0)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < 1e6:
        raise InvalidRequest("cost is a number of dollars, such as 0.01", param="cost")
    return round(amount * NANO_PER_USD)
