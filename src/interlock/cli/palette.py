"""The colours of the terminal: one per kind of step and one per state, the same in every verb.

Above: the verbs. Below: `core.text`. `docs/cli.md` lists them.
"""

from __future__ import annotations

from interlock.core.text import words

__all__ = ["ACCENT", "BAD", "BAD_ENDS", "DIM", "GOOD", "KINDS", "OUTCOMES", "STATUSES", "WARN", "words"]

GOOD, WARN, BAD, DIM, ACCENT = "green", "yellow", "red", "dim", "bold"

KINDS = {"model": "cyan", "tool": "blue", "decision": "magenta", "waiting": "yellow"}

OUTCOMES = {
    "resolved": GOOD,
    "waiting": WARN,
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
