"""Following one task: its records as they are written, and what its models write while they write.

Above: `taskdesk`, compose. Below: `following`, `listening`, the agents' followers. A word may run ahead of the records (its step is then not told as begun yet), and never
behind: once a call's `settled` was told, no piece of that call is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import nullcontext

from interlock.agents.service import Agents
from interlock.core.caller import Caller
from interlock.core.live import Live
from interlock.ledger.read import Trace

from .following import Came, Place, news
from .listening import Unread

Told = Came | Live
"""One record, or a word of what is being written."""
POLL_S = 0.3
LONGEST_STREAM_S = 3_600.0


class Follow:
    """For any number of readers."""

    def __init__(self, agents: Agents, trace: Callable[[Caller, str], Awaitable[Trace]]) -> None:
        """`trace` finds what is recorded of a task of the caller's tenant. Raises UnknownTask."""
        self._agents, self._trace = agents, trace

    async def task(self, caller: Caller, task: str, place: Place, *, text: bool) -> AsyncGenerator[Told | None]:
        """As `TaskDesk.events`."""
        unread, settled = Unread(), frozenset[int]()
        seen, look_s, loop = -1, 0.0, asyncio.get_running_loop()
        followers = self._agents.followers if text else None
        with nullcontext() if followers is None else followers.hearing(task, unread.hear):
            async with asyncio.timeout(LONGEST_STREAM_S):
                while True:
                    if loop.time() >= look_s:
                        look_s = loop.time() + POLL_S
                        row = await self._agents.row(task)
                        if row is None or row.events != seen:  # a look at the row is all that an idle stream costs
                            trace = await self._trace(caller, task)
                            written = unread.take()
                            before, settled = settled, _settled(trace)
                            for each in _in_order(written, news(trace.steps, place), before, settled):
                                place = each.place if isinstance(each, Came) else place
                                yield each
                            seen = row.events if row else -1
                            if trace.task.status == "finished":
                                return
                    written = [piece for piece in unread.take() if piece.step not in settled]
                    for piece in written:
                        yield piece
                    if not written:
                        yield None
                    await unread.wait(max(0.0, look_s - loop.time()))


def _settled(trace: Trace) -> frozenset[int]:
    """The steps of which all is known."""
    return frozenset(each.step for each in trace.steps if each.type == "settled")


def _in_order(
    written: Sequence[Live], come: Sequence[Came], before: frozenset[int], settled: frozenset[int]
) -> list[Told]:
    """What was written of calls that have settled since, the records, and what is being written of other calls."""
    ended = [piece for piece in written if piece.step in settled and piece.step not in before]
    return [*ended, *come, *(piece for piece in written if piece.step not in settled)]
