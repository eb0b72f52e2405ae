"""What every step of a walk shares.

Above: every step. Below: admit, health, route, settings, watch.
"""

from __future__ import annotations

from .admit import Budgets, Gate
from .health import Health
from .route import Router
from .settings import Parts, Settings
from .watch import Watch


class Desk:
    """Settings and parts, and what this process has seen and worked out so far."""

    __slots__ = ("budgets", "gate", "health", "needs_confidence", "parts", "router", "settings", "watch")

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.settings = settings
        self.parts = parts
        self.health = Health(settings.breaking, settings.retrying)
        self.gate = Gate(settings.admission)
        self.watch = Watch()
        self.budgets = Budgets()
        self.router = Router(parts.tiers_of, parts.target_of, parts.unusable)
        self.needs_confidence = any("confidence" in rule.condition.text for rule in settings.rules)
