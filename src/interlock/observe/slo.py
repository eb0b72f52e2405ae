"""Agreements on how a workflow does: what was promised, how much of the error budget is left, and whether it burns too fast.

Above: `standing` reads a store for it; alerts, cli and pages show it. Below: core. Pure: counts in, verdicts out.

Multi-window, multi-burn-rate alerts as in Beyer et al., *The Site Reliability Workbook* (2018), chapter 5: a long span says that it matters, a
short one that it still goes on. With few tasks a ratio says little, so a budget counts as burnt too fast or as spent only where the lower end of
an interval (Wilson) says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from msgspec import Struct

from interlock.core.estimate import ONE_SIDED_95, Interval, wilson

Name = Literal["success", "latency", "cited", "policy", "cost"]
Action = Literal["cap_premium", "stop_rollouts"]
ACTIONS: tuple[Action, ...] = get_args(Action)
Verdict = Literal["kept", "broken", "open", "unseen"]
"""The interval lies within the agreement · outside · on both sides of it · there was nothing to judge."""
Severity = Literal["page", "ticket"]
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
FEWEST_BAD = 3
"""Fewer bad tasks than these set nobody off, whatever their share."""
FEWEST_SUCCESSES = 20
"""Fewer successes than these say nothing about what one costs."""


class Objective(Struct, frozen=True):
    """One promise."""

    name: Name
    target: float
    """Share of the tasks (0–1) that have to be good; 1.0 of `policy` allows `bound` bad ones, of `cost` stands for nothing."""
    bound: float = 0.0
    """What makes a task good: seconds at most · citations at least. Of `policy`: bad tasks at most. Of `cost`: nano-dollars by success."""
    label: str = ""
    """As people know it: `p95 6s`."""


class Terms(Struct, frozen=True):
    """What one contract promises."""

    objectives: tuple[Objective, ...] = ()
    window_s: float = 28 * DAY_S
    when_spent: tuple[Action, ...] = ()
    runbook: str = ""
    """What to do, in the words of whoever owns the workflow."""


class Seen(Struct, frozen=True):
    """The tasks of one span."""

    n: int = 0
    """Judged."""
    bad: int = 0
    pending: int = 0
    """Not over yet, so not judged."""
    of: int = 0
    """Tasks in the span; more than `n` where only some were looked into."""
    cost_nano_usd: int = 0
    factors: Interval | None = None
    """Of `cost`: between which multiples of the seen cost of a success the real one lies."""


Look = Callable[[float], Seen]
"""What was seen in the span of so many seconds that ends now."""


class Alarm(Struct, frozen=True):
    """One pair of spans."""

    severity: Severity
    long_s: float
    short_s: float
    spends: float
    """Share of the whole budget (0–1) that is gone after the long span at this rate."""

    def factor(self, window_s: float) -> float:
        """The burn rate from which it goes off: how many times faster than the window allows."""
        return self.spends * window_s / self.long_s


ALARMS = (
    Alarm("page", HOUR_S, 300, 0.02),
    Alarm("page", 6 * HOUR_S, 1800, 0.05),
    Alarm("ticket", DAY_S, 2 * HOUR_S, 0.10),
    Alarm("ticket", 3 * DAY_S, 6 * HOUR_S, 0.10),
)
_MOST = 0.9
"""Where the promise is so lax that no share of bad tasks burns fast enough: this share does."""


class Burn(Struct, frozen=True):
    """How fast the budget went over one pair of spans."""

    severity: Severity
    long_s: float
    short_s: float
    factor: float
    """From which rate on it goes off."""
    rate: float
    """Over the long span; 1.0 spends the budget exactly within the window."""
    low: float
    """The rate that is certain enough (95 %)."""
    short_rate: float
    bad: int
    firing: bool


class Standing(Struct, frozen=True):
    """How one promise is kept."""

    objective: Objective
    seen: Seen
    achieved: float | None
    """Share of good tasks (0–1); of `cost`: nano-dollars by success. `None`: nothing was seen."""
    low: float | None
    high: float | None
    verdict: Verdict
    allowed: float
    """Bad tasks that the window allows so far; of `cost`: nano-dollars."""
    left: float | None
    """Share of the budget that is left; below zero: overdrawn. `None`: nothing was seen."""
    spent: bool
    """Nothing is left, and that is certain enough to act on."""
    burns: tuple[Burn, ...]
    days_left: float | None
    """Until the budget is gone if the last day goes on; `None`: it is not being used up."""

    @property
    def firing(self) -> Burn | None:
        """The worst alarm that goes off."""
        return next((burn for burn in self.burns if burn.firing), None)


def standing(objective: Objective, window_s: float, look: Look) -> Standing:
    """The promise against what was seen."""
    if objective.name == "cost":
        return _of_cost(objective, window_s, look)
    seen = look(window_s)
    share = 1.0 - objective.target
    allowed = objective.bound if objective.name == "policy" else share * seen.n
    burns = () if objective.name == "policy" else tuple(_burn(each, objective, window_s, look) for each in ALARMS)
    inside = wilson(seen.n - seen.bad, seen.n)
    verdict = _verdict(objective, seen, allowed)
    left = _left(seen.bad, allowed, seen.n)
    day = next((burn.rate for burn in burns if burn.long_s == DAY_S), 0.0)
    return Standing(
        objective,
        seen,
        (seen.n - seen.bad) / seen.n if seen.n else None,
        inside.low if seen.n else None,
        inside.high if seen.n else None,
        verdict,
        allowed,
        left,
        verdict == "broken",
        burns,
        max(0.0, left or 0.0) * window_s / DAY_S / day if day and left is not None else None,
    )


def _verdict(objective: Objective, seen: Seen, allowed: float) -> Verdict:
    if not seen.n:
        return "unseen"
    if objective.name == "policy":  # a bound on a number, not on a share: there is nothing to estimate
        return "broken" if seen.bad > allowed else "kept"
    bad = wilson(seen.bad, seen.n, z=ONE_SIDED_95)
    if bad.low > 1.0 - objective.target and seen.bad >= FEWEST_BAD:
        return "broken"
    return "kept" if bad.high <= 1.0 - objective.target else "open"


def _left(bad: int, allowed: float, n: int) -> float | None:
    if not n:
        return None
    if allowed:
        return 1.0 - bad / allowed
    return -float(bad) if bad else 1.0


def _burn(alarm: Alarm, objective: Objective, window_s: float, look: Look) -> Burn:
    long, short = look(alarm.long_s), look(alarm.short_s)
    share = max(1.0 - objective.target, 1e-9)
    limit = min(alarm.factor(window_s) * share, _MOST)
    low = wilson(long.bad, long.n, z=ONE_SIDED_95).low
    seen = short if short.n else long  # nothing has come since, so nothing says that it is over
    now = seen.bad / seen.n if seen.n else 0.0
    return Burn(
        alarm.severity,
        alarm.long_s,
        alarm.short_s,
        limit / share,
        long.bad / long.n / share if long.n else 0.0,
        low / share,
        now / share,
        long.bad,
        long.bad >= FEWEST_BAD and low > limit and now > limit,
    )


_COST_ALARMS: tuple[tuple[Severity, float, float, float], ...] = (
    ("page", 6 * HOUR_S, 1800, 2.0),
    ("ticket", 3 * DAY_S, 6 * HOUR_S, 1.0),
)
"""Money by success has no share of bad tasks: twice what was agreed is looked at at once, more than agreed by day."""


def _of_cost(objective: Objective, window_s: float, look: Look) -> Standing:
    """The budget is what the successes may have cost together."""
    seen = look(window_s)
    good = seen.n - seen.bad
    allowed = good * objective.bound
    achieved = seen.cost_nano_usd / good if good else None
    factors = seen.factors
    low, high = (achieved * factors.low, achieved * factors.high) if achieved and factors else (None, None)
    verdict: Verdict = "unseen" if achieved is None else "open"
    if low is not None and high is not None and good >= FEWEST_SUCCESSES:
        verdict = "broken" if low > objective.bound else "kept" if high <= objective.bound else "open"
    burns = tuple(_cost_burn(each, objective, look) for each in _COST_ALARMS)
    left = 1.0 - seen.cost_nano_usd / allowed if allowed else (None if not seen.cost_nano_usd else -1.0)
    return Standing(objective, seen, achieved, low, high, verdict, allowed, left, verdict == "broken", burns, None)


def _cost_burn(alarm: tuple[Severity, float, float, float], objective: Objective, look: Look) -> Burn:
    severity, long_s, short_s, factor = alarm
    long, short = look(long_s), look(short_s)
    rate, now = (_by_success(each) / objective.bound if objective.bound else 0.0 for each in (long, short))
    low = rate * long.factors.low if long.factors else 0.0
    enough = long.n - long.bad >= FEWEST_SUCCESSES
    firing = enough and low > factor and now > factor
    return Burn(severity, long_s, short_s, factor, rate, low, now, long.bad, firing)


def _by_success(seen: Seen) -> float:
    good = seen.n - seen.bad
    return seen.cost_nano_usd / good if good else 0.0
