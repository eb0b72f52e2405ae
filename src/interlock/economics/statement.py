"""A statement as values, and how several of them become one.

Above: pnl makes them; app and cli show them (`msgspec.to_builtins` is the JSON form, see `docs/schemas/pnl.schema.json`).
Below: core.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, structs

from interlock.core.sketch import bucket_of, merged, percentile_us

from .counter import Otherwise

LABELS: Mapping[str, str] = {
    "input": "uncached input",
    "retrieved": "uncached input that tools and knowledge brought (estimated)",
    "cache_read": "cached input, read",
    "cache_write": "cached input, written",
    "output": "output",
    "reasoning": "reasoning",
    "media": "images and audio",
    "compute": "own compute",
    "tools": "tools",
    "on_device": "on-device tier",
    "failed_attempts": "failed tries (before a retry or a fallback)",
    "timeouts": "tries that took too long",
    "superseded": "answers that were escalated past",
    "checks": "checks of answers",
    "judges": "judges of finished tasks",
    "other": "not explained by a price (crashed calls' estimates, unknown prices)",
}
"""The lines of a statement in their order, and what they are called."""


class Line(Struct, frozen=True):
    """One line of a statement."""

    line: str
    """Key of `LABELS`."""
    label: str
    cost_nano_usd: int
    tokens: int = 0
    """Tokens behind the money, where it was paid for tokens."""
    calls: int = 0
    """Calls or attempts behind the money, on lines that count those."""
    simulated: bool = False
    """What a simulated model would have cost; in no total."""


class Waste(Struct, frozen=True):
    """Money that brought no success. The amounts overlap (a failed task has failed attempts): do not add them."""

    tasks_without_success_nano_usd: int = 0
    """Spent on finished tasks that did not succeed."""
    failed_attempts_nano_usd: int = 0
    superseded_workers_nano_usd: int = 0
    """Spent by workers that had lost their task meanwhile."""
    circles_nano_usd: int = 0
    """Spent on tasks that were stopped for going in circles, among the newest 500."""
    repeated_nano_usd: int = 0
    """Spent on answers to requests that had been answered word for word before: a cache would have had them. Among `read` tasks."""
    read: int = 0
    """Newest tasks whose content was looked into."""


class Savings(Struct, frozen=True):
    """Money that was not spent."""

    exact_cache_nano_usd: int = 0
    semantic_cache_nano_usd: int = 0
    on_device_tasks: int = 0
    """Tasks that succeeded on the on-device tier."""
    on_device_nano_usd: int | None = None
    """What they would have cost at the average observed for a task of this workflow on a real model; `None` without one."""
    prompt_cache_share: float | None = None
    """Share of the input tokens of real models (0–1) that the vendors read from their prompt caches; `None` without such input."""


class People(Struct, frozen=True):
    """Hand-overs to people, at the declared minutes and rate. Not in the ledger, so not in `cost_nano_usd`."""

    hand_overs: int = 0
    minutes: float = 0.0
    cost_nano_usd: int = 0


class Latency(Struct, frozen=True):
    """Milliseconds from the start of finished tasks to their end, waiting for people included; within 2 %."""

    n: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    slo_ms: float | None = None
    within_slo: float | None = None
    """Share of tasks (0–1) that took no longer than `slo_ms`."""


class KeptAnswers(Struct, frozen=True):
    """Of the answers of one tool, those that came from memory (`cache_ttl_s`) instead of asking it again."""

    answers: int = 0
    kept: int = 0
    share: float = 0.0
    """`kept` of `answers`, 0–1."""


class Asks(Struct, frozen=True):
    """Calls that a person was asked about."""

    policy: int = 0
    """By the policy of information flow."""
    rule: int = 0
    """By a rule of the contract."""
    per_task: float | None = None
    """Both, for each task of the period; `None` without tasks."""


class ContextCost(Struct, frozen=True):
    """What tasks cost whose models read so much."""

    tokens: int
    """Input tokens of a task's model calls together, at most: a power of two, and more than half of it."""
    tasks: int
    succeeded: int
    cost_nano_usd: int
    cost_per_success_nano_usd: int | None


