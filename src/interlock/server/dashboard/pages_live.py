"""What is going on right now. Above: face, templates. Below: the ledger's reader, the contracts' limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from interlock.core.budget import Limits
from interlock.core.text import money
from interlock.core.time import NS_PER_S
from interlock.ledger.read import TaskSummary

from .waterfall import moment_us

MOST = 100


class Gauge(Struct, frozen=True):
    """How much of one limit is used."""

    name: str
    share: float
    """0–1."""
    said: str


class Running(Struct, frozen=True):
    """One task that is not over."""

    task: TaskSummary
    age_s: float
    gauges: tuple[Gauge, ...]


class LivePage(Struct, frozen=True):
    """Tasks that run or wait, oldest first."""

    running: tuple[Running, ...]
    more: int
    """Tasks that are not shown."""


def live_page(unfinished: Sequence[TaskSummary], limits: Mapping[str, Limits], now_ns: int) -> LivePage:
    """The page."""
    shown = tuple(_running(task, limits.get(task.workflow, Limits()), now_ns) for task in unfinished[:MOST])
    return LivePage(shown, max(0, len(unfinished) - MOST))


def _running(task: TaskSummary, limits: Limits, now_ns: int) -> Running:
    age_s = max(0.0, now_ns / NS_PER_S - moment_us(task.started) / 1_000_000)
    cost = task.cost_nano_usd + task.simulated_nano_usd
    used = (
        ("model calls", task.model_calls, limits.max_model_calls),
        ("tool calls", task.tool_calls, limits.max_tool_calls),
        ("tokens in", task.input_tokens, limits.max_input_tokens),
        ("tokens out", task.output_tokens, limits.max_output_tokens),
    )
    gauges = [Gauge(name, min(1.0, amount / most), f"{amount:,} of {most:,}") for name, amount, most in used if most]
    if limits.max_cost_nano_usd:
        most = limits.max_cost_nano_usd
        gauges.append(Gauge("money", min(1.0, cost / most), f"{money(cost)} of {money(most)}"))
    return Running(task, age_s, tuple(gauges))
