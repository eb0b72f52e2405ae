"""Says whether an answer keeps to its output schema; the check itself was made by the gateway with the compiled schema.

Above: found by name. Below: `core`. The gateway asks for a repair by itself; as a verifier it is a signal for the fitted combination.
"""

from __future__ import annotations

import msgspec

from interlock.core.verify import Answered, Finding, Needs, Verifier

NEEDS: Needs = "answer"
FAULTS_SHOWN = 10


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`routing.verifiers.schema`: nothing to set."""


class Schema:
    """The verifier."""

    def check(self, answered: Answered) -> Finding:
        if answered.request.output_schema is None and not answered.request.json_mode:
            return Finding(None, {"faults": 0.0})
        signals = {"faults": float(min(len(answered.faults), FAULTS_SHOWN))}
        if not answered.faults:
            return Finding(1.0, signals)
        return Finding(0.0, signals, f"schema: {answered.faults[0]}")


def build(settings: Settings) -> Verifier:
    """The verifier."""
    del settings
    return Schema()
