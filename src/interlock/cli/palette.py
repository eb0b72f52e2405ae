"""The colours of the terminal: one per kind of step and one per state, the same in every verb.

Above: the verbs. Below: nothing. `docs/cli.md` lists them.
"""

from __future__ import annotations

GOOD, WARN, BAD, DIM, ACCENT = "green", "yellow", "red", "dim", "bold"

KINDS = {"model": "cyan", "tool": "blue", "decision": "magenta", "waiting": "yellow"}

OUTCOMES = {
    "resolved": GOOD,
    "waiting_approval": WARN,
    "handed_to_human": "blue",
    "simulated": "magenta",
    "denied": WARN,
    "failed": BAD,
    "limit_reached": BAD,
    "cancelled": DIM,
}
"""In the order in which summaries list them."""

BAD_ENDS = ("failed", "limit_reached", "cancelled")
"""Outcomes after which a run as a whole has not gone well."""

WORDS = {
    "resolved": "resolved",
    "waiting_approval": "waiting for approval",
    "handed_to_human": "handed to a person",
    "simulated": "answered by a simulated model",
    "denied": "denied",
    "failed": "failed",
    "limit_reached": "stopped by a limit",
    "cancelled": "cancelled",
    "in_doubt": "in doubt",
    "running": "running",
    "": "running",
}

STATUSES = {
    "ok": GOOD,
    "cache_hit": GOOD,
    "error": BAD,
    "timeout": BAD,
    "crashed": BAD,
    "refused": WARN,
    "shed": WARN,
    "client_gone": DIM,
}


def words(outcome: str) -> str:
    """An outcome as a person says it."""
    return WORDS.get(outcome, outcome.replace("_", " "))
