"""Micro-batching: embedding calls that come within milliseconds of each other share one upstream request, bounded by time, inputs and tokens.

Above: embed. Below: call, route. Only calls of the same tenant, model and shape share one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from msgspec import Struct, structs

from interlock.core.budget import Spend
from interlock.core.embed import EmbedReply, EmbedRequest

from .call import Call
from .route import Plan


class Micro(Struct, frozen=True):
    """How long and how much may be gathered."""

    wait_s: float = 0.003
    """From the first call of a group until it is sent; what every lone call pays."""
    max_inputs: int = 256
    max_tokens: int = 100_000
    """Upper estimate of a group's input; vendors refuse requests beyond some 300,000."""


class Member:
    """One call in a group."""

    __slots__ = ("ask", "call", "done", "gone", "group", "request")

    def __init__(self, call: Call, request: EmbedRequest, ask: Spend) -> None:
        self.call = call
        self.request = request
        self.ask = ask
        """Held back in its budget; nothing once it was given back."""
        self.done: asyncio.Future[EmbedReply] = asyncio.get_running_loop().create_future()
        self.gone: BaseException | None = None
        """Why nobody waits for it any more."""
        self.group: Group | None = None

    def resolve(self, reply: EmbedReply) -> None:
        if not self.done.done():
            self.done.set_result(reply)

    def fail(self, error: BaseException) -> None:
        if self.done.done() or self.gone is not None:
            return
        if isinstance(error, asyncio.CancelledError):
            self.done.cancel()
        else:
            self.done.set_exception(error)


class Group:
    """Calls that go upstream together."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.members: list[Member] = []
        self.inputs = 0
        self.tokens = 0
        self.full = asyncio.Event()
        self.sent = False
        self.stopped: asyncio.CancelledError | None = None
        self.task: asyncio.Task[None] | None = None

    def alone(self, member: Member) -> Group:
        """The same for one of its members."""
        other = Group(self.plan)
        other.add(member)
        return other

    def add(self, member: Member) -> None:
        self.members.append(member)
        self.inputs += len(member.request.inputs)
        self.tokens += member.call.input_tokens

    @property
    def over(self) -> BaseException | None:
        """Why it need not be sent any more: it was stopped, or everybody has gone."""
        gone = [member.gone for member in self.members]
        return self.stopped or (gone[0] if all(gone) else None)

    def request(self) -> EmbedRequest:
        """Everybody's inputs, in order."""
        first = self.members[0].request
        inputs = tuple([each for member in self.members for each in member.request.inputs])
        return structs.replace(first, inputs=inputs, user=first.user if len(self.members) == 1 else "")


class Groups:
    """Groups that are being gathered, and those under way."""

    def __init__(
        self, micro: Micro, sleep: Callable[[float], Awaitable[None]], send: Callable[[Group], Awaitable[None]]
    ) -> None:
        self._micro = micro
        self._sleep = sleep
        self._send = send
        self._gathering: dict[Hashable, Group] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    def join(self, call: Call, plan: Plan, request: EmbedRequest, ask: Spend) -> Member:
        """A place in the group of its kind; a new group where there is none or it has no room."""
        member = Member(call, request, ask)
        shape = (request.dimensions, repr(sorted(request.extra.items())))
        key = (call.caller.tenant, request.model, call.target, call.bounds, shape)
        group = self._gathering.get(key)
        if group is not None and not self._fits(group, member):
            self._close(key, group)
            group = None
        if group is None:
            group = self._gathering[key] = Group(plan)
            group.task = asyncio.get_running_loop().create_task(self._run(key, group))
            self._under_way.add(group.task)
            group.task.add_done_callback(self._under_way.discard)
        group.add(member)
        member.group = group
        if group.inputs >= self._micro.max_inputs or group.tokens >= self._micro.max_tokens:
            self._close(key, group)
        return member

    def leave(self, member: Member, why: BaseException) -> None:
        """Nobody waits for it any more. When everybody has left, the vendor is cut off."""
        member.gone = why
        group = member.group
        if group is not None and group.task is not None and group.sent and group.over is not None:
            group.task.cancel()

    async def close(self) -> None:
        """Ends what is under way."""
        for task in tuple(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _fits(self, group: Group, member: Member) -> bool:
        inputs = group.inputs + len(member.request.inputs)
        tokens = group.tokens + member.call.input_tokens
        return inputs <= self._micro.max_inputs and tokens <= self._micro.max_tokens

    def _close(self, key: Hashable, group: Group) -> None:
        group.full.set()
        if self._gathering.get(key) is group:
            del self._gathering[key]

    async def _run(self, key: Hashable, group: Group) -> None:
        waiting = asyncio.ensure_future(self._sleep(self._micro.wait_s))
        filling = asyncio.ensure_future(group.full.wait())
        try:
            await asyncio.wait((waiting, filling), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as stop:
            group.stopped = stop  # its members are settled all the same
        finally:
            waiting.cancel()
            filling.cancel()
            self._close(key, group)
        group.sent = True
        await self._send(group)
