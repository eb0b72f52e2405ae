"""Hedged requests: a second try for the slowest calls; whichever answers first wins, the other one is cancelled and accounted for.

Above: attempt. Below: once, health. After Dean and Barroso, "The Tail at Scale" (CACM 2013): the second try is sent only when the first has taken longer than
nearly all do, and for a few calls in a hundred at most, so that it cuts the tail for little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from interlock.core.errors import InterlockError, InvalidRequest, LimitReached, Overtaken, Shed, UpstreamError
from interlock.core.turns import read_in

from .call import Call
from .desk import Desk
from .once import OVERTAKEN, Job, T, ask
from .route import Candidate

LEAST_KNOWN = 20
"""Answers that must have been seen of a deployment before its usual time is known."""
LATE = 1.5
"""Times the usual time: below it a call is not slow, however even the others are, and the budget is kept for those that are."""
CLEARED_S = 1.0
"""A cancelled try is given this long to be counted."""
CLEARED_LOOKS = 30


@runtime_checkable
class Unread(Protocol):
    """An answer that is still to be read, as a stream is; it is counted when it ends."""

    async def discard(self, desk: Desk, call: Call, error: BaseException) -> None: ...


def worth_it(desk: Desk, call: Call, candidates: Sequence[Candidate]) -> bool:
    """Whether there is another candidate of the tier, and the usual time of the first one is known."""
    if (
        len(candidates) < 2
        or candidates[0].tier != candidates[1].tier
        or (call.attempts and call.attempts[-1].status != "ok")
    ):
        return False
    return wait_s(desk, candidates[0]) > 0


def wait_s(desk: Desk, candidate: Candidate) -> float:
    """Seconds after which a call to `candidate` is one of the slow ones; zero where that is not known."""
    times, hedging = desk.health.deployment(candidate.name).times_s, desk.settings.hedging
    if hedging is None or times is None or len(times) < LEAST_KNOWN:
        return 0.0
    known = sorted(times)
    usual, late = known[len(known) // 2], known[min(len(known) - 1, int(len(known) * hedging.quantile))]
    return max(hedging.min_wait_s, late, LATE * usual)


async def race(desk: Desk, call: Call, candidates: Sequence[Candidate], job: Job[T]) -> T:
    """The answer of the first candidate, or of the second where that one comes sooner. Raises as `ask` for the first."""
    main = asyncio.ensure_future(ask(desk, call, candidates[0], job, last=False))
    second: asyncio.Future[T] | None = None
    try:
        patience = asyncio.ensure_future(desk.parts.sleep(wait_s(desk, candidates[0])))
        await asyncio.wait((main, patience), return_when=asyncio.FIRST_COMPLETED)
        patience.cancel()
        hedges = desk.health.hedges
        if not main.done() and hedges is not None and _fit(desk, candidates[1]) and hedges.take():
            call.note(f"{candidates[0].name} is slower than usual: {candidates[1].name} asked too")
            second = asyncio.ensure_future(ask(desk, call, candidates[1], job, last=False))
            await asyncio.wait((main, second), return_when=asyncio.FIRST_COMPLETED)
            if not (main.done() and not main.exception()) and not (second.done() and not second.exception()):
                await asyncio.wait((main, second))
        winner = second if second is not None and _well(second) and not _well(main) else main
        return await _alone(desk, call, winner, main, second)
    except BaseException as error:
        await _clear(desk, call, [each for each in (main, second) if each is not None], error)
        raise


async def _clear(desk: Desk, call: Call, tries: Sequence[asyncio.Future[T]], error: BaseException) -> None:
    """Ends every try; each is counted on its way out, or here where it had an answer that nobody takes, before the call settles."""
    left = [each for each in tries if not each.done()]
    for each in left:
        each.cancel()
    if left:
        await asyncio.wait(left, timeout=CLEARED_S)
        for _ in range(CLEARED_LOOKS):  # where the event loop stood still, they have not had their turns in that time
            if all(each.done() for each in left):
                break
            await read_in()
    for each in tries:
        if _well(each) and isinstance(found := each.result(), Unread):
            await found.discard(desk, call, error)


async def _alone(
    desk: Desk,
    call: Call,
    winner: asyncio.Future[T],
    main: asyncio.Future[T],
    second: asyncio.Future[T] | None,
) -> T:
    """The winner's result, once the other one has been cancelled and counted."""
    loser = main if winner is second else second
    if loser is not None:
        loser.cancel(OVERTAKEN)
        await asyncio.wait((loser,))
        if _well(loser) and isinstance(found := loser.result(), Unread):  # it had its answer at the same moment
            await found.discard(desk, call, Overtaken("another try answered first"))
        if not loser.cancelled() and (failed := loser.exception()) is not None:
            call.note(f"the other try failed: {failed}")
            if not isinstance(failed, (UpstreamError, InvalidRequest, Shed, LimitReached, InterlockError)):
                raise failed
    return await winner


def _well(future: asyncio.Future[T]) -> bool:
    """Also takes note of its error, so that nobody is told of it as lost."""
    return future.done() and not future.cancelled() and future.exception() is None


def _fit(desk: Desk, candidate: Candidate) -> bool:
    """Whether a deployment has room and has shown no fault of late, so that a second try there may help."""
    health = desk.health.deployment(candidate.name)
    now_s = desk.parts.clock.monotonic_s()
    return (
        health.breaker.state == "closed"
        and health.standing.good
        and not health.blocked_s(now_s)
        and health.line.inside < health.line.limit
        and health.ejected_until_s <= now_s
    )
