"""How a running instance is, in a word and in parts, for GET /healthz.

Above: cli (`interlock serve`), which hands it to serve. Below: `app`, by what it tells of itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from interlock.app import Interlock


def health_of(il: Interlock) -> dict[str, Any]:
    """`status` is `ok`, `degraded` (serving, with something amiss) or `down` (calls are refused); then the parts' states."""
    ledger = il.ledger_health()
    breakers = dict(il.breakers())
    amiss = ledger.state != "ok" or any(state != "closed" for state in breakers.values())
    status = "down" if ledger.state == "full" else "degraded" if amiss else "ok"
    return {"status": status, "ledger": msgspec.to_builtins(ledger), "breakers": breakers}
