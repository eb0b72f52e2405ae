"""Every metric of a workspace: what its ledger counted, and how its process stands at this moment.

Above: app. Below: sums, families. Counters come from the ledger's own sums, so they survive restarts, agree with the P&L, and are the same on
every worker and replica of one store: take the `max` over instances, not the `sum`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from interlock.core.money import NANO_PER_USD
from interlock.core.sketch import Counts, merged, percentile_us
from interlock.core.store import RollFilter
from interlock.core.time import Clock

from .families import Family, Histogram, Labels, added, spread, spread_of
from .sums import NS_PER_HOUR, Running, Source, Total

_CALL = ("tenant", "workflow", "kind", "name", "deployment")
_EVENT = ("tenant", "workflow")
QUANTILES = (0.5, 0.95, 0.99)
_CONTEXT_EDGES = tuple(float(1 << power) for power in range(7, 22))


class Counter(Struct, frozen=True):
    """How one of the sums is shown."""

    name: str
    help: str
    labels: tuple[str, ...]
    unit: str = ""
    per: int = 1
    """What the sum is divided by."""


COUNTERS: Mapping[str, Counter] = {
    "calls": Counter(
        "interlock_calls", "Model and tool calls that settled", (*_CALL, "tier", "status", "cache", "simulated")
    ),
    "attempts": Counter(
        "interlock_attempts",
        "Further attempts of calls: those that failed, were superseded, or checked an answer",
        (*_CALL, "tier", "status", "cache", "simulated"),
    ),
    "tokens": Counter("interlock_tokens", "Tokens by disjoint bucket", (*_CALL, "bucket", "simulated"), "tokens"),
    "cost": Counter(
        "interlock_cost_usd", "Dollars by what they went to", (*_CALL, "line", "simulated"), "usd", NANO_PER_USD
    ),
    "saved": Counter("interlock_saved_usd", "Dollars that caches saved", (*_EVENT, "cache"), "usd", NANO_PER_USD),
    "tasks": Counter("interlock_tasks", "Finished tasks", (*_EVENT, "outcome", "tier", "simulated")),
    "retries": Counter("interlock_retries", "The same deployment was asked again", (*_EVENT, "deployment")),
    "fallbacks": Counter(
        "interlock_fallbacks", "Another deployment was asked because this one failed", (*_EVENT, "deployment")
    ),
    "checks": Counter("interlock_checks", "Calls made to check an answer", (*_EVENT, "check")),
    "escalations": Counter("interlock_escalations", "The next tier was asked", (*_EVENT, "step")),
    "degraded": Counter("interlock_degraded", "Answers from a lower rung", (*_EVENT, "rung")),
    "schema_violations": Counter(
        "interlock_schema_violations", "Answers that did not keep to their schema", (*_EVENT, "what")
    ),
    "private": Counter(
        "interlock_private", "Pieces of personal data and credentials that were covered", (*_EVENT, "kind")
    ),
    "signals": Counter("interlock_signals", "Calls whose texts stood out", (*_EVENT, "signal")),
    "input_capped": Counter("interlock_input_capped", "Inputs over their cap, by what was done", (*_EVENT, "done")),
    "limited": Counter("interlock_limited", "Calls that a limit refused", (*_EVENT, "limit")),
    "asks": Counter("interlock_asks", "Calls that a person was asked about", (*_EVENT, "by")),
    "searched": Counter(
        "interlock_knowledge_searches", "Finished tasks whose text was looked up in knowledge", (*_EVENT, "result")
    ),
    "cited": Counter(
        "interlock_cited_answers",
        "Answers of tasks that had sources to name, by whether they name any",
        (*_EVENT, "result"),
    ),
    "failures": Counter("interlock_failures", "Calls without an answer, by error; timeouts too", (*_EVENT, "error")),
}

SHARES: Mapping[str, tuple[str, str, str]] = {
    "interlock_knowledge_searches": (
        "interlock_knowledge_hit_share",
        "Of texts that were looked up in knowledge, those for which a passage was good enough",
        "hit",
    ),
    "interlock_cited_answers": (
        "interlock_citation_coverage",
        "Of answers of tasks that had sources to name, those that name at least one",
        "cited",
    ),
}
"""By counter: the gauge of a share, and which result is its part."""

Gauges = Callable[[], Sequence[Family]]
"""How the process stands."""


class Instruments:
    """Collects. `collect` reads the store: call it in a thread, one at a time."""

    def __init__(self, source: Source, clock: Clock, gauges: Gauges, *, tenants: bool = True) -> None:
        """`tenants`: whether tenants are named; else their figures are added up."""
        self._source, self._clock, self._gauges, self._tenants = source, clock, gauges, tenants
        self._running = Running(source)

    @property
    def since_ns(self) -> int:
        """When counting began: the hour of the first call."""
        return self._running.first_hour * NS_PER_HOUR

    def collect(self) -> list[Family]:
        """Every family, those without samples too.

        Raises:
            StoreUnavailable: the sums cannot be read.
        """
        now_ns = self._clock.wall_ns()
        total = self._running.total(now_ns)
        families = [*_counters(total), *_durations(total), _context(total), _turned(total), self._latest(now_ns)]
        if not self._tenants:
            families = [_without_tenant(family) for family in families]
        named = {each.name: each for each in families}
        shares = [_kept(named["interlock_calls"]), *(_share(named[of], *said) for of, said in SHARES.items())]
        return [*families, *shares, *self._gauges()]

    def _latest(self, now_ns: int) -> Family:
        """Percentiles within 2 %, where a histogram's buckets are twice as wide as the one before."""
        rows = self._source.rolls(RollFilter(role="call", since_ns=now_ns - NS_PER_HOUR))
        spreads: dict[Labels, list[Counts]] = {}
        for row in rows:
            spreads.setdefault((row.tenant, row.kind, row.deployment), []).append(row.latency)
        samples: dict[Labels, float | Histogram] = {}
        for labels, latencies in spreads.items():
            whole = merged(latencies)
            for share in QUANTILES:
                if (found := percentile_us(whole, share)) is not None:
                    samples[*labels, f"{share:g}"] = found / 1e6
        return Family(
            "interlock_call_latency_seconds",
            "Duration of calls that began in this hour or the one before, by percentile",
            "gauge",
            ("tenant", "kind", "deployment", "quantile"),
            samples,
            "seconds",
        )


