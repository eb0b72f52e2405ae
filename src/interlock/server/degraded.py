"""How a degraded answer says so: a header, and a field in the body beside the vendor's own.

Above: openai_write, anthropic_write. Below: `core`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from interlock.core.events import Settled

FIELD = "interlock"
REFINE = {
    "smaller_model": "A smaller model answered, since the one asked for could not. Ask again later, or name the model you need.",
    "shorter_context": "The oldest turns were left out to keep within a limit. Send fewer or shorter turns, or raise the limit.",
    "cached_answer": "This is an earlier answer to the same question, past its time. Ask again later for a fresh one.",
    "best_effort": "The answer is not as good or as long as was wanted. Ask again with more room, or for a part of it.",
}
"""By rung: the way to a better answer."""


def extension(settled: Settled) -> dict[str, Any]:
    """What the body's field says; empty for a full answer to the whole input."""
    if not settled.degraded and not settled.input_cap:
        return {}
    said: dict[str, Any] = {"call": settled.call}
    if settled.degraded:
        said |= {"degraded": settled.degraded, "refine": REFINE.get(settled.degraded, "")}
    if settled.input_cap:
        said["input_cap"] = settled.input_cap
    return said


def extended(body: bytes, settled: Settled) -> bytes:
    """`body`, a JSON object, with the field where there is something to say; the vendor's own bytes otherwise stay as they are."""
    said = extension(settled)
    if not said:
        return body
    end = body.rstrip()
    if not end.endswith(b"}"):
        return body
    comma = b"" if end[:-1].rstrip().endswith(b"{") else b","
    return b'%b%b"%b":%b}' % (end[:-1], comma, FIELD.encode(), msgspec.json.encode(said))
