"""The walk with the relay in its middle.

Above: chat. Below: begin, cache, exchange, ladder, settle. Another model can be asked only until the first piece has gone out; after
that a failure is an error of its own kind, never a silent end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence

from interlock.core.budget import Budget
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, Chunk, ToolCallDelta
from interlock.core.errors import InterlockError
from interlock.core.ports import ChatReply
from interlock.core.time import Deadline

from . import cache, ladder, settle
from .attempt import first
from .begin import Beginner
from .call import Answer, Call
from .desk import Desk
from .exchange import Exchange, Opened
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
) -> AsyncGenerator[Chunk | ChatReply]:
    """The pieces, then the `ChatReply`; see `Gateway.stream`."""
    call, plan = await beginner.begin(caller, request, budget, deadline, fence)  # route; from here on one event is owed
    taken: Taken | None = None
    try:
        with await desk.gate.enter(call.deadline, desk.parts.clock):  # admit
            answer = await cache.look(desk, call)  # exact
            found, rung = (answer, "") if answer else await _opened(desk, exchange, call, plan)  # attempt, ladder
            if isinstance(found, Answer):
                for chunk in replayed(found):
                    yield chunk
                answer = found
            else:
                taken = Taken(desk, exchange, call, found, rung)
                chunk = found.first
                while chunk is not None:  # relay
                    taken.add(chunk)
                    if not taken.held:
                        yield chunk
                    chunk = await taken.next()
                answer = taken.whole()  # good enough?
                for chunk in taken.held:
                    yield chunk
                await cache.keep(desk, call, answer)
    except BaseException as error:
        if taken is not None:
            await taken.broken(error)
        settle.failed(desk, call, error, taken.response if taken else None)
        raise
    yield settle.answered(desk, call, answer)


async def _opened(desk: Desk, exchange: Exchange, call: Call, plan: Plan) -> tuple[Opened | Answer, str]:
    """A stream whose first piece has come, or what the ladder still finds; with the rung."""

    async def ask(candidates: Sequence[Candidate], request: ChatRequest) -> Opened:
        return await first(desk, call, candidates, request, exchange.open)

    try:
        return await ask(plan.candidates, call.request), ""
    except InterlockError as cause:
        found, rung = await ladder.descend(desk, call, plan, cause, None, ask)
        return found, rung


def replayed(answer: Answer) -> Iterator[Chunk]:
    """A kept answer in pieces: as it was relayed the first time, or in one."""
    if answer.chunks:
        yield from answer.chunks
        return
    response = answer.response
    yield Chunk(
        text=response.text,
        tool_calls=tuple(
            ToolCallDelta(index=place, id=each.id, name=each.name, arguments=each.arguments)
            for place, each in enumerate(response.tool_calls)
        ),
        finish=response.finish,
        usage=response.usage,
        model=response.model,
        id=response.id,
    )
