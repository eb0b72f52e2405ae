"""One fast-path call, from being sent to being settled, driven by callbacks of the vendor's socket instead of a task.

Above: shortcut. Below: afterwards, bill, cache, forms, hold, once, road, settle. It holds plain facts; the values that the long way works with are made of them
when that has to go on: after a try that failed, for a client that has left, for a vendor that names no usage.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct, structs

from interlock.core.budget import Spend
from interlock.core.chat import ChatRequest
from interlock.core.errors import InvalidRequest, Shed, UpstreamError
from interlock.core.guards import Guards
from interlock.core.limits import vector
from interlock.core.lots import Brief, Form
from interlock.core.money import Price, cost_of
from interlock.core.ports import ChatReply, HttpResponse
from interlock.core.short import Asker, Said, Sending
from interlock.core.time import Deadline

from . import bill, cache, guarded, once, settle
from .call import Answer, Call, Trial, Tried
from .desk import Desk
from .flight import Flight
from .quota import Held
from .road import Road
from .route import Plan
from .shape import Fitted

_log = logging.getLogger("interlock.gateway")
GoOn = Callable[[Call, Plan, Tried], Awaitable[ChatReply]]
"""The long way, from a first try that failed on."""


class Ride(Struct, eq=False):
    """`core.short.Ride`, and the `Reader` of its reply."""

    desk: Desk
    road: Road
    asker: Asker
    go_on: GoOn
    task: str
    call: str
    started_ns: int
    started_s: float
    input_tokens: int
    """Upper estimate, as the two below."""
    output_tokens: int
    cost_nano_usd: int
    price: Price
    key: bytes
    """Of the exact cache; empty where it is not asked."""
    reason: str
    """What the event says beside the plan's reasons."""
    held: Held | None = None
    flight: Flight | None = None
    """Identical calls that wait for this one."""
    slot: int = -1
    form: Form | None = None
    """How its event is written; known once it stands in the journal."""
    weight: int = 0
    """Tokens counted against the vendor's limits, where these are known."""
    crowd: int = 0
    """Calls under way at the deployment when this one was begun, itself among them."""
    sending: Sending | None = None
    """Until it has been answered: each knows the other, and what is let go of here is freed at once, its memory still warm."""
    said: Said | None = None
    brief: Brief | None = None
    """What has been settled, as it stands in the journal."""
    beside: int = 0
    """Calls under way at the deployment when this one ended, itself among them."""

    # --- its answer ---

    def came(self, response: HttpResponse) -> None:
        self.sending = None
        try:
            said = self.said = self.road.wire.read(response)
        except Exception as error:  # noqa: BLE001 - a plug-in's own fault must not pass for ours; `failed` tells them apart
            self.failed(error)
            return
        try:
            self._answer(said)
        except Exception as error:  # noqa: BLE001 - ours: it settles, and whoever asked is told
            if self.brief is not None:
                _log.exception("the answer of %s has settled, and did not reach its caller", self.call)
                return
            self.desk.gate.leave()
            self._settle_failed(self.as_call()[0], error)
            self.asker.refused(error)

    def _answer(self, said: Said) -> None:
        """Settles the call and hands its answer on."""
        usage = said.usage
        if not usage.plain or not (usage.input or usage.output) or self.price.above_input:
            self._answered_otherwise(said)
            return
        if usage.input > self.input_tokens:  # only more input than was estimated can make another price apply
            self._answered_otherwise(said)
            return
        guards = self.desk.parts.guards
        if guards is not None and not (said.plain and guards.passes_answer(said.text)):
            self._answered_otherwise(said)
            return
        road, form = self.road, self.form
        assert form is not None, "it was noted in the journal when it began"
        cost = cost_of(self.price.rates, usage)
        took_us = int((self.desk.parts.clock.monotonic_s() - self.started_s) * 1e6)
        used = usage.input, usage.output, cost
        self.brief = Brief(self.task, self.started_ns, took_us, *used, self.cost_nano_usd)
        road.ledger.note_settled(self.slot, form, self.brief)
        self._leave()
        try:
            self.asker.passed_on(self.call, road.candidate.name, cost, said.body)
        finally:
            self.desk.afterwards.add(self, road.ledger)

    def see_to(self, alike: Sequence[Ride]) -> None:
        """What is left to be done of calls of one form that were answered, this one among them."""
        desk, road = self.desk, self.road
        answers = [(ride, said, brief) for ride in alike if (said := ride.said) and (brief := ride.brief)]
        if desk.parts.quotas is not None:
            desk.parts.quotas.settle_all(
                [
                    (held, vector(1, said.usage.input, said.usage.output, brief.cost_nano_usd))
                    for ride, said, brief in answers
                    if (held := ride.held)
                ]
            )
        _learn(desk, road, answers)
        _keep(desk, road, answers)

    def _answered_otherwise(self, said: Said) -> None:
        """The same as a whole, of an answer whose count, price or words need a closer look."""
        call, trial = self.as_call()
        answer = once.end_answered(self.desk, call, trial, said.response())
        self.desk.gate.leave()
        if self.desk.parts.guards is not None:
            self.asker.spawn(self._guarded(self.desk.parts.guards, call, answer))
            return
        cache.keep(self.desk, call, answer)
        self.asker.answered(settle.answered(self.desk, call, answer))

    async def _guarded(self, guards: Guards, call: Call, answer: Answer) -> None:
        """The same where guards have something to say of the answer; as `chat` does it."""
        try:
            answer = await guarded.leave(guards, call, answer)
        except BaseException as error:
            self._settle_failed(call, error)
            if not isinstance(error, Exception):
                raise
            self.asker.refused(error)
            return
        cache.keep(self.desk, call, answer)
        reply = settle.answered(self.desk, call, answer)
        self.asker.answered(guarded.restored(guards, call, reply))

    def _leave(self) -> None:
        """Its places are free."""
        health = self.road.health
        self.beside = health.line.inside
        health.line.leave()
        self.desk.gate.leave()
        if self.weight:
            health.limits.ended(self.weight)

    # --- it goes another way ---

    def failed(self, error: Exception) -> None:
        self.sending = None
        call, trial = self.as_call()
        if not isinstance(error, (UpstreamError, InvalidRequest, Shed)):
            error = once.plugin_failed(trial, error)
        self.asker.spawn(self._rest(call, Tried(trial, error)))

    async def _rest(self, call: Call, tried: Tried) -> None:
        """The long way, now that the first try has failed."""
        try:
            call.request = self.asker.whole()
            reply = await self.go_on(call, self.road.plan, tried)
        except Exception as refusal:  # noqa: BLE001 - handed to whoever asked; the call has settled
            self.asker.refused(refusal)
            return
        self.asker.answered(reply)

    async def left(self) -> None:
        """The client is gone: hangs up, and settles with what is known; what was on its way already settles as ever."""
        if self.sending is None:
            return  # its end came in the same moment, and has been seen to
        gone = await self.sending.hear_out()
        if gone is None:
            return
        call, trial = self.as_call()
        self.road.health.breaker.abandoned()
        once.end_broken(self.desk, call, trial, gone)
        self.desk.gate.leave()
        self._settle_failed(call, gone)

    def _settle_failed(self, call: Call, error: BaseException) -> None:
        cache.leave(self.desk, call, error)
        settle.failed(self.desk, call, error)

    def let_go(self) -> None:
        """It is not sent: what is held is held no more."""
        if self.held is not None:
            self.held.quotas.let_go(self.held)

    def as_call(self, request: ChatRequest | None = None) -> tuple[Call, Trial]:
        """The call and its try as the long way knows them, which sees what others have left behind."""
        self.desk.afterwards.flush()
        road, clock = self.road, self.desk.parts.clock
        if request is None:
            request = ChatRequest(road.model, (), max_output_tokens=self.output_tokens, tenant=road.caller.tenant)
        caller = structs.replace(road.caller, task=self.task, step=1)
        total_s = self.desk.settings.timeout_s
        deadline = Deadline(self.started_s + total_s, total_s)
        call = Call(
            *(self.call, caller, request, None, deadline, 0, road.workflow, self.input_tokens, clock),
            started_ns=self.started_ns,
            started_s=self.started_s,
            slot=self.slot,
            held=self.held,
            key=self.key,
            flight=self.flight,
            reasons=[*road.plan.reasons, self.reason] if self.reason else list(road.plan.reasons),
        )
        into, out, cost = self.input_tokens, self.output_tokens, self.cost_nano_usd
        ask = Spend(model_calls=1, input_tokens=into, output_tokens=out, cost_nano_usd=cost)
        trial = Trial(
            *(road.candidate, Fitted(request, ask), self.price, f"{self.call}.0", self.started_ns, self.started_s),
            placed=True,
            crowd=self.crowd,
            weight=self.weight,
        )
        call.begin(trial)
        return call, trial