class Statement(Struct, frozen=True):
    """Profit and loss of one workflow of one tenant, or of all together."""

    tenant: str
    workflow: str
    """Empty for calls that belong to no workflow."""
    since_ns: int
    until_ns: int
    tasks: int
    """Runs of the workflow, or lone calls, created in the period."""
    succeeded: int
    """Resolved, not simulated, and not contradicted by anybody who knows."""
    simulated_tasks: int
    cost_nano_usd: int
    """Real money according to the ledger; the lines that are not simulated add up to it."""
    simulated_nano_usd: int
    """What simulated models would have cost; the simulated lines add up to it."""
    cost_per_success_nano_usd: int | None
    """`cost_nano_usd` by success, rounded up; `None` without a success."""
    revenue_nano_usd: int
    margin_nano_usd: int
    """Revenue less the ledger's cost and people's minutes."""
    lines: tuple[Line, ...]
    waste: Waste
    savings: Savings
    people: People
    outcomes: dict[str, int]
    latency: Latency
    latencies: dict[int, int] = {}
    """The distribution behind `latency`, see `core.sketch`."""
    cost_per_success_low_nano_usd: int | None = None
    """The real cost of a success lies between this and the next, 95 times of 100, as far as single tasks spread; `None` for few successes."""
    cost_per_success_high_nano_usd: int | None = None
    tries: dict[str, int] = {}
    """How often calls were retried, fell back to another deployment, escalated, were checked."""
    otherwise: Otherwise = Otherwise()
    """What would have been paid without routing, and without caches."""
    kept_answers: dict[str, KeptAnswers] = {}
    """By tool that answered in the period: how often from memory."""
    asks: Asks = Asks()
    """Questions to people."""
    contexts: tuple[ContextCost, ...] = ()
    """The trend of the cost of a success with the length of what models read, short ones first; of the newest 500 tasks."""


class Report(Statement, frozen=True):
    """What `interlock pnl --json` prints: all workflows together, and each of them."""

    workflows: tuple[Statement, ...] = ()


def report(parts: Sequence[Statement]) -> Report:
    """Several statements with their total."""
    return Report(**structs.asdict(total(parts)), workflows=tuple(parts))


def total(parts: Sequence[Statement]) -> Statement:
    """All of them as one; goals of latency are left out, since each workflow has its own."""
    latencies = merged(part.latencies for part in parts)
    cost = sum(part.cost_nano_usd for part in parts)
    succeeded = sum(part.succeeded for part in parts)
    on_device = [part.savings.on_device_nano_usd for part in parts if part.savings.on_device_nano_usd is not None]
    return Statement(
        tenant=parts[0].tenant if len({part.tenant for part in parts}) == 1 else "",
        workflow="",
        since_ns=min((part.since_ns for part in parts), default=0),
        until_ns=max((part.until_ns for part in parts), default=0),
        tasks=sum(part.tasks for part in parts),
        succeeded=succeeded,
        simulated_tasks=sum(part.simulated_tasks for part in parts),
        cost_nano_usd=cost,
        simulated_nano_usd=sum(part.simulated_nano_usd for part in parts),
        cost_per_success_nano_usd=per_success(cost, succeeded),
        revenue_nano_usd=sum(part.revenue_nano_usd for part in parts),
        margin_nano_usd=sum(part.margin_nano_usd for part in parts),
        lines=added(line for part in parts for line in part.lines),
        waste=Waste(
            sum(part.waste.tasks_without_success_nano_usd for part in parts),
            sum(part.waste.failed_attempts_nano_usd for part in parts),
            sum(part.waste.superseded_workers_nano_usd for part in parts),
            sum(part.waste.circles_nano_usd for part in parts),
            sum(part.waste.repeated_nano_usd for part in parts),
            sum(part.waste.read for part in parts),
        ),
        savings=Savings(
            sum(part.savings.exact_cache_nano_usd for part in parts),
            sum(part.savings.semantic_cache_nano_usd for part in parts),
            sum(part.savings.on_device_tasks for part in parts),
            sum(on_device) if on_device else None,
        ),
        people=People(
            sum(part.people.hand_overs for part in parts),
            sum(part.people.minutes for part in parts),
            sum(part.people.cost_nano_usd for part in parts),
        ),
        outcomes=counted((outcome, n) for part in parts for outcome, n in part.outcomes.items()),
        latency=latency_of(latencies, None),
        latencies=latencies,
        tries=counted((name, n) for part in parts for name, n in part.tries.items()),
        otherwise=_otherwise([part.otherwise for part in parts]),
        kept_answers=kept_of(
            (tool, each.answers, each.kept) for part in parts for tool, each in part.kept_answers.items()
        ),
        asks=asks_of(
            sum(part.asks.policy for part in parts),
            sum(part.asks.rule for part in parts),
            sum(part.tasks for part in parts),
        ),
        contexts=contexts_of(
            (each.tokens, each.tasks, each.succeeded, each.cost_nano_usd) for part in parts for each in part.contexts
        ),
    )


