"""Health by deployment: circuit breaker, concurrency limit, retry budget, latency and token statistics. In memory, and bounded.

Above: attempt, route, escalate. Below: admit, balance, breaker, gradient, settings, standing, vendor_limits.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Container, Sequence
from functools import partial

from interlock.core.circuits import Changed, CircuitState
from interlock.core.errors import InterlockError
from interlock.core.ports import Deployment
from interlock.core.time import Clock

from . import balance, tokens
from .admit import Gate
from .breaker import Breaker
from .gradient import Gradient
from .settings import Settings
from .standing import Extras, Hedges, Standing
from .vendor_limits import VendorLimits
from .weights import Weights

KEPT = 2_000
"""Deployments or workflows remembered; names come from callers, so there must be an end to them."""
WEIGHT = 0.1
"""Weight of the newest observation in a moving average."""
LONGEST_PAUSE_S = 3_600.0
"""A vendor that names a longer wait is asked once an hour all the same: a header gone wrong must not end a deployment until the next start."""
TIMER_SLACK_S = 0.01
"""A timer may fire this much early; whoever waited as long as the vendor asked is let through."""
SLO_WEIGHT = 0.01
"""The share of slow calls looks back over about 100 calls."""
TIMES_KEPT = 100
ShortOfCpu = Callable[[], bool]
"""Whether this process itself has too little CPU, so that slow answers say nothing about a vendor."""


def _no_record(_deployment: str, _state: CircuitState, _why: str) -> None:
    """Nobody keeps one."""


class DeploymentHealth:
    """One deployment as this process has seen it."""

    __slots__ = (
        "_answered_s",
        "_retrying",
        "_short_of_cpu",
        "blocked_until_s",
        "breaker",
        "cost_s",
        "ejected_until_s",
        "ejections",
        "gradient",
        "input_share",
        "latency_s",
        "limits",
        "line",
        "of",
        "output_per_s",
        "output_share",
        "retries",
        "standing",
        "times_s",
        "weights",
    )

    def __init__(
        self,
        name: str,
        settings: Settings,
        short_of_cpu: ShortOfCpu | None = None,
        changed: Changed = _no_record,
    ) -> None:
        """`changed` is told of its breaker's changes."""
        admission = settings.admission
        self.of: Deployment | None = None
        """What it is told by the configuration, once it was called."""
        self.breaker = Breaker(settings.breaking, partial(changed, name))
        self.standing = Standing()
        self.limits = VendorLimits()
        self.line = Gate(admission, what=name)
        self.gradient: Gradient | None = None
        self._short_of_cpu = short_of_cpu
        if admission.adaptive:
            self._led_by_latency(admission.max_concurrent, admission.deployment_floor)
        self._retrying = settings.retrying
        self.retries = settings.retrying.budget
        self.blocked_until_s = 0.0
        """The vendor asked for no call before this instant (`Retry-After`)."""
        self.ejected_until_s = 0.0
        self.ejections = 0
        """How often it was left out as an outlier, one for each; falls again while it does well."""
        self.latency_s: float | None = None
        """Moving average of whole answers."""
        self.cost_s = 0.0
        """Peak-EWMA of whole answers."""
        self._answered_s = 0.0
        self.times_s: deque[float] | None = deque(maxlen=TIMES_KEPT) if settings.hedging else None
        """Seconds of recent answers, where calls are hedged."""
        self.output_per_s: float | None = None
        """Moving average of output tokens per second; estimates what an aborted answer had cost by then."""
        self.input_share: float | None = None
        """Moving average of the input tokens billed, as a share of the upper estimate."""
        self.weights = Weights()
        self.output_share: float | None = None
        """Moving average of the output tokens billed, as a share of the likely count of the text."""

    def told(self, deployment: Deployment, now_s: float) -> None:
        """What the configuration says of it; once, before its first call."""
        self.of = deployment
        if deployment.requests_per_minute or deployment.tokens_per_minute:
            self.limits.declared(deployment.requests_per_minute, deployment.tokens_per_minute, now_s)
        if deployment.max_concurrent:
            self.line.limit = deployment.max_concurrent
            if self.gradient is not None:
                self._led_by_latency(deployment.max_concurrent, self.gradient.floor)
            self.line.pressed = True

    def _led_by_latency(self, most: int, floor: int) -> None:
        self.gradient = Gradient(most, floor, self._short_of_cpu)
        self.line.limit = self.gradient.limit

    def blocked_s(self, now_s: float) -> float:
        """Seconds for which the vendor still wants no calls."""
        left_s = self.blocked_until_s - now_s
        return left_s if left_s > TIMER_SLACK_S else 0.0

    def load(self) -> float:
        """Peak-EWMA seconds times the calls under way and this one; less is better."""
        return self.cost_s * (self.line.inside + 1)

    def answered(self, began_s: float, now_s: float, output_tokens: int) -> None:
        """A whole answer came."""
        self.answered_all(((began_s, now_s, output_tokens),))

    def answered_all(self, answers: Sequence[tuple[float, float, int]]) -> None:
        """Whole answers came: (when its call began, when it came, its output tokens) of each, in the order in which they came."""
        self.breaker.succeeded(len(answers))
        self.standing.good = True
        self.retries = min(self._retrying.budget, self.retries + self._retrying.earned * len(answers))
        latency_s, cost_s, answered_s, output_per_s = self.latency_s, self.cost_s, self._answered_s, self.output_per_s
        for began_s, now_s, output_tokens in answers:
            seconds = now_s - began_s
            latency_s = seconds if latency_s is None else latency_s + WEIGHT * (seconds - latency_s)
            cost_s = seconds if seconds >= cost_s else balance.peak(cost_s, seconds, now_s - answered_s)
            answered_s = now_s
            if output_tokens and seconds > 0:
                pace = output_tokens / seconds
                output_per_s = pace if output_per_s is None else output_per_s + WEIGHT * (pace - output_per_s)
        self.latency_s, self.cost_s, self._answered_s, self.output_per_s = latency_s, cost_s, answered_s, output_per_s
        if self.times_s is not None:
            self.times_s.extend([now_s - began_s for began_s, now_s, _ in answers])

    def left(self, began_s: float, clock: Clock, output_tokens: int, crowd: int, *, stream: bool) -> None:
        """A call that was begun with `crowd` under way was answered, or its stream has begun: its place is free."""
        self.paced(began_s, clock, clock.monotonic_s(), output_tokens, crowd, self.line.inside, stream=stream)
        self.line.leave()

    def paced(
        self, began_s: float, clock: Clock, ended_s: float, output_tokens: int, crowd: int, beside: int, *, stream: bool
    ) -> None:
        """What a call's pace says of how many at once are too many; `beside`: that were under way when it ended, itself among them."""
        line, gradient = self.line, self.gradient
        if gradient is not None:
            gradient.answered(began_s, ended_s, output_tokens, crowd, beside, stream=stream)
            if gradient.limit != line.limit or gradient.congested != line.pressed:
                line.follow(gradient.limit, clock, pressed=gradient.congested)

    def failed(self, now_s: float, error: InterlockError) -> None:
        """It failed in a way that another caller would have seen too."""
        self.breaker.failed(now_s, error)
        self.standing.failed()
        self.cost_s = (
            max(self.cost_s, 1.0) * 2 if self.cost_s < 60.0 else self.cost_s
        )  # it answers nothing, however fast it fails

    def refused(self, now_s: float, wait_s: float | None) -> None:
        """It had no room."""
        self.breaker.abandoned()
        self.blocked_until_s = max(self.blocked_until_s, now_s + min(wait_s or 0.0, LONGEST_PAUSE_S))
        if self.limits.known:
            self.limits.refused(now_s)
        if wait_s is None and self.gradient is not None:
            self.gradient.refused(now_s, self.line.inside)
            self.line.limit, self.line.pressed = self.gradient.limit, self.gradient.congested

    def counted(self, shares: Sequence[tuple[float, float | None]]) -> None:
        """The vendor said what answers weighed: shares of the estimates of the input, and of the output where there was any text."""
        into, out = self.input_share, self.output_share
        for input_share, output_share in shares:
            into = input_share if into is None else into + WEIGHT * (input_share - into)
            if output_share is not None:
                out = output_share if out is None else out + WEIGHT * (output_share - out)
        self.input_share, self.output_share = into, out

    def weight(self, input_tokens: int, output_tokens: int) -> int:
        """Tokens that the vendor will likely count against its limits for a try of that upper estimate."""
        share = tokens.LIKELY_SHARE if self.input_share is None else self.input_share
        return round(input_tokens * share) + min(output_tokens, 1_000)

    def take_retry(self) -> bool:
        """Takes one retry out of what is in hand."""
        if self.retries < 1.0:
            return False
        self.retries -= 1.0
        return True


