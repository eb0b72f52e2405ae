"""Where the money goes: a statement for each workflow, and the same as CSV. Above: face, templates. Below: economics."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, structs

from interlock.core.errors import InvalidRequest
from interlock.core.money import NANO_PER_USD
from interlock.core.text import money
from interlock.core.time import NS_PER_S
from interlock.economics.statement import LABELS, Line, Statement, added, per_success, total
from interlock.economics.users import ByUser

SPANS: Mapping[str, int] = {"24h": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400, "all": 0}
"""Seconds back; zero for all time."""
NS_PER_HOUR = 3600 * NS_PER_S
TOTAL = "all workflows"
NO_USERS = ByUser()
NO_WORKFLOW = "lone calls"
COLUMNS = ("workflow", "line", "what", "nano_usd", "usd", "tokens", "calls", "simulated")


class Cost(Struct, frozen=True):
    """A line of costs as it is drawn."""

    line: Line
    share: float
    """Of all costs of the statement, 0–1."""
    per_success_nano_usd: int | None
    change_nano_usd: int | None
    """For each success, against the period of the same length before; `None` without a success in one of them."""


class Part(Struct, frozen=True):
    """One statement as it is drawn."""

    name: str
    statement: Statement
    costs: tuple[Cost, ...]
    simulated: tuple[Line, ...]
    success_share: float | None
    contradicted: int
    """Resolved tasks that labels or people say were none."""
    before: Statement | None
    """The same workflow in the period of the same length before."""
    change_nano_usd: int | None
    """Of the cost of a success; the changes of the lines add up to it, but for rounding."""
    bridge: tuple[Bar, ...] = ()
    """From the cost of a success before to that of now, line by line; empty where one of them is not known."""
    because: str = ""
    """The same in a sentence; empty where it is as it was, or not known."""


class Bar(Struct, frozen=True):
    """One step of the bridge from the period before to this one, as it is drawn; in thousandths of the picture's width."""

    label: str
    nano_usd: int
    x: int
    width: int
    look: str
    """`whole`, `up` (dearer) or `down`."""


class PnlPage(Struct, frozen=True):
    """The page: all together first, where there are several."""

    span: str
    parts: tuple[Part, ...]
    spans: tuple[str, ...] = tuple(SPANS)
    users: ByUser = NO_USERS


def since_of(span: str, now_ns: int) -> int:
    """The beginning of a period that ends now. Raises InvalidRequest."""
    if span not in SPANS:
        raise InvalidRequest(f"span is one of {', '.join(SPANS)}", param="span")
    return now_ns - SPANS[span] * NS_PER_S if SPANS[span] else 0


def earlier_of(span: str, since_ns: int) -> tuple[int, int]:
    """The period of the same length that ends where this one begins; (0, 0) before all time."""
    until = since_ns // NS_PER_HOUR * NS_PER_HOUR
    return (until - SPANS[span] * NS_PER_S, until) if SPANS[span] else (0, 0)


def pnl_page(
    span: str, found: Sequence[Statement], earlier: Sequence[Statement] = (), users: ByUser = NO_USERS
) -> PnlPage:
    """The page; `earlier`: the statements of the period before; `users`: for whom was spent."""
    then = {each.workflow: each for each in earlier}
    parts = [_part(each.workflow or NO_WORKFLOW, each, then.get(each.workflow)) for each in found]
    if len(parts) > 1:
        parts.insert(0, _part(TOTAL, total(found), total(earlier) if earlier else None))
    parts = [structs.replace(part, because=_because(part, span)) for part in parts]
    return PnlPage(span, tuple(parts), users=users)


