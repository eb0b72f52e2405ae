"""Tasks of one workflow, as they stand in a ledger once they are over."""

from __future__ import annotations

from typing import Any

from interlock.core.caller import Caller, Versions
from interlock.core.events import Finished, Outcome, Record, Settled, Started

NOW = 1_790_000_000_000_000_000 // 3_600_000_000_000 * 3_600_000_000_000 + 1_800_000_000_000
"""Half past some hour."""
USUAL = Versions(prompt="p1", contract="c1")
MINUTE, HOUR, DAY = 60 * 10**9, 3_600 * 10**9, 86_400 * 10**9


def ran(
    name: str,
    ago_ns: int,
    outcome: Outcome = "resolved",
    *,
    now_ns: int = NOW,
    seconds: float = 1.0,
    cost: int = 1_000_000,
    calls: int = 1,
    cited: tuple[str, ...] = ("a",),
    refused: bool = False,
    versions: Versions = USUAL,
    error: str = "",
) -> list[Record]:
    """One that ended so long ago, with so many calls that cost so much together."""
    ended, caller = now_ns - ago_ns, Caller("acme", "u-1", workflow="support", task=name, step=1)
    begun = ended - round(seconds * 1e9)
    more: dict[str, Any] = {"status": "error", "error": "denied"} if refused else {"status": "ok"}
    settled = [
        Record(
            name,
            1 + at,
            "acme",
            ended,
            Settled(
                f"c{name}{at}",
                "tool",
                "find",
                caller,
                started_ns=begun,
                duration_us=5_000,
                cost_nano_usd=cost // calls,
                **more,
            ),
        )
        for at in range(calls)
    ]
    finished = Finished(outcome, error=error, message=error)
    return [
        Record(name, 0, "acme", begun, Started("support", caller, versions), {"input": {"text": "?"}}),
        *settled,
        Record(name, 1 + calls, "acme", ended, finished, {"answer": "x", "citations": list(cited)}),
    ]