def _learn(desk: Desk, road: Road, answers: Sequence[tuple[Ride, Said, Brief]]) -> None:
    """What these say of their deployment and workflow; as `once.end_answered` does it for one."""
    clock, health = desk.parts.clock, road.health
    ends_s = [ride.started_s + brief.duration_us / 1e6 for ride, _, brief in answers]
    bill.learn_all(health, [(ride.input_tokens, 0, said.text, said.usage) for ride, said, _ in answers])
    health.answered_all(
        [(ride.started_s, end_s, brief.output) for (ride, _, brief), end_s in zip(answers, ends_s, strict=True)]
    )
    for (ride, _, brief), end_s in zip(answers, ends_s, strict=True):
        health.paced(ride.started_s, clock, end_s, brief.output, ride.crowd, ride.beside, stream=False)
    slo_ms = road.workflow.p95_latency_slo_ms
    if slo_ms is not None:
        pace = desk.health.workflow(road.caller.workflow)
        for _, _, brief in answers:
            pace.finished(slow=brief.duration_us > slo_ms * 1000)


def _keep(desk: Desk, road: Road, answers: Sequence[tuple[Ride, Said, Brief]]) -> None:
    """For whoever waits for these very answers, and for the next ones who ask."""
    at, tenant = road.candidate, road.caller.tenant
    came: list[tuple[bytes, bytes, int, int]] = []
    for ride, said, brief in answers:
        if not ride.key:
            continue
        flight, cost, ended_ns = ride.flight, brief.cost_nano_usd, brief.started_ns + brief.duration_us * 1000
        if said.plain and (flight is None or not flight.waiting):
            if flight is not None:
                desk.flights.done(ride.key)
            came.append((ride.key, said.body, cost, ended_ns))
            continue
        answer = Answer(said.response(), at.name, at.tier, at, ride.price.version)
        if flight is not None:
            desk.flights.land(ride.key, flight, answer, cost)
        cache.put(desk, tenant, ride.key, answer, cost, ended_ns)
    cache.put_as_they_came(desk, tenant, at, came)
