"""What a month is likely to cost against what it may, and how many answers come from premium tiers against their cap: what somebody has to be told of.

Above: app's looking. Below: incidents, runbooks, core's roll-ups. Pure: figures in, findings out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec import Struct

from interlock.core.estimate import wilson
from interlock.core.store import WHOLE_CALLS, RollRow
from interlock.core.text import money

from .incidents import Fact, Found
from .runbooks import of_month_spend, of_premium_share

HOURS = 24
SHOWN = 20


class Month(Struct, frozen=True):
    """How the current month stands, in nano-dollars."""

    spent: int
    expected: int | None
    """At its end; `None` while too few days are behind it."""
    low: int | None
    high: int | None
    most: int
    """What was agreed."""


def of_month(tenant: str, month: Month, tasks: Sequence[str]) -> Iterator[Found]:
    """A month that has cost more than agreed, or is likely to. `tasks`: the dearest of late."""
    over = month.spent > month.most
    likely = month.expected is not None and month.expected > month.most
    if not (over or likely):
        return
    facts = [Fact("agreed", money(month.most)), Fact("spent so far", money(month.spent))]
    if month.expected is not None and month.low is not None and month.high is not None:
        between = f"{money(month.low)} to {money(month.high)}"
        facts.append(Fact("likely at its end", f"{money(month.expected)}, 95 % between {between}"))
    title = (
        f"this month has cost {money(month.spent)}, {money(month.most)} was agreed"
        if over
        else f"this month is likely to cost {money(month.expected or 0)}, {money(month.most)} was agreed"
    )
    severity = "page" if over else "ticket"
    yield Found(tenant, "", "spend", "month", severity, title, tuple(facts), tuple(tasks)[:SHOWN], of_month_spend())


def of_premium(
    tenant: str, rolls: Iterable[RollRow], premium: Collection[str], cap: float, hour: int, tasks: Sequence[str]
) -> Iterator[Found]:
    """A day in which premium tiers answered more than their cap, beyond what so few calls may show by chance."""
    answered = [row for row in rolls if _counts(row) and hour - row.hour < HOURS]
    n, dear = sum(row.n for row in answered), sum(row.n for row in answered if row.tier in premium)
    low = wilson(dear, n).low if n else 0.0
    if low <= cap:
        return
    facts = (
        Fact("in 24 hours", f"{dear:,} of {n:,} answers, {100 * dear / n:.1f} %"),
        Fact("at least", f"{100 * low:.1f} %, 95 times of 100"),
        Fact("the cap", f"{100 * cap:.0f} % (routing.premium_share_cap)"),
    )
    title = f"premium models gave {100 * dear / n:.0f} % of the answers of a day, the cap is {100 * cap:.0f} %"
    yield Found(tenant, "", "premium", "share", "ticket", title, facts, tuple(tasks)[:SHOWN], of_premium_share())


def _counts(row: RollRow) -> bool:
    """Answers of models that were asked; what the device or a cache answers is nobody's choice of a tier."""
    return row.kind == "model" and row.role in WHOLE_CALLS and row.status == "ok" and not row.cache and bool(row.tier)