class WorkflowPace:
    """How a workflow keeps its latency promise."""

    __slots__ = ("slow_share",)

    def __init__(self) -> None:
        self.slow_share = 0.0

    def finished(self, slow: bool) -> None:
        self.slow_share += SLO_WEIGHT * (slow - self.slow_share)


class Health:
    """Everything seen, by name; the names used longest ago are forgotten first."""

    def __init__(
        self, settings: Settings, short_of_cpu: ShortOfCpu | None = None, changed: Changed | None = None
    ) -> None:
        """`changed` is told of every breaker's changes, for the record."""
        self._settings = settings
        self._short_of_cpu = short_of_cpu
        self._changed = changed or _no_record
        retrying = settings.retrying
        self.extras = Extras(retrying.extra, retrying.extra_per_call, retrying.extra_per_s)
        self.hedges = Hedges(settings.hedging.share) if settings.hedging else None
        self.out: set[str] = set()
        """Deployments that are left out as outliers for now; those whose time is up are dropped when they are looked at."""
        self.forgotten = 0
        """Deployments that were let go of so far."""
        self._deployments: OrderedDict[str, DeploymentHealth] = OrderedDict()
        self._workflows: OrderedDict[str, WorkflowPace] = OrderedDict()

    def deployment(self, name: str) -> DeploymentHealth:
        known = self._deployments.get(name)
        if known is None:
            known = self._deployments[name] = DeploymentHealth(name, self._settings, self._short_of_cpu, self._changed)
            if len(self._deployments) > KEPT:
                self._deployments.popitem(last=False)
                self.forgotten += 1
        return known

    def inherit(self, before: Health, providers: Container[str]) -> None:
        """Goes on with what was seen of the deployments of these providers under earlier settings, of which nothing they hang on has changed."""
        for name, seen in before._deployments.items():
            if name.partition("/")[0] in providers:
                self._deployments[name] = seen
        self._workflows.update(before._workflows)

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
