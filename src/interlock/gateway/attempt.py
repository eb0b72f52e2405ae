"""Retries and fallbacks: each candidate of a tier is tried once, then those worth a retry again, then the next tier.

Above: climb, ladder, stream. Below: balance, hedge, once, outlier, retry. The usual call ends in `first` after one try; `Search` is what begins when
that failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Generic

from interlock.core.chat import ChatRequest
from interlock.core.errors import (
    CircuitOpen,
    DeadlineMissed,
    Exhausted,
    InterlockError,
    InvalidRequest,
    LimitReached,
    RateLimited,
    Shed,
    UpstreamError,
)

from . import hedge, outlier, places, retry, tokens
from .call import Call, Tried
from .desk import Desk
from .once import Job, Send, T, ask, count, end_answered, end_broken
from .route import Candidate

__all__ = ["Send", "after", "end_answered", "end_broken", "first"]

PASSABLE = (UpstreamError, InvalidRequest, Shed, LimitReached)
"""After these somebody else may be asked; `Search` decides."""


async def first(desk: Desk, call: Call, candidates: Sequence[Candidate], request: ChatRequest, send: Send[T]) -> T:
    """What the first candidate that answers yields.

    Raises:
        LimitReached: the budget has no room for any of them. UpstreamRejected: the vendor finds the request at fault.
        RateLimited, Shed, CircuitOpen: nobody has room now. Exhausted: several failed. The one error, when there was one candidate.
        DeadlineMissed.
    """
    input_tokens = call.input_tokens if request is call.request else tokens.of_request(request)
    if call.deadline.passed(desk.parts.clock):
        raise _missed(call, ())
    if desk.settings.balance or desk.health.out:
        candidates = places.placed(desk, call, candidates, input_tokens)
    job = Job(request, input_tokens, f"{call.id}.{len(call.attempts)}", send)
    if desk.settings.hedging is not None and hedge.worth_it(desk, call, candidates):
        trying = hedge.race(desk, call, candidates, job)
    else:
        trying = ask(desk, call, candidates[0], job, len(candidates) == 1)
    try:
        return await trying
    except PASSABLE as error:
        failed = error
    return await Search(desk, call, candidates, job).after(failed)


async def after(
    desk: Desk, call: Call, candidates: Sequence[Candidate], request: ChatRequest, send: Send[T], tried: Tried
) -> T:
    """As `first`, of a call whose first try was sent the short way and has failed."""
    count(desk, call, tried.trial, tried.error)
    job = Job(request, call.input_tokens, tried.trial.key, send)
    return await Search(desk, call, candidates, job).after(tried.error)


class Search(Generic[T]):
    """Who is asked after the first try has failed."""

    __slots__ = ("_call", "_candidates", "_desk", "_errors", "_job", "_later", "_tries")

    def __init__(self, desk: Desk, call: Call, candidates: Sequence[Candidate], job: Job[T]) -> None:
        self._desk, self._call, self._candidates, self._job = desk, call, candidates, job
        self._errors: dict[str, InterlockError] = {}
        """What each failed with."""
        self._tries: dict[str, int] = {}
        self._later: list[tuple[float, int, Candidate]] = []
        """(when, place, who) of those of the tier that may be asked again."""

    async def after(self, failed: InterlockError) -> T:
        """The answer of whoever has one. Raises as `first`."""
        self._take_in(self._candidates[0], 0, failed)
        candidates = self._candidates
        for place, candidate in enumerate(candidates[1:], 1):
            if candidate.tier != candidates[place - 1].tier:
                found = await self._again()
                if found is not None:
                    return found
            found = await self._try(candidate, place)
            if found is not None:
                return found
        found = await self._again()
        if found is not None:
            return found
        if self._call.deadline.passed(self._desk.parts.clock):
            raise _missed(self._call, tuple(self._errors.values()))
        raise _summed_up(tuple(self._errors.values()))

    async def _again(self) -> T | None:
        """Those of the tier that may yet answer, each when its time has come."""
        parts = self._desk.parts
        while self._later:
            turn = min(self._later, key=lambda each: each[:2])
            self._later.remove(turn)
            due_s, place, candidate = turn
            wait_s = due_s - parts.clock.monotonic_s()
            if wait_s > 0:
                await parts.sleep(wait_s)
            found = await self._try(candidate, place)
            if found is not None:
                return found
        return None

    async def _try(self, candidate: Candidate, place: int) -> T | None:
        """One try; `None` where it failed and somebody else may be asked. Not for a client that left while the try before was heard out."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        if self._call.deadline.passed(self._desk.parts.clock):
            raise _missed(self._call, tuple(self._errors.values()))
        last = place == len(self._candidates) - 1 and not self._later
        try:
            return await ask(self._desk, self._call, candidate, self._job, last)
        except PASSABLE as error:
            self._take_in(candidate, place, error)
            return None

    def _take_in(self, candidate: Candidate, place: int, error: InterlockError) -> None:
        """Notes why a candidate failed, and when it may be asked again. Raises what nobody else can do better at."""
        if isinstance(error, LimitReached):
            self._call.note(f"{candidate.name} not asked: {error.message}")
        if retry.final(error):
            raise error
        name = candidate.name
        if not (isinstance(error, CircuitOpen) and name in self._errors):  # what it failed with says more
            self._errors[name] = error
        if isinstance(error, (LimitReached, CircuitOpen)):
            return
        desk, now_s = self._desk, self._desk.parts.clock.monotonic_s()
        health = desk.health.deployment(name)
        self._eject_if_odd(candidate, now_s)
        tries = self._tries[name] = self._tries.get(name, 0) + 1
        in_hand = health.retries if health.standing.good or desk.health.extras.ready(now_s) else 0.0
        settings, parts = desk.settings, desk.parts
        decision = retry.decide(
            error, tries, self._call.deadline.left_s(parts.clock), in_hand, settings.retrying, parts.rng
        )
        if isinstance(decision, retry.NoMore):
            self._call.note(f"{name} given up: {decision.reason}")
            return
        health.take_retry()
        self._call.note(f"{name} again in {decision.wait_s:.2f} s after {error.code}")
        self._later.append((now_s + decision.wait_s, place, candidate))

    def _eject_if_odd(self, candidate: Candidate, now_s: float) -> None:
        """Leaves a deployment out for a while that does much worse than the others of its tier."""
        peers = [each for each in self._candidates if each.tier == candidate.tier and each is not candidate]
        health = self._desk.health
        one = health.deployment(candidate.name)
        if not peers or one.ejected_until_s > now_s:
            return
        ejecting = self._desk.settings.ejecting
        why = outlier.judge(
            places.seen(one, now_s), [places.seen(health.deployment(p.name), now_s) for p in peers], ejecting
        )
        if why:
            one.ejected_until_s = now_s + outlier.out_for_s(one.ejections, ejecting)
            one.ejections += 1
            health.out.add(candidate.name)
            self._call.note(f"{candidate.name} left out until its peers fail too: {why}")


def _summed_up(errors: Sequence[InterlockError]) -> InterlockError:
    """One error for several: what all have in common, where they do, since it says best what the caller can do."""
    if len(errors) == 1 or all(isinstance(each, LimitReached) for each in errors):
        return errors[0]
    waits = [each for each in errors if isinstance(each, (RateLimited, Shed))]
    if len(waits) == len(errors):
        return min(waits, key=lambda each: each.retry_after_s or 0.0)
    return Exhausted(errors)


def _missed(call: Call, errors: Sequence[InterlockError]) -> DeadlineMissed:
    last = f" Last: {errors[-1].message}" if errors else ""
    return DeadlineMissed(
        f"the call's deadline of {call.deadline.total_s:g} s passed after {len(call.attempts)} tries.{last}"
    )
