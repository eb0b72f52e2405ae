"""What the store says of a promise: the tasks of a span, by what makes them good.

Above: alerts, app. Below: slo, a `core.store.Store`. Spans of an hour and more are made of whole hours of the roll-ups, so they cost the same however
many tasks there were; shorter ones are read from the newest tasks. What no roll-up knows (citations, calls that the policy refused) is looked up in the
newest tasks one by one, and remembered.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from interlock.core.estimate import Interval, per_success
from interlock.core.events import Finished, Record, Settled
from interlock.core.sketch import bucket_of, merged
from interlock.core.store import OutcomeRow, RollFilter, RollRow, Store, TaskFilter, TaskRow
from interlock.core.time import NS_PER_S

from .slo import HOUR_S, Look, Objective, Seen, Standing, Terms, standing

NEWEST = 2_000
"""Tasks that are read for spans shorter than an hour, and to see how widely the cost of tasks spreads."""
LOOKED_INTO = 500
"""Tasks whose records are read for what no roll-up knows."""
REMEMBERED = 20_000
DENIED = "denied"
"""Error code of a tool call that a rule or the policy of information flow refused."""
NS_PER_HOUR = 3_600 * NS_PER_S


class Inside(Struct, frozen=True):
    """What the records of one task say."""

    cited: int | None
    """Citations of its answer; `None` where its content was not kept."""
    refused: int
    """Calls that a rule or the policy refused."""


class Standings:
    """Reads one store. Not safe for several threads at once; one per thread, or a lock around it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._inside: OrderedDict[str, Inside] = OrderedDict()

    def of(self, tenant: str, workflow: str, terms: Terms, now_ns: int) -> list[Standing]:
        """How each promise of a workflow is kept. Raises StoreUnavailable."""
        if not terms.objectives:
            return []
        spans = _Spans(self._store, tenant, workflow, terms.window_s, now_ns, self)
        return [standing(each, terms.window_s, spans.look(each)) for each in terms.objectives]

    def inside(self, row: TaskRow) -> Inside:
        """Of a task that is over; read once."""
        known = self._inside.get(row.id)
        if known is None:
            known = self._inside[row.id] = inside(self._store.records(row.id))
            if len(self._inside) > REMEMBERED:
                self._inside.popitem(last=False)
        return known

    def culprits(self, tenant: str, workflow: str, objective: Objective, since_ns: int, limit: int) -> list[TaskRow]:
        """The newest tasks that did not keep a promise, for whoever has to look into it; of `cost`, the dearest ones."""
        rows = [row for row in _ended(self._newest(tenant, workflow, since_ns)) if row.finished_ns >= since_ns]
        if objective.name == "cost":
            return sorted(rows, key=lambda row: -row.cost_nano_usd)[:limit]
        found: list[TaskRow] = []
        for row in rows:
            if self.is_bad(objective, row):
                found.append(row)
                if len(found) == limit:
                    break
        return found

    def is_bad(self, objective: Objective, row: TaskRow) -> bool:
        """Whether a task that is over broke the promise."""
        match objective.name:
            case "success":
                return not _is_good(row)
            case "latency":
                return row.duration_us > objective.bound * 1e6
            case "cited":
                cited = self.inside(row).cited if row.outcome == "resolved" else None
                return cited is not None and cited < objective.bound
            case "policy":
                return self.inside(row).refused > 0
            case "cost":
                return False

    def _newest(self, tenant: str, workflow: str, since_ns: int) -> list[TaskRow]:
        """Created up to a day before the span began: what ends in it may have begun long before."""
        since = max(0, since_ns - 24 * NS_PER_HOUR)
        which = TaskFilter(tenant=tenant, workflow=workflow, kind="task", since_ns=since, limit=NEWEST)
        return self._store.tasks.list(which)


