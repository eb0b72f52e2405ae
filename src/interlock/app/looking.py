"""One reading of every promise: how it is kept, what is not as it was, and who has to be told of what.

Above: alerting, reading, pages. Below: observe, a store. All of it is called from threads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice

import msgspec
from msgspec.structs import replace

from interlock.config.workspace import Workspace
from interlock.core.caller import Versions
from interlock.core.events import FLOW, ApprovalAsked, Event, Settled, Started
from interlock.core.money import NANO_PER_USD
from interlock.core.store import RollFilter, Store, TaskFilter, TaskRow
from interlock.core.time import NS_PER_S
from interlock.economics.forecast import forecast, since_hour
from interlock.observe.alarms import SHOWN, of_changes, of_often_asked, of_signs, of_standing, of_stopped_tasks
from interlock.observe.asks import HOURS, Asks, asks
from interlock.observe.change import MOST, Change, changes, versions_along
from interlock.observe.incidents import Book, Found
from interlock.observe.orders import INJECTION, REQUESTS, Signs, signs
from interlock.observe.slo import Standing, Terms
from interlock.observe.spend import Month, of_month, of_premium
from interlock.observe.standing import Standings

from .agreements import terms_of

HOUR_NS = 3_600 * NS_PER_S
CHANGES_OVER_NS = 28 * 24 * HOUR_NS
_KIND, _KEY = "incidents", "book"
LOOKED_INTO = 200
"""Tasks whose records are read for those behind an alarm that meters alone have given."""


class Look:
    """One reading of everything, from a thread; remembers what need not be read again."""

    def __init__(self, workspace: Workspace, store: Store) -> None:
        self._tenant, self._store = workspace.settings.tenant, store
        self.terms: Mapping[str, Terms] = terms_of(workspace)
        self._workflows = tuple(workspace.agents)
        self._standings = Standings(store)
        self._changes: dict[str, list[Change]] = {}
        self._changed_ns = 0
        self._alerts, self._routing = workspace.settings.alerts, workspace.settings.routing
        self._spend: list[Found] = []
        self._spend_hour = 0

    def standings(self, now_ns: int) -> dict[str, list[Standing]]:
        """Every promise of every workflow. Raises StoreUnavailable."""
        return {name: self._standings.of(self._tenant, name, terms, now_ns) for name, terms in self.terms.items()}

    def changes(self, now_ns: int) -> Mapping[str, list[Change]]:
        """What is not as it was, by workflow; looked for once an hour."""
        if now_ns - self._changed_ns >= HOUR_NS:
            self._changes = {name: self._changes_of(name, now_ns) for name in self._workflows}
            self._changed_ns = now_ns
        return self._changes

    def found(self, standings: Mapping[str, Sequence[Standing]], now_ns: int) -> list[Found]:
        """What somebody has to be told of."""
        found: list[Found] = []
        for name, held in standings.items():
            for each in held:
                tasks = self._behind(name, each, now_ns) if each.spent or each.firing else ()
                found += of_standing(self._tenant, name, each, self.terms[name], tasks)
        for name in self._workflows:
            found += of_stopped_tasks(self._tenant, name, self._recent(name, now_ns))
        for name, changed in self.changes(now_ns).items():
            found += of_changes(self._tenant, name, changed)
        for each in of_often_asked(self._tenant, self.asks(now_ns), self._alerts.asks_per_task):
            found.append(replace(each, tasks=self._showing(each.workflow, now_ns, _asks)))
        for each in of_signs(self._tenant, self.signs(now_ns)):
            found.append(replace(each, tasks=self._showing(each.workflow, now_ns, partial(_signals, each.about))))
        return [*found, *self.spend(now_ns)]

    def spend(self, now_ns: int) -> list[Found]:
        """A month that costs more than agreed, premium tiers beyond their cap; looked at once an hour, as the roll-ups go."""
        hour, cap, most = now_ns // HOUR_NS, self._routing.premium_share_cap, self._alerts.month_usd
        if hour != self._spend_hour and (most or cap is not None):
            which = RollFilter(tenant=self._tenant, since_ns=since_hour(hour) * HOUR_NS)
            rolls, tasks = self._store.rolls(which), self._dearest(now_ns)
            self._spend = []
            if most:
                said = forecast(rolls, hour)
                sums = said.spent_nano_usd, said.expected_nano_usd, said.low_nano_usd, said.high_nano_usd
                self._spend += of_month(self._tenant, Month(*sums, round(most * NANO_PER_USD)), tasks)
            if cap is not None:
                self._spend += of_premium(self._tenant, rolls, self._routing.premium_tiers, cap, hour, tasks)
            self._spend_hour = hour
        return self._spend

    def _dearest(self, now_ns: int) -> list[str]:
        """The dearest of the newest tasks and calls of a day."""
        which = TaskFilter(tenant=self._tenant, since_ns=now_ns - 24 * HOUR_NS, limit=500)
        rows = sorted(self._store.tasks.list(which), key=lambda row: -row.cost_nano_usd)
        return [row.id for row in rows[:SHOWN] if row.cost_nano_usd]

    def asks(self, now_ns: int) -> list[Asks]:
        """How often the policy asked people over the last day, by workflow."""
        since = now_ns - HOURS * HOUR_NS
        which = RollFilter(tenant=self._tenant, since_ns=since)
        ended = self._store.tasks.outcomes(tenant=self._tenant, since_ns=since)
        tasks: Counter[str] = Counter()
        for row in ended:
            tasks[row.workflow] += row.n if row.kind == "task" else 0
        return asks(self._store.meters(which), tasks, now_ns // HOUR_NS)

    def signs(self, now_ns: int) -> list[Signs]:
        """Texts that look as if they gave orders, by workflow and source."""
        since = now_ns - CHANGES_OVER_NS
        return signs(self._store.meters(RollFilter(tenant=self._tenant, since_ns=since)), now_ns // HOUR_NS)

    def _behind(self, workflow: str, each: Standing, now_ns: int) -> tuple[str, ...]:
        span_s = each.firing.long_s if each.firing else self.terms[workflow].window_s
        since = now_ns - round(span_s * NS_PER_S)
        rows = self._standings.culprits(self._tenant, workflow, each.objective, since, SHOWN)
        return tuple(row.id for row in rows)

    def _showing(self, workflow: str, now_ns: int, shows: Callable[[Event], bool]) -> tuple[str, ...]:
        """The newest tasks and calls of a day in whose log it shows."""
        which = TaskFilter(tenant=self._tenant, workflow=workflow, since_ns=now_ns - 24 * HOUR_NS, limit=LOOKED_INTO)
        rows = (row.id for row in self._store.tasks.list(which) if row.workflow == workflow)
        behind = (task for task in rows if any(shows(each.event) for each in self._store.records(task)))
        return tuple(islice(behind, SHOWN))

    def _recent(self, workflow: str, now_ns: int) -> list[TaskRow]:
        which = TaskFilter(tenant=self._tenant, workflow=workflow, kind="task", since_ns=now_ns - HOUR_NS, limit=500)
        return [row for row in self._store.tasks.list(which) if row.status == "finished"]

    def _changes_of(self, workflow: str, now_ns: int) -> list[Change]:
        since = now_ns - CHANGES_OVER_NS
        which = TaskFilter(tenant=self._tenant, workflow=workflow, kind="task", since_ns=since, limit=MOST)
        rows = [row for row in self._store.tasks.list(which) if row.status == "finished"]
        return changes(versions_along(rows, self._versions))

    def _versions(self, task: str) -> Versions:
        for record in self._store.records(task):
            if isinstance(record.event, Started):
                return record.event.versions
        return Versions()


def _asks(event: Event) -> bool:
    return isinstance(event, ApprovalAsked) and FLOW in event.rule


def _signals(source: str, event: Event) -> bool:
    """Whether a call's texts look as if they gave orders, of that source."""
    if not isinstance(event, Settled) or not any(each.startswith(INJECTION) for each in event.signals):
        return False
    return event.kind == "model" if source == REQUESTS else event.name == source