def as_csv(page: PnlPage) -> str:
    """Every line of every statement; costs are negative, the sum of a workflow's money lines is its margin."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for part in page.parts:
        if part.name != TOTAL:
            writer.writerows(_csv_rows(part))
    return out.getvalue()


def _part(name: str, statement: Statement, before: Statement | None) -> Part:
    then = {line.line: line for line in before.lines if not line.simulated} if before else {}
    now = {line.line: line for line in statement.lines if not line.simulated}
    gone = [Line(line.line, line.label, 0) for line in then.values() if line.line not in now]
    whole = statement.cost_nano_usd
    good, once = statement.succeeded, before.succeeded if before else 0
    costs: list[Cost] = []
    for line in added([*now.values(), *gone]):
        each = per_success(line.cost_nano_usd, good)
        other = per_success(then[line.line].cost_nano_usd if line.line in then else 0, once)
        change = None if each is None or other is None else each - other
        costs.append(Cost(line, line.cost_nano_usd / whole if whole else 0.0, each, change))
    per, was = statement.cost_per_success_nano_usd, before.cost_per_success_nano_usd if before else None
    return Part(
        name,
        statement,
        tuple(costs),
        tuple(line for line in statement.lines if line.simulated),
        good / statement.tasks if statement.tasks else None,
        max(0, statement.outcomes.get("resolved", 0) - good),
        before,
        None if per is None or was is None else per - was,
        () if per is None or was is None else _bridge(was, per, costs),
    )


def _because(part: Part, span: str) -> str:
    """What a success costs more or less than before, and the lines that did most of it."""
    change, now = part.change_nano_usd, part.statement.cost_per_success_nano_usd
    if not change or now is None:
        return ""
    moved = [each for each in part.costs if (each.change_nano_usd or 0) * change > 0]
    moved.sort(key=lambda each: -abs(each.change_nano_usd or 0))
    word, sign = ("more", "+") if change > 0 else ("less", "-")
    lines = ", ".join(f"{each.line.label} ({sign}{money(abs(each.change_nano_usd or 0))})" for each in moved[:2])
    return (
        f"A success costs {money(now)}, {money(abs(change))} {word} than in the {span} before"
        f"{f', mostly for {lines}' if lines else ''}."
    )


def _bridge(was: int, now: int, costs: Sequence[Cost]) -> tuple[Bar, ...]:
    """Lines that changed, the largest change first; what rounding leaves over stands in the last bar."""
    moved = sorted((each for each in costs if each.change_nano_usd), key=lambda each: -abs(each.change_nano_usd or 0))
    most = max(was, now, *_heights(was, moved))
    if not most:
        return ()

    def bar(label: str, amount: int, begin: int, end: int, look: str) -> Bar:
        low, high = sorted((begin, end))
        return Bar(label, amount, round(1000 * low / most), max(2, round(1000 * (high - low) / most)), look)

    bars, at = [bar("before", was, 0, was, "whole")], was
    for each in moved:
        change = each.change_nano_usd or 0
        bars.append(bar(each.line.label, change, at, at + change, "up" if change > 0 else "down"))
        at += change
    return (*bars, bar("now", now, 0, now, "whole"))


def _heights(was: int, moved: Sequence[Cost]) -> Iterator[int]:
    at = was
    for each in moved:
        at += each.change_nano_usd or 0
        yield at


def _csv_rows(part: Part) -> Iterator[tuple[str, ...]]:
    said = part.statement
    name = f"'{part.name}" if part.name[:1] in "=+-@\t\r" else part.name  # a spreadsheet would read it as a formula

    def row(line: str, what: str, nano_usd: int, more: Line | None = None) -> tuple[str, ...]:
        sign = "-" if nano_usd < 0 else ""
        usd = f"{sign}{abs(nano_usd) // NANO_PER_USD}.{abs(nano_usd) % NANO_PER_USD:09d}"
        counts = (str(more.tokens), str(more.calls), str(more.simulated).lower()) if more else ("", "", "false")
        return name, line, what, str(nano_usd), usd, *counts

    yield row("revenue", "revenue", said.revenue_nano_usd)
    for line in said.lines:
        yield row(line.line, LABELS[line.line], -line.cost_nano_usd, line)
    yield row("people", "people's time", -said.people.cost_nano_usd)
    yield row("margin", "margin", said.margin_nano_usd)
