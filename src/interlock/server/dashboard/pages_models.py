"""What each model costs, how long it takes, how often it fails, out of roll-ups. Above: face, templates. Below: core's store rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from interlock.core.meters import MeterRow
from interlock.core.sketch import merged, percentile_us
from interlock.core.store import WHOLE_CALLS, RollRow
from interlock.observe.breakers import Timeline

from .river import River, river

NOBODY = "nobody answered"
GOOD = ("ok", "cache_hit")
NEVER_AWAY = Timeline()


class ModelRow(Struct, frozen=True):
    """One deployment in the period."""

    deployment: str
    tiers: tuple[str, ...]
    simulated: bool
    answers: int
    """Calls that ended with its answer, cached ones left out."""
    cached: int
    errors: int
    """Calls that ended without an answer, and tries against it that failed."""
    superseded: int
    """Answers of it that were not the last word: escalated past, or asked by a check."""
    p50_ms: float | None
    p95_ms: float | None
    cost_nano_usd: int
    simulated_nano_usd: int
    saved_nano_usd: int
    input_tokens: int
    output_tokens: int
    cost_share: float
    """Of what all models cost, 0–1."""
    breaker: str
    strip: tuple[str, ...] = ()
    """The last day hour by hour: `good`, `bad` (a tenth of the tries failed, or more) or empty."""

    @property
    def error_share(self) -> float:
        """Of all tries, 0–1."""
        tries = self.answers + self.errors + self.superseded
        return self.errors / tries if tries else 0.0


class CacheRow(Struct, frozen=True):
    """One layer of the cache."""

    layer: str
    hits: int
    saved_nano_usd: int


class Flow(Struct, frozen=True):
    """How often calls went from one tier to the next, or from one deployment to another."""

    kind: str
    """`escalations` or `fallbacks`."""
    label: str
    n: int


class ModelsPage(Struct, frozen=True):
    """Deployments by cost, and what the caches kept away from them."""

    span: str
    models: tuple[ModelRow, ...]
    caches: tuple[CacheRow, ...]
    calls: int
    spans: tuple[str, ...]
    flows: tuple[Flow, ...] = ()
    river: River | None = None
    """Escalations, drawn; `None` without any."""
    premium_share: float | None = None
    """Of the calls that a model answered, those by a premium tier, 0–1; `None` without such calls."""
    premium_cap: float | None = None
    breakers: Timeline = NEVER_AWAY
    """When those of any process were not closed, and why."""


def models_page(
    span: str,
    rolls: Sequence[RollRow],
    breakers: Mapping[str, str],
    spans: Sequence[str],
    *,
    meters: Sequence[MeterRow] = (),
    premium: frozenset[str] = frozenset(("premium",)),
    cap: float | None = None,
    hour: int = 0,
    away: Timeline = NEVER_AWAY,
) -> ModelsPage:
    """The page; `breakers`: how this process's stand; `premium`: tiers under the cap `cap`; `hour` is now; `away`: when which breaker was not closed."""
    models = [row for row in rolls if row.kind == "model"]
    names = sorted({(row.deployment, row.simulated) for row in models})
    whole = sum(row.cost_nano_usd for row in models)
    found = [
        _row(
            name,
            simulated,
            [r for r in models if (r.deployment, r.simulated) == (name, simulated)],
            whole,
            breakers,
            hour,
        )
        for name, simulated in names
    ]
    found.sort(key=lambda row: (-row.cost_nano_usd, -row.answers, row.deployment))
    layers = sorted({row.cache for row in models if row.cache})
    caches = tuple(
        CacheRow(
            layer,
            sum(r.n for r in models if r.cache == layer),
            sum(r.saved_nano_usd for r in models if r.cache == layer),
        )
        for layer in layers
    )
    answered = [row for row in models if row.role in WHOLE_CALLS and row.status == "ok" and not row.cache]
    flows = _flows(meters)
    dear, all_of_them = sum(row.n for row in answered if row.tier in premium), sum(row.n for row in answered)
    return ModelsPage(
        span,
        tuple(found),
        caches,
        sum(row.n for row in models if row.role in WHOLE_CALLS),
        tuple(spans),
        flows,
        river([_flow(each) for each in flows if each.kind == "escalations"]),
        dear / all_of_them if all_of_them else None,
        cap,
        away,
    )


def _flow(escalation: Flow) -> tuple[str, str, int]:
    source, _, to = escalation.label.partition(" -> ")
    return source, to, escalation.n


def _flows(meters: Sequence[MeterRow]) -> tuple[Flow, ...]:
    counts: dict[tuple[str, str], int] = {}
    for row in meters:
        if row.meter in ("escalations", "fallbacks"):
            counts[row.meter, row.label] = counts.get((row.meter, row.label), 0) + row.n
    return tuple(Flow(*key, n) for key, n in sorted(counts.items(), key=lambda each: -each[1])[:12])


def _strip(rows: Sequence[RollRow], hour: int) -> tuple[str, ...]:
    """What the last day looked like, hour by hour; empty without a clock."""
    tries, failed = [0] * 24, [0] * 24
    for row in rows:
        if hour and 0 <= (ago := hour - row.hour) < 24 and not row.cache:
            tries[23 - ago] += row.n
            failed[23 - ago] += row.n if row.status not in GOOD else 0
    looks = ("" if not n else "bad" if 10 * bad >= n else "good" for n, bad in zip(tries, failed, strict=True))
    return tuple(looks) if hour else ()


def _row(
    name: str, simulated: bool, rows: Sequence[RollRow], whole: int, breakers: Mapping[str, str], hour: int
) -> ModelRow:
    calls = [row for row in rows if row.role in WHOLE_CALLS]
    tries = [row for row in rows if row.role in ("attempt", "check")]
    latency = merged(row.latency for row in calls if row.status == "ok" and not row.cache)
    cost = sum(row.cost_nano_usd for row in rows)
    return ModelRow(
        deployment=name or NOBODY,
        tiers=tuple(sorted({row.tier for row in rows if row.tier})),
        simulated=simulated,
        answers=sum(row.n for row in calls if row.status == "ok" and not row.cache),
        cached=sum(row.n for row in calls if row.cache),
        errors=sum(row.n for row in rows if row.status not in GOOD),
        superseded=sum(row.n for row in tries if row.status == "ok"),
        p50_ms=_ms(percentile_us(latency, 0.5)),
        p95_ms=_ms(percentile_us(latency, 0.95)),
        cost_nano_usd=cost,
        simulated_nano_usd=sum(row.simulated_nano_usd for row in rows),
        saved_nano_usd=sum(row.saved_nano_usd for row in rows),
        input_tokens=sum(row.usage.input_total for row in rows),
        output_tokens=sum(row.usage.output_total for row in rows),
        cost_share=cost / whole if whole else 0.0,
        breaker=breakers.get(name, ""),
        strip=_strip(rows, hour),
    )


def _ms(us: int | None) -> float | None:
    return None if us is None else us / 1000