def sparing(terms: Mapping[str, Terms], standings: Mapping[str, Sequence[Standing]]) -> tuple[str, ...]:
    """Workflows whose spent budget keeps calls from premium tiers."""
    wanted = (name for name, held in standings.items() if "cap_premium" in terms[name].when_spent and _spent(held))
    return tuple(sorted(wanted))


def held_back(terms: Mapping[str, Terms], standings: Mapping[str, Sequence[Standing]]) -> list[tuple[str, Standing]]:
    """Workflows whose spent budget stops rollouts, with the promise that did it."""
    return [
        (name, each)
        for name, held in standings.items()
        for each in held
        if each.spent and "stop_rollouts" in terms[name].when_spent
    ]


def _spent(held: Sequence[Standing]) -> bool:
    return any(each.spent for each in held)


def book_of(store: Store, tenant: str) -> Book:
    """The incidents as they were kept. Raises StoreUnavailable."""
    text = store.texts.get(tenant, _KIND, _KEY)
    return Book() if text is None else msgspec.json.decode(text, type=Book)


def keep(store: Store, tenant: str, book: Book, at_ns: int) -> None:
    """Keeps the book. Raises StoreUnavailable."""
    store.texts.put(tenant, _KIND, _KEY, msgspec.json.encode(book).decode(), at_ns)
