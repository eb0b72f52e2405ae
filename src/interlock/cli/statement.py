"""A P&L statement drawn so that somebody who never saw a token can read it.

Above: `pnl`, `run`. Below: economics' statement, rich. Costs carry a minus, what was never paid stands apart from what was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from .options import millis, moment
from .palette import ACCENT, BAD, DIM, GOOD, OUTCOMES, words
from .text import cell, money, plural, share

if TYPE_CHECKING:
    from interlock.economics.statement import Line, Statement

TRIES = {
    "retries": ("retry", "retries"),
    "fallbacks": ("fallback", "fallbacks"),
    "escalations": ("escalation", "escalations"),
    "checks": ("check", "checks"),
}
Row = tuple[Text, Text, Text]


def draw(statement: Statement, *, title: str = "", whole: bool = True) -> Group:
    """The statement as a table with its remarks below; `whole`: with the tasks' outcomes and latency."""
    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(min_width=22, no_wrap=True)
    grid.add_column(style=DIM)
    grid.add_column(
        justify="right", min_width=12, no_wrap=True
    )  # on a narrow terminal words are wrapped, never figures cut
    for row in money_rows(statement):
        grid.add_row(*row)
    remarks = [*remarks_of(statement), *(work_of(statement) if whole else ())]
    notes = Table.grid(padding=(0, 3, 0, 0))
    notes.add_column(min_width=16)
    for name, said in remarks:
        notes.add_row(cell(name), said)
    return Group(Text(title or heading(statement), style=ACCENT), grid, Text(), notes)


def heading(statement: Statement) -> str:
    """Whose statement over which time."""
    since = f"since {moment(statement.since_ns)[:16]}" if statement.since_ns else "over all time"
    return f"Token P&L · {statement.workflow or 'all workflows'} · {since}"


def money_rows(statement: Statement) -> Iterator[Row]:
    """Revenue, each cost, people's time and what is left."""
    each = statement.revenue_nano_usd // statement.succeeded if statement.succeeded else 0
    how = plural(statement.succeeded, "success", "successes") + (f" × {money(each)}" if each else "")
    yield cell("revenue"), cell(how), cell(money(statement.revenue_nano_usd))
    for line in statement.lines:
        if not line.simulated:
            yield cell(f"  {line.label}"), cell(measure(line)), spent(line.cost_nano_usd)
    yield rule("model and tool cost", -statement.cost_nano_usd)
    people = statement.people
    if people.hand_overs:
        what = f"{plural(people.hand_overs, 'hand-over')} to people, {people.minutes:,.0f} minutes"
        yield cell("people's time"), cell(what), spent(people.cost_nano_usd)
    yield rule("margin", statement.margin_nano_usd, GOOD if statement.margin_nano_usd >= 0 else BAD)
    yield cell(""), cell(""), cell("")
    per = statement.cost_per_success_nano_usd
    low, high = statement.cost_per_success_low_nano_usd, statement.cost_per_success_high_nano_usd
    between = "" if low is None or high is None else f", 95 % between {money(low)} and {money(high)}"
    yield (
        cell("cost per success", ACCENT),
        cell(f"models and tools{between}"),
        cell("none yet" if per is None else money(per), ACCENT),
    )
    if statement.succeeded and people.cost_nano_usd:
        whole = (statement.cost_nano_usd + people.cost_nano_usd) // statement.succeeded
        yield cell(""), cell("with people's time for the rest"), cell(money(whole))


def rule(name: str, amount: int, style: str = "") -> Row:
    """A sum."""
    return cell(name, ACCENT), cell(""), cell(money(amount), f"{ACCENT} {style}".strip())


def spent(nano_usd: int) -> Text:
    return cell(money(-nano_usd))


def measure(line: Line) -> str:
    """What a line's money was paid for."""
    if line.calls:
        return plural(line.calls, "call")
    return plural(line.tokens, "token") if line.tokens else ""


