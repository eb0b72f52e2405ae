"""What of a workflow's state somebody has to be told: budgets that burn or are gone, tasks that were stopped, figures that are not as they were.

Above: app's watch. Below: slo, change, incidents, runbooks. Pure: values in, findings out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from interlock.core.store import TaskRow
from interlock.core.text import money, plural

from .asks import Asks
from .change import Change
from .incidents import Fact, Found
from .orders import Signs
from .runbooks import of_asks, of_change, of_injection, of_promise, of_stopped
from .slo import Burn, Standing, Terms

STOPPED = "anomaly_"
"""How the error of a task begins that was stopped for going in circles."""
FEWEST_STOPPED = 3
SHOWN = 20
"""Tasks behind an incident that are listed."""


def of_standing(tenant: str, workflow: str, each: Standing, terms: Terms, tasks: Sequence[str]) -> Iterator[Found]:
    """What a promise's standing calls for."""
    steps = of_promise(each.objective, terms.runbook)
    about, label = each.objective.label or each.objective.name, each.objective.label
    if each.spent:
        title = f"{workflow}: the budget of {label!r} is spent"
        facts = (*_facts(each), *_actions(terms))
        yield Found(tenant, workflow, "slo_spent", about, "ticket", title, facts, tuple(tasks)[:SHOWN], steps)
    burn = each.firing
    if burn is not None:
        title = f"{workflow}: {label!r} burns its budget {burn.rate:.1f} times too fast"
        facts = (*_burning(burn), *_facts(each))
        yield Found(tenant, workflow, "slo_burn", about, burn.severity, title, facts, tuple(tasks)[:SHOWN], steps)


def of_stopped_tasks(tenant: str, workflow: str, recent: Sequence[TaskRow]) -> Iterator[Found]:
    """Tasks of the last hour that were stopped for going in circles, by kind."""
    kinds: dict[str, list[TaskRow]] = {}
    for row in recent:
        if row.error.startswith(STOPPED):
            kinds.setdefault(row.error.removeprefix(STOPPED), []).append(row)
    for kind, rows in kinds.items():
        if len(rows) >= FEWEST_STOPPED:
            spent = sum(row.cost_nano_usd for row in rows)
            facts = (
                Fact("tasks", f"{len(rows)} of {len(recent)} in the last hour"),
                Fact("spent on them", money(spent)),
                Fact("the newest says", rows[0].message),
            )
            title = f"{workflow}: {len(rows)} tasks in an hour were stopped for {kind.replace('_', ' ')}"
            tasks = tuple(row.id for row in rows[:SHOWN])
            yield Found(tenant, workflow, "stopped", kind, "ticket", title, facts, tasks, of_stopped(kind))


def of_changes(tenant: str, workflow: str, changes: Sequence[Change]) -> Iterator[Found]:
    """Figures that have become worse: those that changed with one version together, the others one by one."""
    groups: dict[str, list[Change]] = {}
    for each in changes:
        if each.worse:
            groups.setdefault(each.version or each.metric, []).append(each)
    for about, found in groups.items():
        first = found[0]
        if len(found) == 1:
            title = f"{workflow}: {first.sentence()}"
            facts = tuple(Fact(name, said) for name, said in first.said())
        else:
            title = f"{workflow}: {len(found)} figures are worse since {about}"
            facts = tuple(Fact(each.metric, each.moved()) for each in found)
        yield Found(tenant, workflow, "change", about, "ticket", title, facts, first.tasks[:SHOWN], of_change(first))


def of_signs(tenant: str, found: Sequence[Signs]) -> Iterator[Found]:
    """Sources from which many more texts with signs of injections came than before."""
    for each in found:
        if each.more:
            title = f"{each.workflow or 'lone calls'}: {each.day} texts of {each.source} look as if they gave orders"
            facts = (
                Fact("in 24 hours", f"{each.day} calls"),
                Fact("before", f"{each.before:.1f} by day"),
                Fact("signs", ", ".join(each.families)),
            )
            yield Found(tenant, each.workflow, "injection", each.source, "ticket", title, facts, (), of_injection())


def of_often_asked(tenant: str, found: Sequence[Asks], most: float) -> Iterator[Found]:
    """Workflows whose policy asks more often than agreed."""
    for each in found:
        if each.too_often(most):
            title = f"{each.workflow}: people are asked {each.per_task:.2f} times a task"
            facts = (
                Fact(
                    "in 24 hours",
                    f"{plural(each.asks, 'question')} of the information-flow policy, {plural(each.tasks, 'task')} begun",
                ),
                Fact("agreed", f"{most:g} a task"),
            )
            yield Found(tenant, each.workflow, "asks", "policy", "ticket", title, facts, (), of_asks())


def _facts(each: Standing) -> Iterator[Fact]:
    seen = each.seen
    if each.objective.name == "cost":
        good = seen.n - seen.bad
        now = "–" if each.achieved is None else money(round(each.achieved))
        yield Fact("agreed", money(round(each.objective.bound)))
        yield Fact("now", f"{now} by success, {good} successes")
        if each.low is not None and each.high is not None:
            yield Fact("95 % interval", f"{money(round(each.low))} to {money(round(each.high))}")
    else:
        yield Fact("agreed", each.objective.label)
        yield Fact("in the window", f"{seen.bad} of {seen.n} tasks did not keep it; {each.allowed:.1f} may")
        if each.low is not None and each.high is not None and each.objective.name != "policy":
            yield Fact("95 % interval", f"{100 * each.low:.2f} % to {100 * each.high:.2f} % good")
    if seen.pending:
        yield Fact("not over yet", plural(seen.pending, "task"))
    if each.left is not None:
        said = f"{100 * each.left:.0f} %" if each.left >= 0 else f"none, it is spent {1 - each.left:.1f} times"
        yield Fact("budget left", said)
    if each.days_left is not None and (each.left or 0) > 0:
        yield Fact("gone in", f"{each.days_left:.1f} days at the rate of the last day")


def _burning(burn: Burn) -> Iterator[Fact]:
    yield Fact("over", f"{_span(burn.long_s)} and still in the last {_span(burn.short_s)}")
    yield Fact("rate", f"{burn.rate:.1f} (at least {burn.low:.1f}); told from {burn.factor:.1f} on")


def _actions(terms: Terms) -> Iterator[Fact]:
    for action in terms.when_spent:
        said = "premium calls are no longer chosen" if action == "cap_premium" else "`interlock slo --gate` fails"
        yield Fact("done about it", said)


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= size:
            many = round(seconds / size)
            return f"{many} {unit}" if many > 1 else {"days": "day", "hours": "hour", "minutes": "minute"}[unit]
    return f"{seconds:.0f} seconds"
