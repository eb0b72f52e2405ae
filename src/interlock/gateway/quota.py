"""Rate limits and budgets per key, tenant, user, workflow and model: an upper estimate is reserved when a call begins, and settled when it ends.

Above: begin, settle, attempt. Below: meter, `core.limits`. Limits of this machine are counted here, without a wait or a system
call; those declared `global` are asked for in one round trip through the port `SharedCounts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from interlock.core.caller import Caller
from interlock.core.errors import LimitUnknown, NotPermitted
from interlock.core.keys import Grant
from interlock.core.limits import (
    AMOUNTS,
    INPUT,
    MONEY,
    NOTHING,
    OUTPUT,
    TOKENS,
    Ask,
    Cells,
    Limit,
    SharedCounts,
    Vector,
    identity,
    output_that_fits,
    window_at,
)
from interlock.core.money import TOKENS_PER_RATE
from interlock.core.time import NS_PER_S, Clock

from .meter import AMOUNTS_AT, Meter, NoCells, Span
from .reached import of_shared, reached

WHO_KEPT = 20_000
"""Callers whose counts are at hand; then they are looked up anew."""
METERS_KEPT = 50_000
"""Counts at hand; callers name users, so there must be an end to them. Those that stand in rows are found again."""
IDLE_NS = 120 * NS_PER_S
TRIES = 3
"""How often a reservation is tried that only another process's simultaneous one kept from fitting."""


class Who:
    """One combination of key, tenant, user, workflow and model, with the counts it belongs to."""

    __slots__ = ("meters", "refusal", "shared")

    def __init__(self, refusal: str, meters: tuple[Meter, ...], shared: tuple[tuple[Limit, str], ...]) -> None:
        self.refusal = refusal
        self.meters = meters
        self.shared = shared


class Remote(Struct, frozen=True):
    """What is held at the counts that all replicas share."""

    reservation: str
    asks: tuple[Ask, ...]
    counted: bool
    """False where the store could not be asked; it is told afterwards."""


class Held(Struct, eq=False):
    """What is held back for one call."""

    quotas: Quotas
    who: Who
    amounts: Vector
    spans: Sequence[Span]
    output_cap: int | None = None
    """Output tokens that fit, where that is fewer than were asked for."""
    into: int = 0
    """Input tokens of its tries so far: used, or reserved by those under way; as below."""
    out: int = 0
    cost: int = 0
    remote: Remote | None = None

    def try_begins(self, input_tokens: int, output_tokens: int, nano_usd: int) -> None:
        """Sees to it that what a further try may use is held as well. Raises QuotaReached: it may not be sent."""
        into, out, cost = self.into + input_tokens, self.out + output_tokens, self.cost + nano_usd
        have = self.amounts
        if into > have[INPUT] or out > have[OUTPUT] or cost > have[MONEY]:
            self.quotas.cover(self, into, out, cost)
        self.into, self.out, self.cost = into, out, cost

    def try_ends(self, input_tokens: int, output_tokens: int, nano_usd: int) -> None:
        """A try has used so much more (or, mostly, less) than was reserved for it."""
        self.into += input_tokens
        self.out += output_tokens
        self.cost += nano_usd


