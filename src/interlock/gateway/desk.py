"""The gateway's shared state: its settings and parts, the health of deployments, admission, calls in flight, budgets, deferred work.

Above: every step. Below: admit, afterwards, flight, health, lane, route, settings, watch.
"""

from __future__ import annotations

from interlock.core.chat import ChatResponse
from interlock.core.errors import InterlockError

from .admit import Budgets, Gate
from .afterwards import Afterwards
from .flight import Flights
from .health import KEPT, Health
from .lane import Lane
from .learned import Steering
from .route import Candidate, Router
from .settings import Parts, Settings
from .watch import Watch


class Desk:
    """Settings and parts, and what this process has seen and worked out so far."""

    __slots__ = (
        "_forgotten",
        "_lanes",
        "afterwards",
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
        self.health = Health(settings, parts.short_of_cpu, parts.changed)
        self.gate = Gate(settings.admission)
        self.watch = Watch()
        self.flights = Flights()
        self.afterwards = Afterwards()
        self.budgets = Budgets()
        self.router = Router(parts.tiers_of, parts.target_of, parts.unusable)
        self._lanes: dict[str, Lane] = {}
        self._forgotten = 0
        self.steering = Steering(settings, parts, self.router)
        self.needs_confidence = any("confidence" in rule.condition.text for rule in settings.rules) or any(
            check.name == "logprobs"
            for workflow in (settings.anywhere, *settings.workflows.values())
            for check in workflow.checks
        )

    def lane(self, candidate: Candidate) -> Lane:
        """What tries at it have in common."""
        known = self._lanes.get(candidate.name)
        if known is None or known.deployment is not candidate.deployment or self._forgotten != self.health.forgotten:
            known = self._new_lane(candidate)
        return known

    def read(self, deployment: str, body: bytes) -> ChatResponse | None:
        """What a whole answer says that was kept as that deployment wrote it; `None` where it is not there any more, or not as it was."""
        try:
            candidate = self.router.plan(deployment).candidates[0]
            wire = self.lane(candidate).wire()
            return wire.again(body).response() if wire is not None and candidate.name == deployment else None
        except InterlockError:
            return None

    def _new_lane(self, candidate: Candidate) -> Lane:
        if self._forgotten != self.health.forgotten or len(self._lanes) >= KEPT:
            self._lanes.clear()  # what is known of some deployment was let go of: nobody may go on writing into it
            self._forgotten = self.health.forgotten
        health = self.health.deployment(candidate.name)
        made = self._lanes[candidate.name] = Lane(candidate.deployment, self.parts, health)
        return made
