"""Hourly counters of what happens inside calls (retries, escalations, limits, failures, …), for dashboards and alerts.

Above: storage adds them up by the hour in the transaction that commits the calls; observe reads them. Below: events. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal, get_args

from msgspec import Struct

from .circuits import CircuitChange
from .events import FLOW, ApprovalAsked, Finished, Settled

Meter = Literal[
    "retries",  # the same deployment was asked again; label: the deployment
    "fallbacks",  # another deployment was asked, because one failed; label: the one that failed
    "checks",  # calls made to check an answer; label: the check
    "escalations",  # the next tier was asked; label: `from -> to`
    "degraded",  # an answer came from a lower rung; label: the rung
    "schema_violations",  # answers that did not keep to their schema
    "input_capped",  # inputs that were over their cap; label: what was done
    "private",  # pieces of personal data and credentials that were covered; label: the kind
    "signals",  # calls whose texts stood out; label: the signal, of a tool's result `SIGNAL from TOOL`
    "limited",  # calls that a limit refused; label: the limit
    "failures",  # calls without an answer; label: the error's code
    "asks",  # calls that a person was asked about; label: `policy` (information flow) or `rule`
    "searched",  # tasks whose text was looked up in knowledge; label: `hit` (a passage was good enough) or `miss`
    "cited",  # resolved answers of tasks that had something to name; label: `cited` or `uncited`
    "circuits",  # changes of breakers; label: `STATE DEPLOYMENT`, by the state from then on
    "context",  # calls by the length of their input; label: tokens, rounded up to a power of two
]
METERS: tuple[Meter, ...] = get_args(Meter)
_CONTEXT: tuple[tuple[Meter, str, int], ...] = tuple(("context", str(1 << power), 1) for power in range(64))


class MeterRow(Struct, frozen=True):
    """How often something happened in one hour."""

    hour: int
    """Hours since the Unix epoch."""
    tenant: str
    workflow: str
    meter: str
    label: str
    n: int


def is_plain(call: Settled) -> bool:
    """Whether nothing is counted of the call but its context, as of most."""
    return not (
        len(call.attempts) > 1
        or call.escalations
        or call.degraded
        or call.schema_violations
        or call.private
        or call.signals
        or call.input_cap
        or call.limit
        or call.error
    )


def context_of(call: Settled) -> tuple[Meter, str, int] | None:
    """What `metered` gives of its context's length, if anything."""
    if call.kind != "model" or not call.deployment:
        return None
    length = call.usage.input_total
    return _CONTEXT[(length - 1).bit_length()] if length else None


def metered(call: Settled) -> Iterator[tuple[Meter, str, int]]:
    """(meter, label, how often) of one call; most have their context's length and nothing else."""
    if len(call.attempts) > 1:
        yield from _tries(call)
    for step in call.escalations:
        yield "escalations", f"{step.from_model} -> {step.to_model}", 1
    if call.degraded:
        yield "degraded", call.degraded, 1
    if call.schema_violations:
        yield "schema_violations", "", call.schema_violations
    for kind, count in call.private.items():
        yield "private", kind, count
    for signal in call.signals:
        yield "signals", signal if call.kind == "model" else f"{signal} from {call.name}", 1
    if call.input_cap:
        yield "input_capped", call.input_cap.partition(" ")[0], 1
    if call.limit:
        yield "limited", call.limit, 1
    elif call.error:
        yield "failures", call.error, 1
    context = context_of(call)
    if context is not None:
        yield context


def asked(question: ApprovalAsked) -> tuple[Meter, str, int]:
    """(meter, label, how often) of one question to a person."""
    return "asks", "policy" if FLOW in question.rule else "rule", 1


def ended(end: Finished) -> Iterator[tuple[Meter, str, int]]:
    """(meter, label, how often) of the end of one task."""
    if end.searched:
        yield "searched", end.searched, 1
    if end.cited is not None:
        yield "cited", "cited" if end.cited else "uncited", 1


def turned(change: CircuitChange) -> tuple[Meter, str, int]:
    """(meter, label, how often) of one change of a breaker."""
    return "circuits", f"{change.state} {change.deployment}", 1


def _tries(call: Settled) -> Iterator[tuple[Meter, str, int]]:
    own = [each for each in call.attempts if not each.purpose]
    for check in call.attempts:
        if check.purpose:
            yield "checks", check.purpose.removeprefix("check:"), 1
    for earlier, later in pairwise(own):
        if earlier.status != "ok":
            again = earlier.deployment == later.deployment
            yield ("retries" if again else "fallbacks"), earlier.deployment, 1
