"""Per-deployment look-ups, done once: its provider plug-in, its model's profile, its current price, its health.

Above: begin, once, desk. Below: health, settings. Nothing here is a copy that could go stale: health is the one object that everybody writes into,
and a price is asked for anew with every minute of the wall clock, on whose borders prices change.
"""

from __future__ import annotations

from interlock.core.money import Price
from interlock.core.ports import Deployment, PriceOf, Provider
from interlock.core.short import HasWires, Wire
from interlock.core.time import NS_PER_S

from .health import DeploymentHealth
from .settings import Parts, Profile

MINUTE_NS = 60 * NS_PER_S
_MOST_INPUT = 1 << 40
"""Input tokens beyond every step of every price list."""


class Lane:
    """One deployment's."""

    __slots__ = (
        "_asked_for_wire",
        "_flat",
        "_price_of",
        "_priced_until_ns",
        "_wire",
        "deployment",
        "health",
        "profile",
        "provider",
    )

    def __init__(self, deployment: Deployment, parts: Parts, health: DeploymentHealth) -> None:
        self.deployment = deployment
        self.health = health
        self.profile: Profile = parts.profile_of(deployment)
        self.provider: Provider | None = parts.providers.get(deployment.dialect)
        self._price_of: PriceOf = parts.price_of
        self._flat: Price | None = None
        """The price of the present minute, where it is the same for any length of input."""
        self._priced_until_ns = 0
        self._wire: Wire | None = None
        self._asked_for_wire = False

    def wire(self) -> Wire | None:
        """Its provider's short way to it; `None` where there is none."""
        if not self._asked_for_wire:
            self._asked_for_wire, provider = True, self.provider
            self._wire = provider.wire(self.deployment) if isinstance(provider, HasWires) else None
        return self._wire

    def price(self, input_tokens: int, now_ns: int) -> Price:
        """What a call of so much input costs at that instant (ns since the epoch)."""
        if now_ns >= self._priced_until_ns:
            least, most = self._price_of(self.deployment, 0), self._price_of(self.deployment, _MOST_INPUT)
            self._flat = least if least == most else None
            self._priced_until_ns = (now_ns // MINUTE_NS + 1) * MINUTE_NS
        return self._flat or self._price_of(self.deployment, input_tokens)
