"""What a caller gets back from a task; the fields are those of `docs/schemas/run.schema.json`.

Above: the faces. Below: `state`.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from interlock.core.events import Outcome
from interlock.core.time import NS_PER_MS

from .state import State


class TaskResult(Struct, frozen=True):
    """One task as far as it got."""

    task: str
    outcome: Outcome
    answer: Any
    """Text, or what the output schema describes; `None` where there is no answer."""
    confidence: float | None
    tier: str
    """`tier0` when a flow answered, else the tier of the model that did."""
    escalations: int
    steps: int
    """Model and tool calls that were made, tier 0 and undoing included."""
    cost_nano_usd: int
    """Real money; simulated calls cost none."""
    duration_ms: int
    """From the start to the last record, waiting included."""
    citations: tuple[str, ...]
    error: str | None
    """`code: message` of whatever kept the task from being resolved."""


def result_of(state: State) -> TaskResult:
    """The result of a finished task, or of one that waits."""
    finished = state.finished
    error = f"{finished.error}: {finished.message}" if finished and finished.error else None
    if finished is None:
        error = "in_doubt: a person has to say what became of a call" if any(a.doubted for a in state.actions) else None
    citations = state.answer.get("citations") or ()
    return TaskResult(
        task=state.task,
        outcome=finished.outcome if finished else "waiting_approval" if state.asking else "waiting",
        answer=state.answer.get("answer"),
        confidence=finished.confidence if finished else None,
        tier=finished.tier if finished else "",
        escalations=finished.escalations if finished else state.escalations,
        steps=state.spent.steps,
        cost_nano_usd=state.cost_nano_usd,
        duration_ms=(state.last_ns - state.started_ns) // NS_PER_MS,
        citations=tuple(str(citation) for citation in citations),
        error=error,
    )
