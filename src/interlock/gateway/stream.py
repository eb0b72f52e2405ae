"""The walk of a streamed call: the same steps as `chat`, with the relay of the stream in their middle.

Above: chat, flow. Below: cache, exchange, ladder, once, pump, settle. Another model can be asked only until the first piece has gone out; after
that a failure is an error of its own kind, never a silent end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from msgspec import Struct, structs

from interlock.core.chat import ChatRequest, Chunk
from interlock.core.errors import InterlockError, InvalidRequest, Shed, UpstreamError
from interlock.core.ports import ChatReply, Tap

from . import cache, fitting, guarded, ladder, once, settle
from .attempt import after, first
from .call import Answer, Call, Trial, Tried
from .desk import Desk
from .exchange import Exchange, Opened
from .pump import Along, Pump
from .replay import replayed
from .route import Candidate, Plan
from .taken import Taken

Begin = Callable[[], Awaitable[tuple[Call, Plan]]]


class Begun(Struct, frozen=True):
    """A stream that its vendor was asked for the short way, and that needs the long one: before its first piece, or in its middle."""

    call: Call
    plan: Plan
    trial: Trial
    pieces: AsyncGenerator[Chunk, Tap | None]
    """That have not been relayed."""
    taken: Taken | None
    """`None` before the first."""

    async def begin(self) -> tuple[Call, Plan]:
        return self.call, self.plan


async def relay(
    desk: Desk, exchange: Exchange, begin: Begin, begun: Begun | None = None
) -> AsyncGenerator[Chunk | ChatReply, Tap | None]:
    """The pieces, then the `ChatReply`; see `Gateway.stream`. `begun`: what is left of one; it has its place in the house already."""
    call, plan = await begin()  # route; from here on one event is owed
    taken: Taken | None = begun.taken if begun is not None else None
    pump: Pump | None = None
    try:
        answer: Answer | None = None
        if begun is None:
            along = Along(desk, call)
            async for chunk in along.pieces():  # a kept answer, or an identical stream under way
                yield chunk
            answer = along.answer
        if answer is None:
            clock, tenant = desk.parts.clock, call.caller.tenant
            with desk.gate.place if begun is not None else await desk.gate.enter(call.deadline, clock, tenant):  # admit
                found, rung = (
                    (taken, "") if taken else await _opened(desk, exchange, call, plan, begun)
                )  # attempt, ladder
                if isinstance(found, Answer):
                    answer = structs.replace(found, degraded=rung)
                    for chunk in replayed(answer):
                        yield chunk
                else:
                    flight = call.flight
                    if isinstance(found, Taken):
                        taken, chunk = found, await found.next()
                    else:
                        taken, chunk = Taken(desk, exchange, call, found, rung), found.first
                    while chunk is not None:  # relay
                        taken.add(chunk)
                        tap: Tap | None = None
                        if not taken.held:
                            if flight is not None:
                                flight.add(chunk)
                            tap = yield chunk
                        if flight is not None and flight.waiting:  # others read along
                            pump = Pump(desk, call, taken, flight)
                            async for chunk in pump.rest():
                                yield chunk
                            break
                        chunk = await taken.next(tap)
                    answer = pump.whole() if pump is not None else taken.whole()  # good enough?
                    for chunk in taken.held:
                        yield chunk
                if desk.parts.guards is not None and pump is None:
                    answer = await guarded.leave(desk.parts.guards, call, answer)
                cache.keep(desk, call, answer)
    except BaseException as error:
        if pump is not None and await pump.left(error):
            raise  # it goes on for others, and settles when it ends
        cache.leave(desk, call, error)
        try:
            if taken is not None:
                await taken.broken(error)
        finally:  # whatever becomes of the vendor's end, the call settles
            settle.failed(desk, call, error, taken.response if taken else None)
        raise
    yield settle.answered(desk, call, answer)


async def _opened(
    desk: Desk, exchange: Exchange, call: Call, plan: Plan, begun: Begun | None
) -> tuple[Opened | Answer, str]:
    """A stream whose first piece has come, or what the ladder still finds; with the rung."""

    async def ask(candidates: Sequence[Candidate], request: ChatRequest) -> Opened:
        return await first(desk, call, candidates, request, exchange.open)

    try:
        if begun is not None:
            return await _awaited(desk, exchange, call, plan, begun), ""
        await fitting.fit(desk, exchange, call, plan)
        return await ask(plan.candidates, call.request), ""
    except InterlockError as cause:
        found, rung = await ladder.descend(desk, call, plan, cause, None, ask)
        return found, rung


async def _awaited(desk: Desk, exchange: Exchange, call: Call, plan: Plan, begun: Begun) -> Opened:
    """The stream that was asked for, once its first piece is here, or another candidate's where it fails."""
    trial, clock = begun.trial, desk.parts.clock
    left_s = trial.started_s + trial.candidate.deployment.timeout_s - clock.monotonic_s()

    async def come(call: Call, trial: Trial, *_: object) -> Opened:
        return await exchange.opened(call, trial, begun.pieces)

    try:
        return await once.within(desk, call, trial, come, call.deadline.sooner(clock, left_s))
    except (UpstreamError, InvalidRequest, Shed) as error:
        failed = Tried(trial, error)
    except BaseException as error:
        desk.health.deployment(trial.candidate.name).breaker.abandoned()
        once.end_broken(desk, call, trial, error)
        raise
    return await after(desk, call, plan.candidates, call.request, exchange.open, failed)