class Quotas:
    """The limits of one process's gateway. It belongs to the event loop that uses it."""

    def __init__(
        self,
        limits: Sequence[Limit],
        clock: Clock,
        *,
        cells: Cells | None = None,
        shared: SharedCounts | None = None,
        grant_of: Callable[[str], Grant | None] = lambda _: None,
        lost: str = "",
    ) -> None:
        """`grant_of`: key id → what the key may do and use. `lost`: why the machine's counts could not be opened.

        Without `cells`, this process counts alone and forgets its counts at its end.
        """
        self._limits = tuple(part for limit in limits for part in limit.split())
        self._clock = clock
        self._cells: Cells = cells or NoCells()
        self._shared = shared
        self._grant_of = grant_of
        self._lost = lost
        self._who: dict[tuple[str, str, str, str, str], Who] = {}
        self._meters: dict[tuple[str, str, tuple[int, ...]], Meter] = {}
        """By identity and subject, and by what is counted: a key's limits may say the former twice."""

    # --- a call begins ---

    def permit(self, caller: Caller, model: str) -> None:
        """Raises NotPermitted where the caller's key may not use that model or workflow; nothing is held back."""
        who = self._who.get((caller.key_id, caller.tenant, caller.user, caller.workflow, model))
        if who is None:
            who = self._look_up(caller, model)
        if who.refusal:
            raise NotPermitted(who.refusal, hint="Ask whoever manages the keys.")

    def reserve(
        self, caller: Caller, model: str, input_tokens: int, output_tokens: int, nano_usd: int, rate: int, least: int
    ) -> Held | None:
        """Holds back one request with its upper estimate at the limits of this machine; `None` where nothing limits it.

        `rate`: nano-dollars per million output tokens. Where the output alone is too much, as much as fits is held, at least `least`.

        Raises:
            NotPermitted: its key may not use that model or workflow. QuotaReached: a limit has no room. LimitUnknown.
        """
        who = self._who.get((caller.key_id, caller.tenant, caller.user, caller.workflow, model))
        if who is None:
            who = self._look_up(caller, model)
        if who.refusal:
            raise NotPermitted(who.refusal, hint="Ask whoever manages the keys.")
        if not who.meters and not who.shared:
            return None
        ask = (1, input_tokens, output_tokens, input_tokens + output_tokens, nano_usd, 1)
        now_ns = self._clock.wall_ns()
        if not self._cells.alone:
            return self._squeezed(who, ask, rate, least, now_ns)
        spans: list[Span] = []
        for meter in who.meters:  # as `_take`, spelt out, since every call comes by here
            span = meter.now if now_ns < meter.ends_ns else meter.turn(now_ns)
            values, at, past = span.values, span.at, meter.past
            for place, most in meter.caps:
                if past[place] + values[at + place] + ask[place] > most:
                    return self._squeezed(who, ask, rate, least, now_ns)
            spans.append(span)
        for span in spans:
            values, at = span.values, span.at
            for place in span.places:
                values[at + place] += ask[place]
        return Held(self, who, ask, spans)

    def _squeezed(self, who: Who, ask: Vector, rate: int, least: int, now_ns: int) -> Held:
        """All of it, or as much output as fits where that is enough for an answer."""
        of_input = ask[MONEY] - -(-ask[OUTPUT] * rate // TOKENS_PER_RATE)
        smaller, cap = ask, None
        short: tuple[Meter, int] | None = None
        for _ in range(TRIES):
            short = self._take(who.meters, smaller, now_ns)
            if short is None:
                return Held(self, who, smaller, [each.now for each in who.meters], cap)
            if short[1] not in (OUTPUT, TOKENS, MONEY):
                break
            fits = [output_that_fits(each.left(), ask[INPUT], of_input, rate) for each in who.meters]
            cap = min((each for each in fits if each is not None), default=0)
            if cap < min(least, ask[OUTPUT]):
                break
            smaller = (1, ask[INPUT], cap, ask[INPUT] + cap, of_input + -(-cap * rate // TOKENS_PER_RATE), 1)
        assert short is not None
        raise reached(short[0].standing(short[1], ask[short[1]], now_ns))

    def _take(self, meters: Sequence[Meter], ask: Vector, now_ns: int) -> tuple[Meter, int] | None:
        """Counts `ask` everywhere, or nowhere, and returns the meter and the place that lacks room."""
        alone = self._cells.alone
        short: tuple[Meter, int] | None = None
        for again in range(TRIES):
            for meter in meters:
                if now_ns >= meter.ends_ns:
                    meter.turn(now_ns)
                if meter.lacking(ask, held=False, alone=alone or not again) >= 0:
                    meter.renew(now_ns)
                    if (place := meter.lacking(ask, held=False, alone=alone)) >= 0:
                        return meter, place
            for meter in meters:
                meter.now.add(ask)
            if alone:
                return None
            # Announced first, looked at afterwards: of two processes that ask at once, at least one sees the other.
            short = _first_lacking(meters, ask)
            if short is None:
                return None
            for meter in meters:
                meter.now.add(ask, -1)
        return short

    # --- limits that all replicas share ---

    async def confirm(self, held: Held, hold_s: float) -> None:
        """Asks the shared counts too, in one round trip; to be awaited where `held.who.shared` is not empty.

        Raises:
            QuotaReached, LimitUnknown: nothing is held any more, here or there.
        """
        now_ns = self._clock.wall_ns()
        asks = tuple(Ask(limit, subject, window_at(limit, now_ns), held.amounts) for limit, subject in held.who.shared)
        try:
            if self._shared is None:
                _without_store(asks, "no Redis is named in `redis.url`")
                return
            reservation, answer = await self._shared.reserve(asks, hold_s)
            if answer.lost:
                _without_store(asks, answer.lost)
            elif answer.refused >= 0:
                raise reached(of_shared(asks[answer.refused], answer.used, now_ns))
            held.remote = Remote(reservation, asks, counted=not answer.lost)
        except BaseException:
            self.settle(held, NOTHING)
            raise

    # --- a call goes on, and ends ---

    def cover(self, held: Held, input_tokens: int, output_tokens: int, nano_usd: int) -> None:
        """Sees to it that at least so much is held, before a further try is sent.

        Raises:
            QuotaReached: there is no room for what is missing; what was held before still is.
        """
        have = held.amounts
        more_in = max(0, input_tokens - have[INPUT])
        more_out = max(0, output_tokens - have[OUTPUT])
        more = (0, more_in, more_out, more_in + more_out, max(0, nano_usd - have[MONEY]), 0)
        if not any(more):
            return
        now_ns = self._clock.wall_ns()
        current = [meter for meter in held.who.meters if meter.now in held.spans]
        if short := self._take(current, more, now_ns):
            raise reached(short[0].standing(short[1], more[short[1]], now_ns))
        counted = {meter.now for meter in current}
        for span in held.spans:
            if span not in counted:  # its window is over: nothing more can be refused there
                span.add(more)
        held.amounts = (have[0], *(a + b for a, b in zip(have[1:], more[1:], strict=True)))  # pyright: ignore[reportAttributeAccessIssue]

    def settle(self, held: Held, used: Vector) -> None:
        """Puts what was really used in place of what was held; `used` of a call that never was is `NOTHING`."""
        _add(held.spans, tuple(now - before for now, before in zip(used, held.amounts, strict=True)))
        held.spans = ()
        if held.remote is not None and self._shared is not None:
            self._shared.settle(held.remote.reservation, held.remote.asks, used, counted=held.remote.counted)
            held.remote = None

    def settle_all(self, settled: Sequence[tuple[Held, Vector]]) -> None:
        """The same of several calls: those that are counted at one place are added up first."""
        spans: Sequence[Span] = ()
        changes = NOTHING
        for held, used in settled:
            if held.remote is not None:
                self.settle(held, used)
                continue
            if held.spans != spans:
                _add(spans, changes)
                spans, changes = held.spans, NOTHING
            one, into, out, both, cost, beside = changes
            one_held, into_held, out_held, both_held, cost_held, beside_held = held.amounts
            changes = (
                *(one + used[0] - one_held, into + used[1] - into_held, out + used[2] - out_held),
                *(both + used[3] - both_held, cost + used[4] - cost_held, beside + used[5] - beside_held),
            )
            held.spans = ()
        _add(spans, changes)

    def let_go(self, held: Held) -> None:
        """Nothing is held any more, as if it had never been asked."""
        self.settle(held, NOTHING)

    # --- off the request path ---

    def count_in(self, cells: Cells | None, lost: str = "") -> None:
        """From now on counts stand there, or cannot be had because of `lost`; for before the first call that is limited."""
        self._cells = cells or NoCells()
        self._lost = lost
        self._who.clear()
        self._meters.clear()

    def forget(self) -> None:
        """Looks callers up anew: a key has changed."""
        self._who.clear()

    def tidy(self) -> None:
        """Lets go of counts that nothing needs any more; to be called now and then."""
        now_ns = self._clock.wall_ns()
        for key, meter in tuple(self._meters.items()):
            if meter.used_at_ns + IDLE_NS < now_ns and meter.over(now_ns):
                if meter.running:
                    self._cells.release(meter.now.tag)
                del self._meters[key]
                self._who.clear()

    def standings(self) -> list[tuple[str, str, str, int, int]]:
        """(limit, whose, amount, used or reserved, maximum) of every count that is at hand."""
        return [
            (meter.limit.name, meter.subject.replace("\n", " "), AMOUNTS[place], meter.used(place), most)
            for meter in self._meters.values()
            for place, most in meter.caps
        ]

    # --- inside ---

    def _look_up(self, caller: Caller, model: str) -> Who:
        grant = self._grant_of(caller.key_id) if caller.key_id else None
        limits = self._limits if grant is None else (*self._limits, *grant.limits)
        found = [(limit, subject) for limit in limits if (subject := limit.subject(caller, model)) is not None]
        here = [(limit, subject) for limit, subject in found if limit.scope == "machine"]
        if self._lost and (closed := next((each for each, _ in here if each.on_store_loss == "closed"), None)):
            raise LimitUnknown(closed.name, self._lost)
        who = Who(
            "" if grant is None else grant.refusal(caller.workflow, model),
            tuple(self._meter(limit, subject) for limit, subject in here),
            tuple((limit, subject) for limit, subject in found if limit.scope == "global"),
        )
        if len(self._who) >= WHO_KEPT:
            self._who.clear()
        self._who[caller.key_id, caller.tenant, caller.user, caller.workflow, model] = who
        return who

    def _meter(self, limit: Limit, subject: str) -> Meter:
        now_ns = self._clock.wall_ns()
        key = (identity(limit), subject, tuple(place for place, _ in limit.caps))
        found = self._meters.get(key)
        if len(self._meters) >= METERS_KEPT and found is None:
            self._make_room(limit, now_ns)
        if found is None:
            found = self._meters[key] = Meter(self._cells, limit, subject, now_ns)
        found.limit, found.caps = limit, limit.caps  # of a key whose limits have changed meanwhile
        found.used_at_ns = now_ns
        return found

    def _make_room(self, limit: Limit, now_ns: int) -> None:
        """Lets go of counts that can be found again. Raises LimitUnknown where there are none."""
        unneeded = [key for key, meter in self._meters.items() if _unneeded(meter, now_ns)][: METERS_KEPT // 8]
        for key in unneeded:
            del self._meters[key]
        self._who.clear()
        if not unneeded:
            raise LimitUnknown(limit.name, f"{METERS_KEPT} counts are kept already, and all of them are needed")


def _add(spans: Sequence[Span], changes: Sequence[int]) -> None:
    """Changes counts, by amounts in the order of `AMOUNTS`."""
    for span in spans:
        values, at = span.values, span.at
        if values[at - AMOUNTS_AT] != span.tag:
            continue  # its time is long over, and the row is another's now
        for place in span.places:
            values[at + place] += changes[place]


def _unneeded(meter: Meter, now_ns: int) -> bool:
    """Its counts stand in rows, or count no more."""
    return (meter.now.shared and not meter.running) or meter.over(now_ns)


def _first_lacking(meters: Sequence[Meter], ask: Vector) -> tuple[Meter, int] | None:
    for meter in meters:
        if (place := meter.lacking(ask, held=True, alone=False)) >= 0:
            return meter, place
    return None


def _without_store(asks: Sequence[Ask], why: str) -> None:
    closed = next((each.limit for each in asks if each.limit.on_store_loss == "closed"), None)
    if closed is not None:
        raise LimitUnknown(closed.name, why)
