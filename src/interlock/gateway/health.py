"""What the gateway has seen of each deployment and workflow: breaker, retries in hand, pace. All of it in memory, bounded.

Above: attempt, route, escalate. Below: breaker, settings.
"""

from __future__ import annotations

from collections import OrderedDict

from .breaker import Breaker
from .settings import Breaking, Retrying

KEPT = 2_000
"""Deployments or workflows remembered; names come from callers, so there must be an end to them."""
WEIGHT = 0.1
"""Weight of the newest observation in a moving average."""
TIMER_SLACK_S = 0.01
"""A timer may fire this much early; whoever waited as long as the vendor asked is let through."""
SLO_WEIGHT = 0.01
"""The share of slow calls looks back over about 100 calls."""


class DeploymentHealth:
    """One deployment as this process has seen it."""

    __slots__ = (
        "_retrying",
        "blocked_until_s",
        "breaker",
        "input_share",
        "latency_s",
        "output_per_s",
        "output_share",
        "retries",
    )

    def __init__(self, breaking: Breaking, retrying: Retrying) -> None:
        self.breaker = Breaker(breaking)
        self._retrying = retrying
        self.retries = retrying.budget
        self.blocked_until_s = 0.0
        """The vendor asked for no call before this instant (`Retry-After`)."""
        self.latency_s: float | None = None
        """Moving average of whole answers."""
        self.output_per_s: float | None = None
        """Moving average of output tokens per second; estimates what an aborted answer had cost by then."""
        self.input_share: float | None = None
        """Moving average of the input tokens billed, as a share of the upper estimate."""
        self.output_share: float | None = None
        """Moving average of the output tokens billed, as a share of the likely count of the text."""

    def blocked_s(self, now_s: float) -> float:
        """Seconds for which the vendor still wants no calls."""
        left_s = self.blocked_until_s - now_s
        return left_s if left_s > TIMER_SLACK_S else 0.0

    def answered(self, seconds: float, output_tokens: int) -> None:
        self.breaker.succeeded()
        self.retries = min(self._retrying.budget, self.retries + self._retrying.earned)
        self.latency_s = _moved(self.latency_s, seconds)
        if output_tokens and seconds > 0:
            self.output_per_s = _moved(self.output_per_s, output_tokens / seconds)

    def counted(self, input_share: float, output_share: float | None) -> None:
        """The vendor said what an answer weighed."""
        self.input_share = _moved(self.input_share, input_share)
        if output_share is not None:
            self.output_share = _moved(self.output_share, output_share)

    def take_retry(self) -> bool:
        """Takes one retry out of what is in hand."""
        if self.retries < 1.0:
            return False
        self.retries -= 1.0
        return True


def _moved(average: float | None, seen: float) -> float:
    return seen if average is None else average + WEIGHT * (seen - average)


class WorkflowPace:
    """How a workflow keeps its latency promise."""

    __slots__ = ("slow_share",)

    def __init__(self) -> None:
        self.slow_share = 0.0

    def finished(self, slow: bool) -> None:
        self.slow_share += SLO_WEIGHT * (slow - self.slow_share)


class Health:
    """Everything seen, by name; the names used longest ago are forgotten first."""

    def __init__(self, breaking: Breaking, retrying: Retrying) -> None:
        self._breaking = breaking
        self._retrying = retrying
        self._deployments: OrderedDict[str, DeploymentHealth] = OrderedDict()
        self._workflows: OrderedDict[str, WorkflowPace] = OrderedDict()

    def deployment(self, name: str) -> DeploymentHealth:
        known = self._deployments.get(name)
        if known is None:
            known = self._deployments[name] = DeploymentHealth(self._breaking, self._retrying)
            if len(self._deployments) > KEPT:
                self._deployments.popitem(last=False)
        return known

    def workflow(self, name: str) -> WorkflowPace:
        known = self._workflows.get(name)
        if known is None:
            known = self._workflows[name] = WorkflowPace()
            if len(self._workflows) > KEPT:
                self._workflows.popitem(last=False)
        return known

    def breakers(self) -> dict[str, str]:
        """The state of each deployment's breaker, by name."""
        return {name: each.breaker.state for name, each in self._deployments.items()}
