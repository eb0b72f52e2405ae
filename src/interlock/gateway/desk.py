"""What every step of a walk shares.

Above: every step. Below: admit, flight, health, route, settings, watch.
"""

from __future__ import annotations

from .admit import Budgets, Gate
from .flight import Flights
from .health import Health
from .learned import Steering
from .route import Router
from .settings import Parts, Settings
from .watch import Watch


class Desk:
    """Settings and parts, and what this process has seen and worked out so far."""

    __slots__ = (
        "budgets",
        "flights",
        "gate",
        "health",
        "needs_confidence",
        "parts",
        "router",
        "settings",
        "steering",
        "watch",
    )

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.settings = settings
        self.parts = parts
        self.health = Health(settings, parts.short_of_cpu)
        self.gate = Gate(settings.admission)
        self.watch = Watch()
        self.flights = Flights()
        self.budgets = Budgets()
        self.router = Router(parts.tiers_of, parts.target_of, parts.unusable)
        self.steering = Steering(settings, parts, self.router)
        self.needs_confidence = any("confidence" in rule.condition.text for rule in settings.rules) or any(
            check.name == "logprobs"
            for workflow in (settings.anywhere, *settings.workflows.values())
            for check in workflow.checks
        )
