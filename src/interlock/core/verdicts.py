"""A decision of the policy as a value: of a call, of an answer that leaves, of a provider that would see a text. Above: governance, gateway, agents. Below: msgspec."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Outcome = Literal["allow", "deny", "ask", "change"]
"""`change`: it may leave, but not as it is."""


class Verdict(Struct, frozen=True):
    """A decision with its reason."""

    outcome: Outcome
    rule: str = ""
    """The rule that decided: `repeated`, `payments.refund.amount_usd`, `answer.links`, `residency.region`; empty where nothing was against it."""
    reason: str = ""
    value: str = ""
    """What it is about: the value that a person would endorse, the answer as it may leave, or the provider."""
    card: tuple[str, ...] = ()
    """All that stands against it, a line each."""
    version: str = ""
    """Of the rules that decided: a hash of all of them."""

    @property
    def told(self) -> str:
        """The reason with its rule and the version of the rules, as the ledger keeps it."""
        return f"{self.reason} ({self.rule}, policy {self.version})" if self.version else f"{self.reason} ({self.rule})"


ALLOW = Verdict("allow")
