"""The first steps of a call: its route, its entry in the journal of open calls, its reservation at rate limits and budgets; all before anything is sent.

Above: chat, stream. Below: call, desk, guarded, settle, shape, tokens.
"""

from __future__ import annotations

from msgspec import structs

from interlock.core.budget import Budget
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest
from interlock.core.errors import InvalidRequest, RequestRefused, UpstreamAuth
from interlock.core.events import Settled
from interlock.core.ids import traceparent
from interlock.core.money import Usage
from interlock.core.time import Deadline

from . import guarded, route, settle, shape, tokens
from .call import Call
from .desk import Desk
from .hold import hold
from .route import Plan


class Beginner:
    """Makes calls."""

    __slots__ = ("_desk", "_last_step")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._last_step = 0

    async def begin(
        self, caller: Caller, request: ChatRequest, budget: Budget | None, deadline: Deadline | None, fence: int
    ) -> tuple[Call, Plan]:
        """A call that the ledger knows of, and its plan.

        Raises:
            LedgerFull: it cannot be accounted for, so it is not made. UnknownModel, UpstreamAuth: it has nowhere to go; settled.
            NotPermitted, QuotaReached, LimitUnknown: its key or a limit has no room for it; settled.
        """
        desk = self._desk
        desk.afterwards.flush()
        call = self.call(caller, request, budget, deadline, fence, tokens.of_request(request))
        refusal: Exception | None = None
        plan: Plan | None = None
        try:
            if desk.parts.guards is not None:
                guarded.enter(desk.parts.guards, call)
            plan = self._plan(call)
            if call.workflow.learned is not None or desk.settings.premium is not None:
                plan = await desk.steering.start(call, plan)
        except (RequestRefused, UpstreamAuth) as error:
            refusal = error
        await desk.parts.ledger.ready(call.deadline)
        crashed = self._if_crashed(call, plan)
        call.slot = desk.parts.ledger.open(crashed)
        if plan is None:
            assert refusal is not None
            settle.failed(desk, call, refusal)
            raise refusal
        if desk.parts.quotas is not None:
            try:
                await hold(desk, call, plan, crashed.usage, crashed.cost_nano_usd)
            except BaseException as error:
                settle.failed(desk, call, error)
                raise
        if desk.parts.guards is not None:
            try:
                await guarded.admit(desk.parts.guards, call)
            except BaseException as error:
                settle.failed(desk, call, error)
                raise
        return call, plan

    def call(
        self,
        caller: Caller,
        request: ChatRequest,
        budget: Budget | None,
        deadline: Deadline | None,
        fence: int,
        input_tokens: int,
    ) -> Call:
        """A call of which nobody knows yet. `input_tokens`: the upper estimate."""
        parts, settings = self._desk.parts, self._desk.settings
        workflow = settings.workflow(caller.workflow)
        now_s = parts.clock.monotonic_s()
        ends_s: float | None = None
        lone = caller.step == 0
        if budget is None and lone:
            budget, ends_s = self._desk.budgets.of(caller, workflow.limits, now_s)
        if not request.model:
            request = request.but(model=settings.default_model)
        if request.tenant != caller.tenant:
            request = structs.replace(request, tenant=caller.tenant)
        deadline = deadline or Deadline(at_s=now_s + settings.timeout_s, total_s=settings.timeout_s)
        if ends_s is not None and ends_s < deadline.at_s:
            deadline = Deadline(at_s=ends_s, total_s=max(0.0, ends_s - now_s))
        placed = self._placed(caller) if lone else caller
        if lone and caller.trace:
            request = structs.replace(request, traceparent=traceparent(placed.task, placed.step, caller.trace))
        return Call(
            request.call or (parts.ids.new("cal") if caller.task else "cal" + placed.task[3:]),
            placed,
            request,
            budget,
            deadline,
            fence,
            workflow,
            input_tokens,
            parts.clock,
            parts.clock.wall_ns(),
            now_s,
            lone=lone,
        )

    def _placed(self, caller: Caller) -> Caller:
        """The caller with a place in the log: a task of its own, or the next free step of the task it names.

        The steps of a task that somebody else keeps are numbered by the microsecond, so that a restart repeats none.
        """
        if not caller.task:
            task = self._desk.parts.ids.new("tsk")
            return Caller(
                caller.tenant,
                caller.user,
                caller.key_id,
                caller.workflow,
                task,
                1,
                caller.versions,
                caller.trace,
                caller.labels,
            )
        self._last_step = max(self._last_step + 1, self._desk.parts.clock.wall_ns() // 1000)
        return structs.replace(caller, step=self._last_step)

    def _plan(self, call: Call) -> Plan:
        cap = call.request.max_output_tokens
        if cap is not None and cap < 1:
            raise InvalidRequest(f"an output cap of {cap} tokens", param="max_output_tokens", hint="Give at least 1.")
        if call.request.n > 1 and call.request.stream and call.request.output_schema is not None:
            raise InvalidRequest(
                "several streamed answers cannot be checked against a schema", param="n", hint="Do not stream."
            )
        router, settings = self._desk.router, self._desk.settings
        if self._desk.parts.bounds_of is not None:
            call.bounds = self._desk.parts.bounds_of(call.caller)
        plan = router.plan(call.request.model, "", call.bounds)
        ruled = settings.rules and plan.candidates[0].deployment.dialect not in settings.self_judging
        call.held_before = route.holding(settings.rules, call.facts()) if ruled else ()
        if call.held_before:
            rule = settings.rules[call.held_before[0]]
            plan = router.plan(call.request.model, rule.target, call.bounds)
            call.target = rule.target
            call.note(f"rule: {rule.condition.explain(call.facts())} → {rule.target}")
        call.reasons.extend(plan.reasons)
        return plan

    def _if_crashed(self, call: Call, plan: Plan | None) -> Settled:
        """With the upper estimate of one try at the first candidate."""
        if plan is None:
            return settle.if_crashed(call)
        candidate = plan.candidates[0]
        lane = self._desk.lane(candidate)
        price = shape.at_worst(lane.price(call.input_tokens, call.started_ns), call.request)
        output = call.request.max_output_tokens or lane.profile.max_output
        output *= call.request.n
        return settle.if_crashed(
            call,
            Usage(input=call.input_tokens, output=output),
            shape.upper_cost(price, call.input_tokens, output),
            price.version,
            simulated=candidate.deployment.simulated,
        )