def _otherwise(parts: Sequence[Otherwise]) -> Otherwise:
    """All of them as one; what premium models would have cost only where that is known of all that paid for models."""
    paying = [part for part in parts if part.actual_nano_usd]
    known = [part.all_premium_nano_usd for part in paying if part.all_premium_nano_usd is not None]
    names = sorted({part.premium for part in paying if part.premium})
    return Otherwise(
        sum(part.actual_nano_usd for part in parts),
        ", ".join(names),
        sum(known) if known and len(known) == len(paying) else None,
        sum(part.no_cache_nano_usd for part in parts),
    )


def split_input(lines: Iterable[Line], retrieved: float | None) -> tuple[Line, ...]:
    """Of uncached input, the share that tools and knowledge brought on a line of its own; the sum stays what it was."""
    found: list[Line] = []
    for line in lines:
        if line.line != "input" or not retrieved:
            found.append(line)
            continue
        cost, tokens = round(line.cost_nano_usd * retrieved), round(line.tokens * retrieved)
        rest = structs.replace(line, cost_nano_usd=line.cost_nano_usd - cost, tokens=line.tokens - tokens)
        found += [rest, Line("retrieved", LABELS["retrieved"], cost, tokens, 0, line.simulated)]
    return added(found)


def added(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Lines of one name as one, in the order of a statement, the simulated ones last."""
    sums: dict[tuple[bool, str], Line] = {}
    for line in lines:
        key = (line.simulated, line.line)
        other = sums.get(key)
        if other is not None:
            line = Line(  # noqa: PLW2901 - the sum takes the line's place
                line.line,
                line.label,
                line.cost_nano_usd + other.cost_nano_usd,
                line.tokens + other.tokens,
                line.calls + other.calls,
                line.simulated,
            )
        sums[key] = line
    order = list(LABELS)
    return tuple(sums[key] for key in sorted(sums, key=lambda key: (key[0], order.index(key[1]))))


def latency_of(latencies: Mapping[int, int], slo_ms: float | None) -> Latency:
    """The percentiles of a distribution (see `core.sketch`), and the share within the goal."""
    n = sum(latencies.values())
    if not n:
        return Latency(slo_ms=slo_ms)
    within = None
    if slo_ms is not None:
        last = bucket_of(round(slo_ms * 1000))
        within = sum(count for bucket, count in latencies.items() if bucket <= last) / n
    p50, p95, p99 = (round((percentile_us(latencies, share) or 0) / 1000, 3) for share in (0.5, 0.95, 0.99))
    return Latency(n, p50, p95, p99, slo_ms, within)


def is_success(outcome: str, *, simulated: bool, success: bool | None) -> bool:
    """Whether a task counts as one: resolved by something real, and nobody who knows (`success`) said otherwise."""
    return outcome == "resolved" and not simulated and success is not False


def per_success(cost: int, n: int) -> int | None:
    """`cost` for each of `n`, rounded up; `None` for none."""
    return -(-cost // n) if n else None


def kept_of(found: Iterable[tuple[str, int, int]]) -> dict[str, KeptAnswers]:
    """(tool, answers, of them from memory), added up by tool, sorted by name."""
    answers: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for tool, n, of_them in found:
        answers[tool] += n
        kept[tool] += of_them
    return {tool: KeptAnswers(n, kept[tool], kept[tool] / n) for tool, n in sorted(answers.items()) if n}


def asks_of(policy: int, rule: int, tasks: int) -> Asks:
    """So many questions among so many tasks."""
    return Asks(policy, rule, (policy + rule) / tasks if tasks else None)


def contexts_of(found: Iterable[tuple[int, int, int, int]]) -> tuple[ContextCost, ...]:
    """(tokens, tasks, successes, nano-dollars), added up by tokens, in their order."""
    sums: dict[int, tuple[int, int, int]] = {}
    for tokens, tasks, good, cost in found:
        there = sums.get(tokens, (0, 0, 0))
        sums[tokens] = there[0] + tasks, there[1] + good, there[2] + cost
    return tuple(
        ContextCost(tokens, tasks, good, cost, per_success(cost, good))
        for tokens, (tasks, good, cost) in sorted(sums.items())
    )


def counted(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The sums by name, sorted by name."""
    counts: dict[str, int] = {}
    for name, n in pairs:
        counts[name] = counts.get(name, 0) + n
    return dict(sorted(counts.items()))
