"""Everything about the fast path that is constant per caller and model (route, provider, cache-key prefix, event template), worked out once.

Above: shortcut. Below: answerkey, desk, forms, lane, route, settings. Frozen but for what is asked anew with each call (health, price of the minute). Whether
there is a short way at all is decided here, and closed by default: a setting or a part that this file does not know closes it as soon as it is
switched on.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, structs

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest
from interlock.core.errors import InterlockError
from interlock.core.lots import Form
from interlock.core.money import Price
from interlock.core.short import QuickLedger, Wire

from . import tokens
from .admit import NO_LIMITS
from .answerkey import beginning, unusable
from .desk import Desk
from .forms import form_of
from .lane import Lane
from .once import LEAST_PART_S, PATIENCE
from .route import Candidate, Plan
from .settings import Parts, Settings, Workflow

OF_SETTINGS = frozenset(
    (
        *("default_model", "degradation", "workflows", "anywhere", "caching", "retrying", "breaking", "admission"),
        *("ejecting", "input_caps", "shaping", "priorities", "continuing", "timeout_s", "self_judging"),
        *("min_output_tokens", "slo_miss_share", "rules"),
    )
)
"""Kept to on the short way, looked at below, or of no concern before a try has failed."""
OF_WORKFLOW = frozenset(("limits", "p95_latency_slo_ms"))
OF_CACHING = frozenset(("exact", "exact_ttl_s", "sampled", "refusals", "coalesce", "stale_s"))
OF_PARTS = frozenset(
    (
        *("ledger", "clock", "ids", "rng", "price_of", "providers", "tiers_of", "target_of", "profile_of"),
        *("validator_of", "unusable", "answers", "quotas", "semantic", "prompt_vector", "code_runner"),
        *("short_of_cpu", "redact", "sleep", "bounds_of", "guards", "changed"),
    )
)


class Road:
    """One caller's, for one model."""

    __slots__ = (
        "_forgotten",
        "_forms",
        "_priced",
        "begun",
        "caller",
        "candidate",
        "health",
        "lane",
        "ledger",
        "model",
        "plan",
        "profile",
        "timeout_s",
        "wire",
        "workflow",
    )

    def __init__(
        self,
        request: ChatRequest,
        caller: Caller,
        plan: Plan,
        lane: Lane,
        wire: Wire,
        ledger: QuickLedger,
        of: Workflow,
        forgotten: int,
    ) -> None:
        self.model = request.model
        self.caller = caller
        self.plan = plan
        self.candidate: Candidate = plan.candidates[0]
        self.lane = lane
        self.health = lane.health
        self.profile = lane.profile
        self.wire = wire
        self.ledger = ledger
        self.workflow = of
        self.timeout_s = self.candidate.deployment.timeout_s
        self.begun = beginning(caller, request)
        """Of the exact cache's keys."""
        self._forgotten = forgotten
        self._priced: Price | None = None
        self._forms: dict[tuple[str, bool], Form] = {}
        """Of the present price, by the reason that is added to the plan's, and whether they are streamed."""

    def holds(self, desk: Desk) -> bool:
        """What it was worked out of is still so: nobody's health has been let go of since."""
        return desk.health.forgotten == self._forgotten

    def clear(self, desk: Desk, now_s: float) -> bool:
        """Nothing stands in the way of a call right now: no queue, no circuit, no pause, nothing left out."""
        health, gate = self.health, desk.gate
        line = health.line
        return (
            gate.inside < gate.limit
            and line.inside < line.limit
            and health.breaker.closed
            and health.of is not None
            and not desk.health.out
            and (not health.blocked_until_s or not health.blocked_s(now_s))
        )

    def fits(self, input_tokens: int, output_tokens: int) -> bool:
        """The model takes so much, as it stands."""
        profile = self.profile
        if profile.assumed:
            return True
        room = profile.context_window - int(input_tokens * tokens.LIKELY_SHARE)
        return output_tokens <= profile.max_output and output_tokens <= room

    def form(self, price: Price, reason: str, *, streamed: bool) -> Form:
        """How its calls are written. Raises forms.Unfit."""
        if price is not self._priced:
            self._priced, self._forms = price, {}
        found = self._forms.get((reason, streamed))
        if found is None:
            reasons = (*self.plan.reasons, reason) if reason else self.plan.reasons
            at = self.candidate
            names = self.model, self.caller, at.name, at.tier, price.version
            found = form_of(*names, reasons, at.deployment.region, streamed=streamed)
            self._forms[reason, streamed] = found
        return found


def road(desk: Desk, caller: Caller, request: ChatRequest) -> Road | None:
    """The short way of `caller` with requests like this one; `None` where there is none."""
    parts, settings, model = desk.parts, desk.settings, request.model
    workflow, ledger = settings.workflow(caller.workflow), parts.ledger
    if (
        not model or caller.task or caller.step or caller.trace
    ):  # a trace is handed on to the vendor, anew for each call
        return None
    if desk.needs_confidence or not _plain(settings, parts, workflow):
        return None
    try:
        plan = desk.router.plan(model, "", None if parts.bounds_of is None else parts.bounds_of(caller))
    except InterlockError:
        return None
    candidate = plan.candidates[0]
    deployment = candidate.deployment
    names = (caller.workflow, model, candidate.name)
    if deployment.simulated or any(name in settings.shaping or name in settings.input_caps for name in names):
        return None
    if settings.rules and deployment.dialect not in settings.self_judging:
        return None
    if len(plan.candidates) > 1 and max(LEAST_PART_S, PATIENCE * settings.timeout_s) < deployment.timeout_s:
        return None  # a part of its time would be kept back for whoever stands in
    lane = desk.lane(candidate)
    wire = lane.wire()
    if wire is None or wire.dialect != request.raw_dialect or not isinstance(ledger, QuickLedger):
        return None
    return Road(request, caller, plan, lane, wire, ledger, workflow, desk.health.forgotten)


def reason_of(desk: Desk, request: ChatRequest) -> tuple[bool, str]:
    """(whether the exact cache and identical calls are asked, what the event says where they are not)."""
    why_not = unusable(request, desk.settings.caching)
    return not why_not, f"exact cache not used: {why_not}" if why_not and why_not != "off" else ""


def _plain(settings: Settings, parts: Parts, workflow: Workflow) -> bool:
    """Nothing is switched on that calls for more than the short way does."""
    return (
        _else_default(settings, OF_SETTINGS)
        and _else_default(parts, OF_PARTS)
        and _else_default(workflow, OF_WORKFLOW)
        and _else_default(settings.caching, OF_CACHING)
        and workflow.limits == NO_LIMITS
    )


def _else_default(value: Struct, known: frozenset[str]) -> bool:
    """Every field but the known ones stands at its default."""
    return all(
        getattr(value, field.name) == _default(field) for field in structs.fields(value) if field.name not in known
    )


def _default(field: structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
