"""What pages about promises, incidents, outcomes and the workspace itself are made of. Above: server's dashboard. Below: looking, a store, the files.

All but `settings` blocks and is called from threads; what is dear to read is kept for a moment.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from interlock.config.blocks import Block
from interlock.config.conditions import Condition
from interlock.config.shapes import is_list, is_section
from interlock.config.templates import Arguments, Template
from interlock.config.workspace import Workspace
from interlock.core.audit import Deed, Entry
from interlock.core.caller import Secret
from interlock.core.meters import MeterRow
from interlock.core.store import RollFilter, Store, TaskFilter
from interlock.core.time import NS_PER_S, Clock
from interlock.economics.forecast import Forecast, forecast, since_hour
from interlock.economics.sample import Sample, sampled
from interlock.economics.statement import Statement
from interlock.economics.users import ByUser, by_user
from interlock.ledger.owner import alive, this_owner
from interlock.ledger.read import TaskSummary, summary
from interlock.observe.breakers import Timeline, short, timeline
from interlock.observe.change import Change
from interlock.observe.incidents import Book
from interlock.observe.orders import Signs
from interlock.observe.slo import Standing

from .looking import Look, book_of
from .views import Views

_CREDENTIALS = re.compile(r"(://)[^/@\s]*@")
KEPT_S = 15.0
NEWEST = 1_000
SEARCHED, AT_A_TIME = 5_000, 500
"""Entries of the audit that are looked through for one page."""
DECISIONS = 12
CHANGES, STANDING = 2_000, 200
"""Changes of breakers that one page reads, and breakers that were not closed before them."""
MINUTE_S = 60.0
REMEMBERED = 500
NS_PER_HOUR = 3_600 * NS_PER_S
T = TypeVar("T")


class Sight:
    """One per process."""

    def __init__(self, workspace: Workspace, store: Store, clock: Clock) -> None:
        self._workspace, self._store, self._clock = workspace, store, clock
        self._look = Look(workspace, store)
        self.views = Views(store.texts, clock)
        self._turn = threading.Lock()
        self._standings: Mapping[str, list[Standing]] = {}
        self._looked_s = -KEPT_S
        self._putting = threading.Lock()
        self._memory: OrderedDict[tuple[object, ...], tuple[float, Any]] = OrderedDict()

    def standings(self, tenant: str) -> Mapping[str, list[Standing]]:
        """Every promise, by workflow; none for another tenant than the workspace's."""
        if tenant != self._workspace.settings.tenant:
            return {}
        with self._turn:
            if self._clock.monotonic_s() - self._looked_s >= KEPT_S:
                self._standings = self._look.standings(self._clock.wall_ns())
                self._looked_s = self._clock.monotonic_s()
            return self._standings

    def changes(self, tenant: str) -> Mapping[str, list[Change]]:
        """What is not as it was, by workflow."""
        if tenant != self._workspace.settings.tenant:
            return {}
        with self._turn:
            return {name: each for name, each in self._look.changes(self._clock.wall_ns()).items() if each}

    def month(self, tenant: str) -> Forecast:
        """What the month is likely to cost; a minute old at most."""
        hour = self._clock.wall_ns() // NS_PER_HOUR

        def read() -> Forecast:
            which = RollFilter(tenant=tenant, since_ns=since_hour(hour) * NS_PER_HOUR)
            return forecast(self._store.rolls(which), hour)

        return self._kept(("month", tenant), read)

    def sample(self, tenant: str, workflow: str, since_ns: int, until_ns: int) -> Sample:
        """What the newest tasks of a period say that no roll-up knows; a minute old at most."""
        key = "sample", tenant, workflow, since_ns, until_ns
        return self._kept(key, lambda: sampled(self._store, tenant, workflow, since_ns, until_ns))

    def by_user(self, tenant: str, since_ns: int) -> ByUser:
        """For whom was spent since an hour; a minute old at most."""
        since_ns = since_ns // NS_PER_HOUR * NS_PER_HOUR
        return self._kept(("users", tenant, since_ns), lambda: by_user(self._store, tenant, since_ns))

    def earlier(
        self, tenant: str, since_ns: int, until_ns: int, read: Callable[[], list[Statement]]
    ) -> list[Statement]:
        """What `read` says of a period that is over; a minute old at most."""
        since, until = since_ns // NS_PER_HOUR, until_ns // NS_PER_HOUR
        return self._kept(("earlier", tenant, since, until), read)

    def _kept(self, key: tuple[object, ...], read: Callable[[], T]) -> T:
        now_s = self._clock.monotonic_s()
        with self._putting:
            found = self._memory.get(key)
        if found is None or now_s - found[0] >= MINUTE_S:
            found = now_s, read()
            with self._putting:
                self._memory[key] = found
                if len(self._memory) > REMEMBERED:
                    self._memory.popitem(last=False)
        return found[1]

    def signs(self, tenant: str) -> list[Signs]:
        """Texts that look as if they gave orders, by workflow and source."""
        return self._look.signs(self._clock.wall_ns()) if tenant == self._workspace.settings.tenant else []

    def book(self, tenant: str) -> Book:
        """Incidents, as whoever looks for them keeps them."""
        return book_of(self._store, tenant)

    def newest(self, tenant: str, workflow: str = "") -> list[TaskSummary]:
        """The newest tasks, at most `NEWEST`."""
        which = TaskFilter(tenant=tenant, workflow=workflow, kind="task", limit=NEWEST)
        return list(map(summary, self._store.tasks.list(which)))

    def tasks(self, tenant: str, ids: Sequence[str]) -> list[TaskSummary]:
        """These, as far as they are the tenant's."""
        rows = (self._store.tasks.get(each) for each in ids)
        return [summary(row) for row in rows if row is not None and row.tenant == tenant]

    @property
    def here(self) -> str:
        """This process, as lanes of breakers name it."""
        return short(this_owner())

    def breakers(self, tenant: str, since_ns: int) -> Timeline:
        """When breakers of any process were not closed, since then. Deployments belong to the workspace: another tenant sees none."""
        circuits = self._store.circuits
        newest = circuits.since(tenant, since_ns, CHANGES + 1)
        more = len(newest) > CHANGES
        before = circuits.before(tenant, since_ns, STANDING) if since_ns and not more else []
        return timeline(newest[:CHANGES], before, since_ns, self.now_ns(), alive, more=more)

    def meters(self, tenant: str, since_ns: int, *, by_hour: bool = True) -> list[MeterRow]:
        """What happened inside calls; without `by_hour`, a row for all hours together."""
        return self._store.meters(RollFilter(tenant=tenant, since_ns=since_ns, by_hour=by_hour))

    def audit(self, deed: Deed, before: int, limit: int, fits: Callable[[Deed], bool]) -> tuple[list[Entry], int]:
        """Who did and read what, the newest first, and where to look on (zero: that was all); that somebody reads it is written first.

        Looks at `SEARCHED` entries at most, so that a filter that nothing fits costs no more in a long history.
        """
        self._store.audit.append([deed])
        return self._entries(deed.tenant, before, limit, fits)

    def decisions(self, tenant: str) -> list[Entry]:
        """What people decided lately, the newest first. A deed stands in the audit before it is tried: about a task that the tenant does not
        have, nothing was decided.
        """

        def ours(deed: Deed) -> bool:
            if deed.action != "approval.decided":
                return False
            row = self._store.tasks.get(deed.target.partition("/")[0])
            return row is not None and row.tenant == tenant

        return self._entries(tenant, 0, DECISIONS, ours)[0]

    def _entries(self, tenant: str, before: int, limit: int, fits: Callable[[Deed], bool]) -> tuple[list[Entry], int]:
        found: list[Entry] = []
        for _ in range(SEARCHED // AT_A_TIME):
            entries = self._store.audit.latest(before, AT_A_TIME, tenant)
            for each in entries:
                before = each.seq
                if fits(each.deed):
                    found.append(each)
                    if len(found) == limit:
                        return found, before
            if len(entries) < AT_A_TIME:
                return found, 0
        return found, before

    def now_ns(self) -> int:
        return self._clock.wall_ns()

    def settings(self) -> dict[str, Any]:
        """What the files come to, defaults included, secrets left out."""
        return _plain(self._workspace.settings)

    def contracts(self) -> dict[str, Any]:
        """The same of each contract."""
        return {name: _plain(agent.contract) for name, agent in self._workspace.agents.items()}


def _plain(value: Any) -> Any:
    """As JSON; a secret says only whether it is there."""
    if isinstance(value, Secret):
        return "(set)" if value else "(not set)"
    if isinstance(value, Block):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Condition | Template):
        return value.text
    if isinstance(value, Arguments):
        return _plain(value.source)
    if is_section(value):
        return {str(key): _plain(each) for key, each in value.items()}
    if is_list(value) or isinstance(value, set | frozenset):
        return [_plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, str):
        return _CREDENTIALS.sub(r"\1(set)@", value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)
