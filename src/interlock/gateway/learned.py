"""Learned routing under a cap on premium calls: with which model a call starts, whether its answer stands, and which model is asked instead.

Above: begin, climb, settle. Below: cap, checks, route, `core.routes`. Without a route and a cap nothing here is reached. With one, a start is a look-up and
some arithmetic, and where the route uses the prompt's sentence vector, one embedding off the event loop under a deadline; without it the
lighter heads decide.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from interlock.core import routes
from interlock.core.errors import InterlockError
from interlock.core.routes import LearnedRoute

from .call import Answer, Call
from .cap import Cap, Rate
from .checks import Learned, Seen, Steered
from .escalate import Up
from .route import Plan, Router
from .settings import Parts, Settings

TENANTS_KEPT = 10_000
PREMIUM = frozenset(("premium",))
"""Tiers that a spent budget keeps calls from, where no cap names others."""
VECTOR_WITHIN_S = 0.25
"""A vector that takes longer is done without; on a quiet machine it takes 7 to 25 ms."""


class Steering:
    """One process's steering; holds the state of the cap by tenant."""

    __slots__ = ("_caps", "_parts", "_rates", "_router", "_settings", "sparing", "watches")

    def __init__(self, settings: Settings, parts: Parts, router: Router) -> None:
        self._settings = settings
        self._parts = parts
        self._router = router
        self._caps: OrderedDict[str, Cap] = OrderedDict()
        self._rates: OrderedDict[tuple[str, str], Rate] = OrderedDict()
        steered = any(each.checks or each.learned for each in (settings.anywhere, *settings.workflows.values()))
        self.watches = bool(settings.rules) or settings.premium is not None or steered
        """Whether an answer may be found not good enough at all."""
        self.sparing: frozenset[str] = frozenset()
        """Workflows whose error budget is spent, and which choose no premium tier until it is not."""

    def rated(self, call: Call) -> None:
        """Counts a call that has its answer; one that escalated is told how often its tenant's workflow does."""
        key = (call.caller.tenant, call.caller.workflow)
        rate = self._rates[key] = (self._rates.get(key) or Rate()).after(escalated=bool(call.escalations))
        self._rates.move_to_end(key)
        if len(self._rates) > TENANTS_KEPT:
            self._rates.popitem(last=False)
        if call.escalations:
            of = call.caller.workflow or "calls without a workflow"
            call.note(f"escalation rate of {of}: {rate.share:.0%} of the last {rate.calls} answers")

    def cap(self, tenant: str) -> Cap | None:
        """How a tenant stands to its cap; `None` without one."""
        if self._settings.premium is None:
            return None
        return self._caps.get(tenant) or Cap(self._settings.premium.share)

    async def start(self, call: Call, plan: Plan) -> Plan:
        """The plan to go by: the given one, or one that begins where the learned route says and the cap allows."""
        cap = self._arrived(call, plan)
        learned = call.workflow.learned
        usable = [] if learned is None or call.held_before else _usable(learned.route, plan)
        if learned is not None and len(usable) > 1:
            plan = await self._learned(call, plan, learned, usable, cap)
        if cap is not None and plan.candidates[0].tier in self._premium:
            self._take(call, cap)  # counted as it is decided, so that calls under way are counted too
        return plan

    async def _learned(self, call: Call, plan: Plan, learned: Learned, usable: Sequence[str], cap: Cap | None) -> Plan:
        steered = call.steered = await self._looked(call, learned)
        chances = learned.route.before.chances(steered.task, steered.measured, {}, steered.vector)
        dearer = self._dearer(learned.route, cap)
        spares = call.caller.workflow in self.sparing
        may = not spares and (cap is None or cap.open)
        allowed = [each for each in usable if may or not self._is_premium(plan, each)]
        choice = routes.start(learned.route, chances, allowed or usable[:1], dearer)
        call.note(f"{choice.reason}, version {learned.version}")
        if choice.model == plan.candidates[0].tier or choice.model == plan.candidates[0].name:
            return plan
        call.target = choice.model
        return self._router.plan(call.request.model, choice.model, call.bounds)

    def judge(self, call: Call, plan: Plan, answer: Answer, seen: Seen) -> tuple[Up | None, float | None]:
        """(who to ask instead of keeping the answer, the chance that it is right by its checks where the route can tell)."""
        steered = call.steered
        name = None if steered is None else _name_of(steered.learned.route, answer)
        if steered is None or name is None or not seen.findings:
            return None, None
        route = steered.learned.route
        stage = route.after.get(name)
        if stage is None:
            return None, None
        chances = stage.chances(steered.task, steered.measured, seen.signals, steered.vector)
        above = route.models[route.models.index(name) :]
        usable = [each for each in above if each in chances and each in (*_usable(route, plan), name)]
        choice = routes.onward(route, name, chances, usable, self._dearer(route, self.cap(call.caller.tenant)))
        if choice is None:
            return None, chances[name]
        return Up(choice.model, f"{choice.reason}, version {steered.learned.version}", must=False), chances[name]

    def refusal(self, call: Call, tier: str) -> str:
        """Why a premium tier may not be asked by choice now; empty where it may, and then it is counted."""
        if call.caller.workflow in self.sparing and tier in self._premium and not call.premium:
            return "the error budget is spent, so premium calls are not chosen (slo.when_spent: cap_premium)"
        cap = self.cap(call.caller.tenant)
        if cap is None or tier not in self._premium or call.premium:
            return ""
        if not cap.open:
            return f"premium_share_cap {cap.share:.0%} is used up ({cap.premium} of {cap.calls} calls)"
        self._take(call, cap)
        return ""

    def settled(self, call: Call) -> None:
        """Counts a premium call that nobody chose (a fallback, an answer that could not stand), and gives back one that was not made
        (a cache had the answer, a limit forbade it).
        """
        cap = self.cap(call.caller.tenant)
        if cap is None:
            return
        made = any(each.tier in self._premium for each in call.attempts)
        if made and not call.premium:
            self._take(call, cap)
        elif call.premium and not made:
            call.premium = False
            self._keep(call, cap.given_back())

    @property
    def _premium(self) -> frozenset[str]:
        return PREMIUM if self._settings.premium is None else self._settings.premium.tiers

    def _arrived(self, call: Call, plan: Plan) -> Cap | None:
        """The tenant's cap with this call counted; what the on-device tier answers is no call of a model."""
        cap = self.cap(call.caller.tenant)
        if cap is None or plan.candidates[0].deployment.dialect in self._settings.self_judging:
            return None
        return self._keep(call, cap.arrived())

    def _take(self, call: Call, cap: Cap) -> None:
        call.premium = True
        self._keep(call, cap.taken())

    def _keep(self, call: Call, cap: Cap) -> Cap:
        self._caps[call.caller.tenant] = cap
        self._caps.move_to_end(call.caller.tenant)
        if len(self._caps) > TENANTS_KEPT:
            self._caps.popitem(last=False)
        return cap

    def _dearer(self, route: LearnedRoute, cap: Cap | None) -> int:
        """What the cap adds to the cost of the dearest model."""
        return 0 if cap is None else round(cap.price * route.costs_nano_usd[route.models[-1]])

    def _is_premium(self, plan: Plan, model: str) -> bool:
        return _reach(plan).get(model, model) in self._premium

    async def _looked(self, call: Call, learned: Learned) -> Steered:
        prompt = next((each.text for each in reversed(call.request.messages) if each.role == "user"), "")
        facts = call.request.facts
        # What the caller says, else what the on-device tier understood.
        task = facts.get("task_type") or facts.get("intent")
        vector: Sequence[float] | None = None
        if learned.route.wants_vector and self._parts.prompt_vector is not None:
            try:
                within_s = min(VECTOR_WITHIN_S, call.deadline.left_s(self._parts.clock))
                vector = await asyncio.wait_for(self._parts.prompt_vector(prompt), within_s)
            except TimeoutError:
                call.note(f"learned route without the prompt's vector: not there within {VECTOR_WITHIN_S:g} s")
            except (InterlockError, RuntimeError, OSError, MemoryError) as error:  # a route without it is still a route
                call.note(f"learned route without the prompt's vector: {error}")
        return Steered(learned, task if isinstance(task, str) else "", routes.measures(prompt), vector)


def _reach(plan: Plan) -> dict[str, str]:
    """Tiers and deployments of a plan → their tier."""
    found: dict[str, str] = {}
    for each in (*plan.candidates, *plan.smaller):
        found[each.tier] = found[each.name] = each.tier
    return found


def _usable(route: LearnedRoute, plan: Plan) -> list[str]:
    reach = _reach(plan)
    return [each for each in route.models if each in reach]


def _name_of(route: LearnedRoute, answer: Answer) -> str | None:
    return next((each for each in route.models if each in (answer.tier, answer.deployment)), None)
