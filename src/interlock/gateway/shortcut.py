"""The fast path: an ordinary call goes from request to vendor without a task, a future or a timer of its own.

Above: chat, which owns it. Below: cache, road, ride, shape, tokens. The long way stands in `chat`; whatever is not ordinary (a hit, a limit that is reached, a
queue, an open circuit) is left to it before anything has been done, so that there is one place for each rule.
"""

from __future__ import annotations

from collections.abc import Sequence

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, Words
from interlock.core.errors import InterlockError
from interlock.core.events import lone_ids
from interlock.core.lots import Opened
from interlock.core.money import Price
from interlock.core.short import Asker, Listener
from interlock.core.time import Deadline

from . import cache, shape, tokens
from .answerkey import digest
from .desk import Desk
from .exchange import Exchange
from .flow import Flow
from .forms import Unfit
from .ride import GoOn, Ride
from .road import Road, reason_of, road

ROADS_KEPT = 10_000


class Shortcut:
    """`core.short.Shortcut`."""

    __slots__ = ("_desk", "_exchange", "_go_on", "_roads")

    def __init__(self, desk: Desk, exchange: Exchange, go_on: GoOn) -> None:
        """`go_on`: the long way from a first try that failed."""
        self._desk = desk
        self._exchange = exchange
        self._go_on = go_on
        self._roads: dict[tuple[Caller, str, str], Road | None] = {}

    def take(self, caller: Caller, request: ChatRequest, messages: Sequence[Words], asker: Asker) -> Ride | None:
        ride = self._begun(caller, request, messages, asker)
        if ride is not None:
            ride.sending = ride.road.wire.send(request, f"{ride.call}.0", self._deadline(ride), ride)
        return ride

    def stream(
        self, caller: Caller, request: ChatRequest, messages: Sequence[Words], listener: Listener
    ) -> Flow | None:
        guards = self._desk.parts.guards
        if guards is not None and (guards.holds_answers or guards.holds_words):
            return None
        ride = self._begun(caller, request, messages, listener)
        return None if ride is None else Flow(self._desk, self._exchange, ride, request, listener)

    def _begun(self, caller: Caller, request: ChatRequest, messages: Sequence[Words], asker: Asker) -> Ride | None:
        """The call, about to be sent; `None`, and nothing done, where it is not an ordinary one."""
        desk, way = self._desk, self._road(caller, request)
        parts = desk.parts
        now_s = parts.clock.monotonic_s()
        if way is None or not parts.ledger.has_room() or not way.clear(desk, now_s):
            return None
        if parts.guards is not None and not parts.guards.passes(messages):
            return None
        ride = self._ride(way, request, tokens.of_words(messages), asker, now_s)
        if ride is None or not self._held(ride):
            return None
        try:
            form = ride.form = way.form(ride.price, ride.reason, streamed=request.stream)
            estimate = ride.input_tokens, ride.output_tokens, ride.cost_nano_usd
            ride.slot = way.ledger.note_open(form, Opened(ride.task, ride.started_ns, *estimate))
        except (Unfit, InterlockError):
            ride.let_go()
            return None
        self._enter(ride)
        return ride

    def _deadline(self, ride: Ride) -> Deadline:
        """Of a whole answer."""
        allowed_s = min(ride.road.timeout_s, self._desk.settings.timeout_s)
        return Deadline(ride.started_s + allowed_s, allowed_s)

    def _road(self, caller: Caller, request: ChatRequest) -> Road | None:
        key = (caller, request.model, request.raw_dialect)
        known = self._roads.get(key)
        if known is None or not known.holds(self._desk):
            if known is None and key in self._roads:
                return None
            if len(self._roads) >= ROADS_KEPT:
                self._roads.clear()
            known = self._roads[key] = road(self._desk, caller, request)
        return known

    def _ride(self, way: Road, request: ChatRequest, into: int, asker: Asker, now_s: float) -> Ride | None:
        """The call, of which nobody knows yet; `None` where it is not an ordinary one."""
        desk = self._desk
        parts = desk.parts
        out = request.max_output_tokens or way.profile.max_output
        cached, reason = reason_of(desk, request)
        key = digest(way.begun, request.raw) if cached else b""
        if not way.fits(into, out) or (cached and not cache.unseen(desk, key)):
            return None
        started_ns = parts.clock.wall_ns()
        price = way.lane.price(into, started_ns)
        task, call = lone_ids(parts.ids.new("tsk"))
        return Ride(
            desk=desk,
            road=way,
            asker=asker,
            go_on=self._go_on,
            task=task,
            call=call,
            started_ns=started_ns,
            started_s=now_s,
            input_tokens=into,
            output_tokens=out,
            cost_nano_usd=shape.upper_cost(price, into, out),
            price=price,
            key=key,
            reason=reason,
        )

    def _held(self, ride: Ride) -> bool:
        """Room at the vendor's limits, and the upper estimate held back at ours; False, and nothing held, where there is not."""
        limits, quotas = ride.road.health.limits, self._desk.parts.quotas
        if limits.known:
            ride.weight = ride.road.health.weight(ride.input_tokens, ride.output_tokens)
            if limits.wait_s(ride.weight, ride.started_s):
                return False
        if quotas is None:
            return True
        try:
            caller, model, least = ride.road.caller, ride.road.model, self._desk.settings.min_output_tokens
            estimate = ride.input_tokens, ride.output_tokens, ride.cost_nano_usd
            held = quotas.reserve(caller, model, *estimate, _dearest(ride.price), least)
        except InterlockError:
            return False
        if held is not None and (held.who.shared or held.output_cap is not None):
            quotas.let_go(held)
            return False
        ride.held = held
        return True

    def _enter(self, ride: Ride) -> None:
        """A place in the house and at the deployment, which `Road.clear` has seen to be free; identical calls wait for this one."""
        desk, health = self._desk, ride.road.health
        desk.gate.inside += 1
        health.line.inside += 1
        ride.crowd = health.line.inside
        desk.health.extras.called()
        if ride.weight:
            health.limits.sent(ride.weight, ride.started_s)
        if ride.key and desk.settings.caching.coalesce:
            ride.flight = desk.flights.lead(ride.key)


def _dearest(price: Price) -> int:
    return max(price.rates.output, price.rates.reasoning)