def _counters(total: Total) -> list[Family]:
    return [
        Family(
            shown.name,
            shown.help,
            "counter",
            shown.labels,
            {labels: n / shown.per if shown.per > 1 else n for labels, n in total.sums.get(name, {}).items()},
            shown.unit,
        )
        for name, shown in COUNTERS.items()
    ]


def _durations(total: Total) -> list[Family]:
    return [
        Family(
            f"interlock_{name}_seconds",
            told,
            "histogram",
            labels,
            {each: spread(counts) for each, counts in total.spreads.get(name, {}).items()},
            "seconds",
        )
        for name, told, labels in (
            ("call_duration", "How long calls took", (*_CALL, "status")),
            ("task_duration", "How long tasks took, waiting for people included", (*_EVENT, "outcome")),
        )
    ]


def _context(total: Total) -> Family:
    """From powers of two that inputs were rounded up to: bounds are exact, the sum is an upper estimate."""
    lengths: dict[Labels, list[tuple[float, int]]] = {}
    for (tenant, workflow, length), n in total.sums.get("context", {}).items():
        if length.isdecimal():
            lengths.setdefault((tenant, workflow), []).append((float(length), n))
    return Family(
        "interlock_context_tokens",
        "Input of model calls, each rounded up to a power of two",
        "histogram",
        _EVENT,
        {labels: spread_of(pairs, _CONTEXT_EDGES) for labels, pairs in lengths.items()},
        "tokens",
    )


def _turned(total: Total) -> Family:
    samples: dict[Labels, float | Histogram] = {}
    for (tenant, _, label), n in total.sums.get("circuits", {}).items():
        state, _, deployment = label.partition(" ")
        samples[tenant, deployment, state] = n
    return Family(
        "interlock_breaker_changes",
        "Changes of breakers of all processes, by the state from then on (gone: the process ended before it closed)",
        "counter",
        ("tenant", "deployment", "state"),
        samples,
    )


def _kept(calls: Family) -> Family:
    """From the counter of calls as it is shown: a share cannot be added up over tenants."""
    at = {label: place for place, label in enumerate(calls.labels)}
    shown = tuple(label for label in ("tenant", "workflow", "name") if label in at)
    answers: dict[Labels, float] = {}
    kept: dict[Labels, float] = {}
    for labels, n in calls.samples.items():
        status = labels[at["status"]]
        if labels[at["kind"]] == "tool" and status in ("ok", "cache_hit") and not isinstance(n, Histogram):
            key = tuple(labels[at[label]] for label in shown)
            answers[key] = answers.get(key, 0) + n
            kept[key] = kept.get(key, 0) + (n if status == "cache_hit" else 0)
    return Family(
        "interlock_kept_answer_share",
        "Of a tool's answers, those that came from memory instead of asking it again",
        "gauge",
        shown,
        {key: kept[key] / n for key, n in answers.items() if n},
    )


def _share(results: Family, name: str, told: str, part: str) -> Family:
    """From a counter by `result`, as it is shown: a share cannot be added up over tenants."""
    at = results.labels.index("result")
    whole: dict[Labels, float] = {}
    parts: dict[Labels, float] = {}
    for labels, n in results.samples.items():
        if not isinstance(n, Histogram):
            key = labels[:at]
            whole[key] = whole.get(key, 0) + n
            parts[key] = parts.get(key, 0) + (n if labels[at] == part else 0)
    shares = {key: parts[key] / n for key, n in whole.items() if n}
    return Family(name, told, "gauge", results.labels[:at], shares)


def _without_tenant(family: Family) -> Family:
    samples: dict[Labels, float | Histogram] = {}
    for labels, value in family.samples.items():
        known = samples.get(labels[1:])
        samples[labels[1:]] = value if known is None else added(family.kind, known, value)
    return Family(family.name, family.help, family.kind, family.labels[1:], samples, family.unit)
