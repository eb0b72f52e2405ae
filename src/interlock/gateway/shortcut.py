"""The short way of the walk: an ordinary call, from its request to the vendor without a task, a future or a timer of its own.

Above: chat, which owns it. Below: road, ride, and the steps of the long way, which are the same functions. The long way stands in `chat`; whatever is not
ordinary (a hit, a limit that is reached, a queue, an open circuit) is left to it before anything has been done, so that there is one place for each rule.
"""

from __future__ import annotations

from collections.abc import Sequence

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest
from interlock.core.errors import InterlockError
from interlock.core.events import Settled
from interlock.core.money import Usage
from interlock.core.short import Asker

from . import cache, settle, shape, tokens
from .begin import Beginner
from .call import Call, Trial
from .desk import Desk
from .quota import Held
from .ride import GoOn, Ride
from .road import Road, road

ROADS_KEPT = 10_000


class Shortcut:
    """`core.short.Shortcut`."""

    __slots__ = ("_beginner", "_desk", "_go_on", "_roads")

    def __init__(self, desk: Desk, beginner: Beginner, go_on: GoOn) -> None:
        """`go_on`: the long way from a first try that failed."""
        self._desk = desk
        self._beginner = beginner
        self._go_on = go_on
        self._roads: dict[tuple[Caller, str, str], Road | None] = {}

    def take(self, caller: Caller, request: ChatRequest, texts: Sequence[str], asker: Asker) -> Ride | None:
        desk = self._desk
        way = self._road(caller, request)
        ledger = desk.parts.ledger
        if way is None or not ledger.has_room() or not way.clear(desk, desk.parts.clock.monotonic_s()):
            return None
        call = self._beginner.call(caller, request, None, None, 0, tokens.of_texts(texts))
        call.reasons.extend(way.plan.reasons)
        trial = self._fitted(way, call)
        if trial is None or not cache.unseen(desk, call):
            return None
        if not self._held(call, trial):
            return None
        call.slot = ledger.open(_if_crashed(call, trial))
        cache.lead(desk, call)
        self._enter(way, trial)
        ride = Ride(desk, way, call, trial, asker, self._go_on)
        ride.sending = way.wire.send(call.request, trial.key, call.deadline.sooner(call.clock, way.timeout_s), ride)
        return ride

    def _road(self, caller: Caller, request: ChatRequest) -> Road | None:
        key = (caller, request.model, request.raw_dialect)
        known = self._roads.get(key)
        if known is None or not known.holds(self._desk):
            if known is None and key in self._roads:
                return None
            if len(self._roads) >= ROADS_KEPT:
                self._roads.clear()
            known = self._roads[key] = road(self._desk, caller, request.model, request.raw_dialect)
        return known

    def _fitted(self, way: Road, call: Call) -> Trial | None:
        """The try, as it fits without a change to the request; `None` where it does not."""
        settings, request = self._desk.settings, call.request
        price = way.lane.price(call.input_tokens, call.started_ns)
        try:
            fitted = shape.fit(request, call.input_tokens, call.budget, price, way.profile, settings.min_output_tokens)
        except InterlockError:
            return None
        if fitted.request is not request or fitted.ask.output_tokens != _wanted(way, request):
            return None
        trial = Trial(way.candidate, fitted, price, f"{call.id}.0", call.started_ns, call.started_s)
        limits = way.health.limits
        if limits.known:
            trial.weight = way.health.weight(fitted.ask)
            if limits.wait_s(trial.weight, call.started_s):
                return None
        return trial

    def _held(self, call: Call, trial: Trial) -> bool:
        """Holds back what the try may use, everywhere; False, and nothing held, where any of it is not to be had just so."""
        quotas, ask = self._desk.parts.quotas, trial.fitted.ask
        held: Held | None = None
        try:
            if quotas is not None:
                rates = trial.price.rates
                rate, least = max(rates.output, rates.reasoning), self._desk.settings.min_output_tokens
                into, out, cost = ask.input_tokens, ask.output_tokens, ask.cost_nano_usd
                held = quotas.reserve(call.caller, call.request.model, into, out, cost, rate, least)
                if held is not None and (held.who.shared or held.output_cap is not None):
                    quotas.let_go(held)
                    return False
            call.held = held
            call.begin(trial)
        except InterlockError:
            if quotas is not None and held is not None:
                quotas.let_go(held)
            return False
        return True

    def _enter(self, way: Road, trial: Trial) -> None:
        """A place in the house and at the deployment, which `Road.clear` has seen to be free."""
        desk, health = self._desk, way.health
        desk.gate.inside += 1
        health.line.inside += 1
        trial.crowd, trial.placed = health.line.inside, True
        desk.health.extras.called()
        if trial.weight:
            health.limits.sent(trial.weight, trial.started_s)


def _if_crashed(call: Call, trial: Trial) -> Settled:
    ask, simulated = trial.fitted.ask, trial.candidate.deployment.simulated
    upper = Usage(input=ask.input_tokens, output=ask.output_tokens)
    return settle.if_crashed(call, upper, ask.cost_nano_usd, trial.price.version, simulated=simulated)


def _wanted(way: Road, request: ChatRequest) -> int:
    return request.max_output_tokens or way.profile.max_output
