"""The probability that the model gave its own words, where the vendor tells it: exp of the mean log-probability of the answer's tokens.

Above: found by name. Below: `core`. The gateway asks for log-probabilities by itself where this verifier is configured and the model has them.
"""

from __future__ import annotations

import math

import msgspec

from interlock.core.verify import Answered, Finding, Needs, Verifier

NEEDS: Needs = "answer"


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`routing.verifiers.logprobs`: nothing to set."""


class Logprobs:
    """The verifier."""

    def check(self, answered: Answered) -> Finding:
        mean = answered.response.mean_logprob
        if mean is None:
            return Finding()
        chance = math.exp(min(0.0, mean))
        return Finding(chance, {"mean": max(-20.0, mean)}, f"mean probability of its tokens {chance:.2f}")


def build(settings: Settings) -> Verifier:
    """The verifier."""
    del settings
    return Logprobs()
