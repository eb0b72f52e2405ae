"""The three caches of the walk: exact matches, coalescing with an identical call in flight, and semantic matches.

Above: chat, stream, ladder, pump. Below: answerkey, flight, similar. Looking and keeping touch memory alone, but where the known keys say
that the slow store has the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from interlock.core.answers import CacheEntry, Keeping
from interlock.core.time import NS_PER_S

from . import similar
from .answerkey import exact_key, question, unusable, wants_the_same, worth_keeping
from .call import Answer, Call
from .desk import Desk
from .flight import Flight, Left
from .route import Candidate
from .settings import Caching
from .shelf import as_it_came, shelved, taken_down


async def look(desk: Desk, call: Call) -> Answer | None:
    """A fresh answer to the same request, an identical one's under way, or else that to a question that means the same.

    `None`: this call has to be made, and it leads those that ask the same meanwhile; it owes them `keep` or `leave`.

    Raises:
        InterlockError: that of the call it waited for. DeadlineMissed: it waited too long.
    """
    while isinstance(found := await look_along(desk, call), Flight):
        try:
            await found.whole(desk.parts.clock, call.deadline)
        except Left:
            continue
        return coalesced(call, found)
    return found


async def look_along(desk: Desk, call: Call) -> Answer | Flight | None:
    """As `look`, but an identical call under way is handed out as it is: to be waited for, or read along."""
    caching = desk.settings.caching
    if not caching.used:
        return None
    if why_not := unusable(call.request, caching):
        if why_not != "off":
            call.note(f"exact cache not used: {why_not}")
    else:
        call.key = exact_key(call)
        entry = await _entry(desk, call)
        if entry is not None and (now_ns := desk.parts.clock.wall_ns()) < entry.fresh_until_ns:
            answer = _answer(desk, call, entry, now_ns)
            if answer is not None:
                return answer
        if caching.coalesce:
            if (flight := desk.flights.of(call.key)) is not None:
                return flight
            call.flight = desk.flights.lead(call.key)
    asked = question(call) if caching.semantic and desk.parts.semantic is not None else None
    if asked is None:
        return None
    answer = await similar.look(desk, call, asked)
    if answer is not None:
        _land(desk, call, answer, answer.saved_nano_usd)
    return answer


def unseen(desk: Desk, key: bytes) -> bool:
    """As `look`, without a wait: True where nothing that is at hand or under way answers the call. False: `look` has to say."""
    caching, answers = desk.settings.caching, desk.parts.answers
    if caching.exact and answers is not None and not answers.unseen(key):
        return False
    return not caching.coalesce or desk.flights.of(key) is None


async def stale(desk: Desk, call: Call) -> Answer | None:
    """An answer to the same request whose time is over; for the degradation ladder."""
    caching = desk.settings.caching
    if not caching.exact or not call.key:
        return None
    entry = await _entry(desk, call)
    now_ns = desk.parts.clock.wall_ns()
    if entry is None or now_ns > entry.fresh_until_ns + int(caching.stale_s * NS_PER_S):
        return None
    return _answer(desk, call, entry, now_ns)


def keep(desk: Desk, call: Call, answer: Answer) -> None:
    """Hands a whole answer to those who wait for it, and keeps it for the next one who asks. Never waits."""
    caching = desk.settings.caching
    if not (call.key or call.near):
        return
    cost = sum(attempt.cost_nano_usd for attempt in call.attempts)
    if answer.degraded:
        leave(desk, call, Left())
        return
    _land(desk, call, answer, cost)
    if answer.cache:
        return
    if call.key:
        same = wants_the_same(call.request)
        put(desk, call.caller.tenant, call.key, answer, cost, desk.parts.clock.wall_ns(), calls=same)
    if call.near is not None and worth_keeping(answer.response, caching):
        similar.learn(desk, call, call.near, answer, cost)


def put(
    desk: Desk, tenant: str, key: bytes, answer: Answer, cost_nano_usd: int, now_ns: int, *, calls: bool = False
) -> None:
    """Keeps an answer of a model, given at `now_ns`, under its key, where it may serve others; one that calls tools with `calls` only."""
    caching, answers = desk.settings.caching, desk.parts.answers
    if caching.exact and answers is not None and worth_keeping(answer.response, caching, calls=calls):
        answers.put((_kept(caching, tenant, key, shelved(answer, cost_nano_usd), now_ns),))


def put_as_they_came(desk: Desk, tenant: str, at: Candidate, came: Sequence[tuple[bytes, bytes, int, int]]) -> None:
    """The same of plain answers of one deployment that nobody has taken apart: (key, body, nano-dollars, when it came) of each."""
    caching, answers = desk.settings.caching, desk.parts.answers
    if not caching.exact or answers is None or not came:
        return
    fresh_ns, kept_ns = _lifetimes(caching)
    name, tier = at.name, at.tier
    answers.put(
        [
            Keeping(tenant, key, as_it_came(name, tier, cost_nano_usd, body), at_ns, at_ns + fresh_ns, at_ns + kept_ns)
            for key, body, cost_nano_usd, at_ns in came
        ]
    )


def _kept(caching: Caching, tenant: str, key: bytes, value: bytes, now_ns: int) -> Keeping:
    fresh_ns, kept_ns = _lifetimes(caching)
    return Keeping(tenant, key, value, now_ns, now_ns + fresh_ns, now_ns + kept_ns)


def _lifetimes(caching: Caching) -> tuple[int, int]:
    """For how long an answer is fresh, and for how long it is kept."""
    fresh_ns = int(caching.exact_ttl_s * NS_PER_S)
    return fresh_ns, fresh_ns + int(caching.stale_s * NS_PER_S)


def leave(desk: Desk, call: Call, error: BaseException) -> None:
    """The call ends without an answer: those who wait for it hear why, or make it themselves. To be called on every such way out."""
    if call.flight is not None:
        flight, call.flight = call.flight, None
        impatient = call.deadline.passed(desk.parts.clock)  # whatever it looks like, others may have more time
        desk.flights.fail(call.key, flight, Left() if impatient else error)


def coalesced(call: Call, flight: Flight) -> Answer:
    """The answer of the identical call that this one waited for."""
    answer = flight.answer
    assert answer is not None, "a flight that ends without an error has an answer"
    call.note(f"coalesced: an identical call to {answer.deployment} was under way")
    return Answer(
        response=answer.response,
        deployment=answer.deployment,
        tier=answer.tier,
        chunks=answer.chunks,
        cache="coalesced",
        saved_nano_usd=flight.cost_nano_usd,
        confidence=answer.confidence,
    )


def _land(desk: Desk, call: Call, answer: Answer, cost_nano_usd: int) -> None:
    if call.flight is not None:
        flight, call.flight = call.flight, None
        desk.flights.land(call.key, flight, answer, cost_nano_usd)


async def _entry(desk: Desk, call: Call) -> CacheEntry | None:
    answers = desk.parts.answers
    if answers is None or not desk.settings.caching.exact:
        return None
    for key in (call.key, exact_key(call, ())) if call.caller.labels else (call.key,):  # its own label, and below it
        entry = answers.at_hand(key)
        if entry is None and answers.elsewhere(key):
            entry = await answers.fetch(key, call.caller.tenant)
        if entry is not None:
            return entry
    return None


def _answer(desk: Desk, call: Call, entry: CacheEntry, now_ns: int) -> Answer | None:
    """`None` where it cannot be read any more: its deployment is not there as it was."""
    answer = taken_down(entry.value, "exact", desk.read)
    if answer is None:
        return None
    call.note(f"exact cache: answer of {answer.deployment}, {(now_ns - entry.stored_ns) / NS_PER_S:.0f} s old")
    return answer