def remarks_of(statement: Statement) -> Iterator[tuple[str, Text]]:
    """Waste, savings, and what simulated models would have cost."""
    waste = statement.waste
    parts = [
        f"{money(amount)} {what}"
        for amount, what in (
            (waste.tasks_without_success_nano_usd, "on tasks without a success"),
            (waste.failed_attempts_nano_usd, "on failed attempts"),
            (waste.superseded_workers_nano_usd, "by workers that had lost their task"),
            (waste.circles_nano_usd, "going in circles"),
            (waste.repeated_nano_usd, f"on what had been answered before, in the newest {plural(waste.read, 'task')}"),
        )
        if amount
    ]
    yield "wasted", cell(" · ".join(parts) or "nothing")
    yield "saved", cell(" · ".join(savings_of(statement)) or "nothing")
    tries = [plural(n, *TRIES.get(name, (name, name))) for name, n in statement.tries.items()]
    if tries:
        yield "tries", cell(" · ".join(tries))
    remembered = [
        f"{tool} {share(each.kept, each.answers)} of {each.answers:,}"
        for tool, each in statement.kept_answers.items()
        if each.kept
    ]
    if remembered:
        yield "from memory", cell(" · ".join(remembered))
    yield from otherwise_of(statement)
    asks = statement.asks
    if asks.per_task and (asks.policy or asks.rule):
        said = f"{plural(asks.policy + asks.rule, 'question')} to people, {asks.per_task:.2f} a task"
        yield "asked", cell(f"{said} ({asks.policy:,} by information flow, {asks.rule:,} by rules)")
    if len(statement.contexts) > 1:
        trend = " · ".join(
            f"≤ {each.tokens:,} tokens {'none' if (per := each.cost_per_success_nano_usd) is None else money(per)}"
            for each in statement.contexts
        )
        yield "by context", cell(f"a success, by what its models read: {trend}")
    contradicted = statement.outcomes.get("resolved", 0) - statement.succeeded
    if contradicted > 0:
        said = f"{plural(contradicted, 'resolved task')} that labels or people contradict: no success, no revenue"
        yield "not counted", cell(said)
    simulated = [line for line in statement.lines if line.simulated]
    if simulated or statement.simulated_tasks:
        kinds = ", ".join(f"{line.label} {measure(line)}".strip() for line in simulated)
        said = f"{plural(statement.simulated_tasks, 'task')}, no success, no money"
        cost = f"; at list price {money(statement.simulated_nano_usd)}" if statement.simulated_nano_usd else ""
        yield "simulated", cell(f"{said}{cost}{f' ({kinds})' if kinds else ''}", OUTCOMES["simulated"])


def otherwise_of(statement: Statement) -> Iterator[tuple[str, Text]]:
    """What would have been paid without routing, and without caches."""
    other = statement.otherwise
    if not other.actual_nano_usd:
        return
    parts: list[str] = []
    if other.all_premium_nano_usd is not None:
        parts.append(f"{money(other.all_premium_nano_usd)} with {other.premium} for everything")
    if other.no_cache_nano_usd != other.actual_nano_usd:
        parts.append(f"{money(other.no_cache_nano_usd)} without caches")
    if parts:
        yield "otherwise", cell(f"{' · '.join(parts)}; models came to {money(other.actual_nano_usd)}")


def savings_of(statement: Statement) -> Iterator[str]:
    """Money that was not spent, by what kept it."""
    savings = statement.savings
    if savings.exact_cache_nano_usd:
        yield f"{money(savings.exact_cache_nano_usd)} by the exact cache"
    if savings.semantic_cache_nano_usd:
        yield f"{money(savings.semantic_cache_nano_usd)} by the semantic cache"
    if savings.prompt_cache_share:
        yield f"{savings.prompt_cache_share:.0%} of input tokens read from vendors' prompt caches"
    if savings.on_device_tasks:
        worth = savings.on_device_nano_usd
        amount = f", {money(worth)} at what a model costs here per task" if worth is not None else ""
        yield f"{plural(savings.on_device_tasks, 'task')} resolved on the device without a model call{amount}"


def work_of(statement: Statement) -> Iterator[tuple[str, Text]]:
    """What became of the tasks and how long they took."""
    counts = " · ".join(
        f"{n} {words(outcome)}" for outcome, n in sorted(statement.outcomes.items(), key=lambda e: -e[1])
    )
    yield "tasks", cell(f"{statement.tasks:,}" + (f": {counts}" if counts else ""))
    if statement.tasks:
        yield "succeeded", cell(f"{statement.succeeded:,} ({share(statement.succeeded, statement.tasks)})")
    latency = statement.latency
    if latency.n:
        said = f"p50 {ms(latency.p50_ms)} · p95 {ms(latency.p95_ms)} · p99 {ms(latency.p99_ms)}"
        if latency.slo_ms is not None and latency.within_slo is not None:
            said += f" · {100 * latency.within_slo:.1f} % within the agreed {ms(latency.slo_ms)}"
        yield "latency", cell(said)


def ms(value: float | None) -> str:
    return "" if value is None else millis(round(value * 1000))
