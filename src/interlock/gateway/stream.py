"""The walk with the relay in its middle.

Above: chat. Below: begin, cache, exchange, ladder, pump, settle. Another model can be asked only until the first piece has gone out; after
that a failure is an error of its own kind, never a silent end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from msgspec import structs

from interlock.core.budget import Budget
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, Chunk
from interlock.core.errors import InterlockError
from interlock.core.ports import ChatReply, Tap
from interlock.core.time import Deadline

from . import cache, fitting, guarded, ladder, settle
from .attempt import first
from .begin import Beginner
from .call import Answer, Call
from .desk import Desk
from .exchange import Exchange, Opened
from .pump import Along, Pump
from .replay import replayed
from .route import Candidate, Plan
from .taken import Taken


async def relay(
    desk: Desk,
    beginner: Beginner,
    exchange: Exchange,
    caller: Caller,
    request: ChatRequest,
    budget: Budget | None,
    deadline: Deadline | None,
    fence: int,
) -> AsyncGenerator[Chunk | ChatReply, Tap | None]:
    """The pieces, then the `ChatReply`; see `Gateway.stream`."""
    call, plan = await beginner.begin(caller, request, budget, deadline, fence)  # route; from here on one event is owed
    taken: Taken | None = None
    pump: Pump | None = None
    try:
        along = Along(desk, call)
        async for chunk in along.pieces():  # a kept answer, or an identical stream under way
            yield chunk
        answer = along.answer
        if answer is None:
            with await desk.gate.enter(call.deadline, desk.parts.clock, call.caller.tenant):  # admit
                found, rung = await _opened(desk, exchange, call, plan)  # attempt, ladder
                if isinstance(found, Answer):
                    answer = structs.replace(found, degraded=rung)
                    for chunk in replayed(answer):
                        yield chunk
                else:
                    taken, flight = Taken(desk, exchange, call, found, rung), call.flight
                    chunk = found.first
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


async def _opened(desk: Desk, exchange: Exchange, call: Call, plan: Plan) -> tuple[Opened | Answer, str]:
    """A stream whose first piece has come, or what the ladder still finds; with the rung."""

    async def ask(candidates: Sequence[Candidate], request: ChatRequest) -> Opened:
        return await first(desk, call, candidates, request, exchange.open)

    try:
        await fitting.fit(desk, exchange, call, plan)
        return await ask(plan.candidates, call.request), ""
    except InterlockError as cause:
        found, rung = await ladder.descend(desk, call, plan, cause, None, ask)
        return found, rung
