"""Is anything wrong? Above: face, templates. Below: roll-ups, the ledger's health, breakers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from interlock.core.sketch import merged, percentile_us
from interlock.core.store import WHOLE_CALLS, RollRow
from interlock.economics.forecast import Forecast
from interlock.ledger import Health
from interlock.ledger.read import TaskSummary
from interlock.observe.breakers import Timeline
from interlock.observe.incidents import Incident

from .pages_incidents import Promise

HOURS = 7 * 24
TILES = 4
NEVER_AWAY = Timeline()
PER_POINT = 6
"""Hours behind one point of a line."""
FRESH_NS = 3_600_000_000_000
"""What another process said of its breaker longer ago may be all that is left of that process."""


class Ended(Struct, frozen=True):
    """Tasks of one outcome in seven days."""

    outcome: str
    n: int


class HomePage(Struct, frozen=True):
    """The state of things at one moment."""

    today_nano_usd: int
    """Since midnight UTC."""
    week_nano_usd: int
    week_simulated_nano_usd: int
    saved_nano_usd: int
    spend: tuple[int, ...]
    """Nano-dollars in each stretch of `PER_POINT` hours, the oldest first."""
    tasks: int
    """Finished in seven days, simulated ones left out."""
    resolved_share: float | None
    resolved: tuple[float, ...]
    """The share in each stretch that had tasks."""
    ended: tuple[Ended, ...]
    p95_ms: float | None
    calls: int
    failed_calls: int
    waiting: int
    in_doubt: int
    running: int
    oldest_waiting: str
    breakers: dict[str, str]
    ledger: Health
    promises: tuple[Promise, ...]
    """Those with the least budget left, at most four."""
    incidents: tuple[Incident, ...]
    """Open ones."""
    month: Forecast
    away: Timeline = NEVER_AWAY
    """When breakers of any process were not closed in the last day."""
    under_way: int = 0
    """Calls that this process has let in and that have not ended."""
    queued: int = 0
    """Calls that wait to be let in by it."""
    elsewhere: tuple[str, ...] = ()
    """Breakers of other processes that are not closed as far as they have said within the hour, in words."""

    @property
    def trouble(self) -> tuple[str, ...]:
        """What somebody should look at, in words."""
        found = [f"{name} is {state.replace('_', ' ')}" for name, state in self.breakers.items() if state != "closed"]
        found += self.elsewhere
        if self.ledger.state != "ok":
            found.append(f"the ledger is {self.ledger.state}: {self.ledger.last_error}")
        if self.in_doubt:
            found.append(f"{self.in_doubt} tasks are in doubt whether an effect happened")
        return tuple(found)


def home_page(
    rolls: Sequence[RollRow],
    unfinished: Sequence[TaskSummary],
    breakers: Mapping[str, str],
    ledger: Health,
    hour: int,
    *,
    promised: Sequence[Promise] = (),
    incidents: Sequence[Incident] = (),
    month: Forecast,
    away: Timeline = NEVER_AWAY,
    here: str = "",
    load: tuple[int, int] = (0, 0),
) -> HomePage:
    """The page at the hour `hour` since the epoch; `rolls` of the `HOURS` before and this one; `here`: the process whose breakers are `breakers`;
    `load`: its calls under way, and those that wait to be let in.
    """
    calls = [row for row in rolls if row.role != "task"]
    ended = [row for row in rolls if row.role == "task"]
    real = [row for row in ended if not row.simulated]
    outcomes = {row.status: 0 for row in ended}
    for row in ended:
        outcomes[row.status] += row.n
    finished = sum(row.n for row in real)
    latency = percentile_us(merged(row.latency for row in ended), 0.95)
    waiting = [task for task in unfinished if task.outcome == "waiting_approval" and task.status == "waiting"]
    first = hour - HOURS + 1
    return HomePage(
        today_nano_usd=sum(row.cost_nano_usd for row in calls if row.hour >= hour // 24 * 24),
        week_nano_usd=sum(row.cost_nano_usd for row in calls),
        week_simulated_nano_usd=sum(row.simulated_nano_usd for row in calls),
        saved_nano_usd=sum(row.saved_nano_usd for row in calls),
        spend=_spend(calls, first),
        tasks=finished,
        resolved_share=_share(real),
        resolved=_shares(real, first),
        ended=tuple(Ended(name, n) for name, n in sorted(outcomes.items(), key=lambda each: -each[1])),
        p95_ms=None if latency is None else latency / 1000,
        calls=sum(row.n for row in calls if row.role in WHOLE_CALLS),
        failed_calls=sum(row.n for row in calls if row.role in WHOLE_CALLS and row.status not in ("ok", "cache_hit")),
        waiting=len(waiting),
        in_doubt=sum(task.status == "in_doubt" for task in unfinished),
        running=sum(task.status == "running" for task in unfinished),
        oldest_waiting=min((task.waiting_since for task in waiting), default=""),
        breakers=dict(breakers),
        ledger=ledger,
        promises=tuple(promised[:TILES]),
        incidents=tuple(incidents),
        month=month,
        away=away,
        under_way=load[0],
        queued=load[1],
        elsewhere=tuple(
            f"{lane.deployment} is {lane.state.replace('_', ' ')} in {lane.process}"
            for lane in away.lanes
            if lane.process != here
            and lane.state in ("open", "half_open")
            and away.until_ns - lane.changed_ns < FRESH_NS
        ),
    )


def _spend(calls: Sequence[RollRow], first: int) -> tuple[int, ...]:
    found = [0] * (HOURS // PER_POINT)
    for row in calls:
        if row.hour >= first:
            found[min(len(found) - 1, (row.hour - first) // PER_POINT)] += row.cost_nano_usd
    return tuple(found)


def _shares(ended: Sequence[RollRow], first: int) -> tuple[float, ...]:
    by: dict[int, list[RollRow]] = {}
    for row in ended:
        by.setdefault((row.hour - first) // PER_POINT, []).append(row)
    return tuple(_share(rows) or 0.0 for _, rows in sorted(by.items()))


def _share(ended: Sequence[RollRow]) -> float | None:
    n = sum(row.n for row in ended)
    return sum(row.n for row in ended if row.status == "resolved") / n if n else None