class _Spans:
    """One workflow at one moment; each kind of row is read once."""

    def __init__(
        self, store: Store, tenant: str, workflow: str, window_s: float, now_ns: int, looked: Standings
    ) -> None:
        self._store, self._tenant, self._workflow, self._now, self._looked = store, tenant, workflow, now_ns, looked
        since = now_ns - round(window_s * NS_PER_S)
        self._rolls = store.rolls(RollFilter(tenant=tenant, workflow=workflow, since_ns=since))
        which = TaskFilter(tenant=tenant, workflow=workflow, kind="task", since_ns=since, limit=NEWEST)
        self._rows = _ended(store.tasks.list(which))
        self._outcomes: dict[int, list[OutcomeRow]] = {}
        costs, good = [row.cost_nano_usd for row in self._rows], [_is_good(row) for row in self._rows]
        self._spread = per_success(costs, good)

    def look(self, objective: Objective) -> Look:
        match objective.name:
            case "success":
                return self._success
            case "latency":
                return lambda span_s: self._latency(span_s, objective.bound)
            case "cost":
                return self._cost
            case _:
                return lambda span_s: self._each(span_s, objective)

    def _success(self, span_s: float) -> Seen:
        if span_s < HOUR_S:
            rows = self._recent(span_s)
            return Seen(len(rows), sum(not _is_good(row) for row in rows), of=len(rows))
        tasks = self._ended(span_s)
        judged = [row for row in tasks if _counts(row.status, row.outcome, simulated=row.simulated)]
        n, pending = sum(row.n for row in judged), sum(row.n for row in tasks if row.status != "finished")
        good = sum(row.n for row in judged if row.outcome == "resolved" and row.success is not False)
        return Seen(n, n - good, pending, n + pending)

    def _latency(self, span_s: float, bound_s: float) -> Seen:
        if span_s < HOUR_S:
            rows = self._recent(span_s)
            return Seen(len(rows), sum(row.duration_us > bound_s * 1e6 for row in rows), of=len(rows))
        first = self._hour(span_s)
        ended = [row for row in self._rolls if row.role == "task" and row.hour >= first and _is_judged(row)]
        spread, last = merged(row.latency for row in ended), bucket_of(round(bound_s * 1e6))
        n = sum(spread.values())
        return Seen(n, sum(count for bucket, count in spread.items() if bucket > last), of=n)

    def _cost(self, span_s: float) -> Seen:
        if span_s < HOUR_S:
            rows = self._recent(span_s)
            bad, cost = sum(not _is_good(row) for row in rows), sum(row.cost_nano_usd for row in rows)
            return Seen(len(rows), bad, 0, len(rows), cost, _narrowed(self._rows[: len(rows)]))
        seen, first = self._success(span_s), self._hour(span_s)
        cost = sum(row.cost_nano_usd for row in self._rolls if row.role != "task" and row.hour >= first)
        factors = None
        if self._spread is not None and seen.n:  # the sample's reach, made as wide or narrow as this span has tasks
            reach = math.log(self._spread.high) * math.sqrt(len(self._rows) / seen.n)
            factors = Interval(math.exp(-reach), math.exp(reach))
        return Seen(seen.n, seen.bad, seen.pending, seen.of, cost, factors)

    def _each(self, span_s: float, objective: Objective) -> Seen:
        """Looked into one by one: the newest ones stand for all."""
        rows = self._recent(span_s)
        if objective.name == "cited":  # who did not answer had nothing to cite
            rows = [row for row in rows if row.outcome == "resolved"]
        seen = rows[:LOOKED_INTO]
        if objective.name == "cited":
            seen = [row for row in seen if self._looked.inside(row).cited is not None]
        return Seen(len(seen), sum(self._looked.is_bad(objective, row) for row in seen), of=len(rows))

    def _recent(self, span_s: float) -> list[TaskRow]:
        since = self._now - round(span_s * NS_PER_S)
        return [row for row in self._rows if row.finished_ns >= since]

    def _hour(self, span_s: float) -> int:
        return (self._now - round(span_s * NS_PER_S)) // NS_PER_HOUR

    def _ended(self, span_s: float) -> list[OutcomeRow]:
        first = self._hour(span_s)
        if first not in self._outcomes:
            found = self._store.tasks.outcomes(
                tenant=self._tenant, workflow=self._workflow, since_ns=first * NS_PER_HOUR
            )
            self._outcomes[first] = [row for row in found if row.kind == "task"]
        return self._outcomes[first]


def inside(records: Sequence[Record]) -> Inside:
    """What the records of a finished task say."""
    refused = sum(isinstance(each.event, Settled) and each.event.error == DENIED for each in records)
    last = next((each for each in reversed(records) if isinstance(each.event, Finished)), None)
    if last is None or last.content is None:
        return Inside(None, refused)
    cited: Any = last.content.get("citations")
    return Inside(len(cited) if isinstance(cited, list) else 0, refused)  # pyright: ignore[reportUnknownArgumentType]


def _is_judged(row: RollRow) -> bool:
    return _counts("finished", row.status, simulated=row.simulated)


def _counts(status: str, outcome: str, *, simulated: bool) -> bool:
    """What somebody called off, and what a simulated model answered, says nothing about how the workflow does."""
    return status == "finished" and outcome not in ("cancelled", "simulated") and not simulated


def _is_good(row: TaskRow) -> bool:
    return row.outcome == "resolved" and row.success is not False


def _ended(rows: Iterable[TaskRow]) -> list[TaskRow]:
    return [row for row in rows if _counts(row.status, row.outcome, simulated=row.simulated)]


def _narrowed(rows: Sequence[TaskRow]) -> Interval | None:
    return per_success([row.cost_nano_usd for row in rows], [_is_good(row) for row in rows])
