"""The statement of a workflow: what its tasks cost, line by line, what they brought, what was wasted and what was saved.

Above: app, cli. Below: statement, worth, and a `core.store.Store`. Money comes from the roll-ups and counts from the tasks, so a statement
over all time ends in exactly the ledger's total. What simulated models would have cost stands apart and is never in a total.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from msgspec import structs

from interlock.core.meters import MeterRow
from interlock.core.money import Price
from interlock.core.ports import ON_DEVICE, ON_DEVICE_TIER
from interlock.core.sketch import merged
from interlock.core.store import WHOLE_CALLS, OutcomeRow, RollFilter, RollRow, Store

from .counter import otherwise
from .sample import Sample, sampled
from .statement import (
    LABELS,
    Line,
    People,
    Savings,
    Statement,
    Waste,
    added,
    asks_of,
    counted,
    is_success,
    kept_of,
    latency_of,
    per_success,
    split_input,
)
from .worth import Worth

NS_PER_HOUR = 3_600_000_000_000
FAILED = ("failed_attempts", "timeouts")
ATTEMPTS = (*FAILED, "superseded", "checks")
"""Lines whose calls are attempts."""

_LINE_OF_BUCKET: Mapping[str, str] = {
    "input": "input",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
    "cache_write_1h": "cache_write",
    "output": "output",
    "reasoning": "reasoning",
    "input_image": "media",
    "input_audio": "media",
    "output_image": "media",
    "output_audio": "media",
    "compute_ms": "compute",
    "other": "other",
}
_TOKENS_OF_LINE: Mapping[str, tuple[str, ...]] = {
    "input": ("input",),
    "cache_read": ("cache_read",),
    "cache_write": ("cache_write", "cache_write_1h"),
    "output": ("output",),
    "reasoning": ("reasoning",),
    "media": ("input_image", "input_audio", "output_image", "output_audio"),
}


SampleOf = Callable[[str, str, int, int], Sample]
"""(tenant, workflow, beginning and end of the period) → what the newest tasks say."""
TRIES = ("retries", "fallbacks", "escalations", "checks")


def statements(
    store: Store,
    *,
    worth: Mapping[str, Worth] | None = None,
    premium: Mapping[str, Price] | None = None,
    sample: SampleOf | None = None,
    workflow: str | None = None,
    tenant: str = "",
    since_ns: int = 0,
    until_ns: int = 0,
) -> list[Statement]:
    """One statement for each workflow and tenant, by cost. `worth` and `premium` (the price of the best model it may ask) by workflow.

    `sample`: for what no roll-up knows; default: the newest tasks are read.

    A period is made of whole hours: it begins with the hour of `since_ns` and ends before the hour after `until_ns` (zero: no
    end). Money counts in the hour in which its call started, tasks in the hour in which they were created.
    """
    since_ns = since_ns // NS_PER_HOUR * NS_PER_HOUR
    until_ns = -(-until_ns // NS_PER_HOUR) * NS_PER_HOUR
    rolls = store.rolls(RollFilter(tenant, workflow, since_ns=since_ns, until_ns=until_ns, by_hour=False))
    ended = store.tasks.outcomes(tenant=tenant, workflow=workflow, since_ns=since_ns, until_ns=until_ns)
    meters = store.meters(RollFilter(tenant, workflow, since_ns=since_ns, until_ns=until_ns, by_hour=False))
    keys = sorted({(row.tenant, row.workflow) for row in (*rolls, *ended)})
    looked = sample or partial(sampled, store)
    found = [
        _sampled(
            _statement(
                key,
                (since_ns, until_ns),
                [row for row in rolls if (row.tenant, row.workflow) == key],
                [row for row in ended if (row.tenant, row.workflow) == key],
                (worth or {}).get(key[1], Worth()),
                (premium or {}).get(key[1].partition("~")[0]),  # a fork may ask what its original may
                [m for m in meters if (m.tenant, m.workflow) == key],
            ),
            looked(*key, since_ns, until_ns) if key[1] else Sample(),
        )
        for key in keys
    ]
    return sorted(found, key=lambda each: (-each.cost_nano_usd, -each.tasks))


def succeeded(row: OutcomeRow) -> bool:
    """Whether these tasks are successes; what a superseded worker spent is none."""
    return row.kind != "late" and is_success(row.outcome, simulated=row.simulated, success=row.success)


def _statement(
    key: tuple[str, str],
    period: tuple[int, int],
    rolls: list[RollRow],
    ended: list[OutcomeRow],
    worth: Worth,
    premium: Price | None,
    meters: Sequence[MeterRow],
) -> Statement:
    calls = [row for row in rolls if row.role != "task"]
    tasks = [row for row in ended if row.kind != "late"]
    lines = added(line for row in calls for line in _lines(row))
    cost = sum(row.cost_nano_usd for row in calls)
    good = sum(row.n for row in tasks if succeeded(row))
    people = _people(tasks, worth)
    revenue = good * worth.revenue_nano_usd
    latencies = merged(row.latency for row in rolls if row.role == "task")
    asked = counted((row.label, row.n) for row in meters if row.meter == "asks")
    many = sum(row.n for row in tasks)
    return Statement(
        tenant=key[0],
        workflow=key[1],
        since_ns=period[0],
        until_ns=period[1],
        tasks=many,
        succeeded=good,
        simulated_tasks=sum(row.n for row in tasks if row.simulated),
        cost_nano_usd=cost,
        simulated_nano_usd=sum(row.simulated_nano_usd for row in calls),
        cost_per_success_nano_usd=per_success(cost, good),
        revenue_nano_usd=revenue,
        margin_nano_usd=revenue - cost - people.cost_nano_usd,
        lines=lines,
        waste=_waste(lines, ended),
        savings=_savings(calls, tasks),
        people=people,
        outcomes=counted((row.outcome or row.status, row.n) for row in tasks),
        latency=latency_of(latencies, worth.slo_ms),
        latencies=latencies,
        tries=counted((row.meter, row.n) for row in meters if row.meter in TRIES),
        otherwise=otherwise(calls, premium),
        kept_answers=kept_of(
            (row.name, row.n, row.n if row.status == "cache_hit" else 0)
            for row in calls
            if row.kind == "tool" and row.role in WHOLE_CALLS and row.status in ("ok", "cache_hit")
        ),
        asks=asks_of(asked.get("policy", 0), asked.get("rule", 0), many),
    )


def _sampled(statement: Statement, sample: Sample) -> Statement:
    """With what the newest tasks say. The interval is as wide as single tasks spread, for as many as the period has."""
    per, factors = statement.cost_per_success_nano_usd, sample.factors
    low = high = None
    if per is not None and factors is not None:
        reach = factors.high ** math.sqrt(min(1.0, sample.tasks / max(1, statement.tasks)))
        low, high = round(per / reach), round(per * reach)
    waste = structs.replace(
        statement.waste,
        circles_nano_usd=sample.circles_nano_usd,
        repeated_nano_usd=sample.repeated_nano_usd,
        read=sample.read,
    )
    return structs.replace(
        statement,
        lines=split_input(statement.lines, sample.retrieved),
        waste=waste,
        contexts=sample.contexts,
        cost_per_success_low_nano_usd=low,
        cost_per_success_high_nano_usd=high,
    )


def _lines(row: RollRow) -> Iterable[Line]:
    """A roll-up row's money by line; adds up to the row's money."""
    whole = _whole_line(row)
    if whole:
        money = row.cost_nano_usd + row.simulated_nano_usd
        counts = row.role in WHOLE_CALLS or whole in ATTEMPTS
        yield Line(whole, LABELS[whole], money, _tokens(row, None), row.n if counts else 0, row.simulated)
        return
    spent = dict.fromkeys(_LINE_OF_BUCKET.values(), 0)
    for bucket, amount in row.lines_nano_usd.items():
        spent[_LINE_OF_BUCKET[bucket]] += amount
    for name, amount in spent.items():
        tokens = _tokens(row, name)
        if amount or tokens:
            yield Line(name, LABELS[name], amount, tokens, 0, row.simulated)


def _whole_line(row: RollRow) -> str:
    """The one line that takes all of a row's money, or nothing when its buckets decide."""
    if row.kind == "tool":
        return "tools"
    if row.role == "check":
        return "checks"
    if row.role == "judge":
        return "judges"
    if row.role == "attempt":
        return "superseded" if row.status == "ok" else "timeouts" if row.status == "timeout" else "failed_attempts"
    return "on_device" if row.deployment.startswith(f"{ON_DEVICE}/") else ""


def _tokens(row: RollRow, line: str | None) -> int:
    if line is None:
        return row.usage.input_total + row.usage.output_total
    return sum(getattr(row.usage, bucket) for bucket in _TOKENS_OF_LINE.get(line, ()))


def _waste(lines: Sequence[Line], ended: Sequence[OutcomeRow]) -> Waste:
    lost = [row for row in ended if row.kind != "late" and row.status == "finished" and not succeeded(row)]
    return Waste(
        tasks_without_success_nano_usd=sum(row.cost_nano_usd for row in lost),
        failed_attempts_nano_usd=sum(
            line.cost_nano_usd for line in lines if line.line in FAILED and not line.simulated
        ),
        superseded_workers_nano_usd=sum(row.cost_nano_usd for row in ended if row.kind == "late"),
    )


def _savings(calls: Sequence[RollRow], tasks: Sequence[OutcomeRow]) -> Savings:
    saved = {"exact": 0, "semantic": 0}
    for row in calls:
        kind = "exact" if row.cache == "coalesced" else row.cache  # the same request, answered once
        if kind in saved and not row.simulated:
            saved[kind] += row.saved_nano_usd
    alone = sum(row.n for row in tasks if row.tier == ON_DEVICE_TIER and succeeded(row))
    # What a task costs that a real model resolves; without any, there is nothing to compare with.
    modelled = [
        row
        for row in tasks
        if row.outcome == "resolved" and row.tier != ON_DEVICE_TIER and not row.simulated and row.cost_nano_usd
    ]
    n = sum(row.n for row in modelled)
    average = sum(row.cost_nano_usd for row in modelled) // n if n else None
    return Savings(
        exact_cache_nano_usd=saved["exact"],
        semantic_cache_nano_usd=saved["semantic"],
        on_device_tasks=alone,
        on_device_nano_usd=None if average is None else alone * average,
        prompt_cache_share=_prompt_cache_share(calls),
    )


def _prompt_cache_share(calls: Sequence[RollRow]) -> float | None:
    real = [row.usage for row in calls if row.kind == "model" and not row.simulated and not _whole_line(row)]
    read = sum(usage.cache_read for usage in real)
    whole = sum(usage.input_total for usage in real)
    return read / whole if whole else None


def _people(tasks: Sequence[OutcomeRow], worth: Worth) -> People:
    n = sum(row.n for row in tasks if row.outcome == "handed_to_human")
    minutes = n * worth.human_minutes
    return People(n, minutes, round(minutes * worth.human_minute_nano_usd))
