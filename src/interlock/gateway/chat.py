"""THE WALK of one model call.

Above: `app`, agents, the faces. Below: every other file of this room, one per step, named in the order in which they happen.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Container
from functools import partial

from interlock.core.budget import Budget
from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, Chunk
from interlock.core.errors import InterlockError
from interlock.core.live import Ear
from interlock.core.ports import ChatReply, Room, Tap, TokenCount
from interlock.core.time import Deadline

from . import cache, guarded, settle
from .aloud import Voice
from .begin import Beginner
from .call import Answer, Call, Tried
from .climb import Climb
from .count import count_tokens
from .desk import Desk
from .embed import Embeddings
from .exchange import Exchange
from .route import Plan
from .settings import Parts, Settings
from .shortcut import Shortcut
from .stream import relay


class Gateway:
    """Governed model calls: routed, budgeted, cached, retried, judged, and each settled exactly once."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self._desk = Desk(settings, parts)
        self._beginner = Beginner(self._desk)
        self._exchange = Exchange(self._desk)
        self.shortcut = Shortcut(self._desk, self._exchange, self._go_on)
        """The same walk for ordinary whole answers, told by callbacks; it hands over to this one."""
        self.embeddings = Embeddings(self._desk)
        """The walk of calls for embeddings, under the same limits, breakers and ledger."""

    def spare(self, workflows: frozenset[str]) -> None:
        """From now on these workflows choose no premium tier, and all others do as before."""
        self._desk.steering.sparing = workflows

    def finish(self) -> None:
        """Does what answers have left to be done; to be called before the ledger is closed."""
        self._desk.afterwards.flush()

    def breakers(self) -> dict[str, str]:
        """`closed`, `open` or `half_open`, by deployment that was called."""
        return self._desk.health.breakers()

    def load(self) -> tuple[int, int]:
        """Calls under way, and calls that wait to be let in."""
        return self._desk.gate.inside, self._desk.gate.waiting

    def inherit(self, before: Gateway, providers: Container[str]) -> None:
        """Goes on with what another gateway of this process has seen of the deployments of these providers: breakers, room, pace."""
        self._desk.health.inherit(before._desk.health, providers)

    def heard(self, deployment: str, rooms: tuple[Room, ...]) -> None:
        """What a vendor's reply said of its limits on a deployment; calls keep to them from then on."""
        self._desk.health.deployment(deployment).limits.heard(rooms, self._desk.parts.clock.monotonic_s())

    async def chat(
        self,
        caller: Caller,
        request: ChatRequest,
        *,
        budget: Budget | None = None,
        deadline: Deadline | None = None,
        fence: int = 0,
        ear: Ear | None = None,
    ) -> ChatReply:
        """One whole answer, with the event that settled it. `ear` hears it while it is written; nothing else about the call is different.

        Raises:
            InterlockError: of the kind that says what the caller can do; the call has settled by then.
        """
        desk = self._desk
        # Route. From here on one event is owed, and the flight journal holds it should the process die.
        call, plan = await self._beginner.begin(caller, request, budget, deadline, fence)
        if ear is not None:
            call.voice = Voice(ear, desk, call)
        try:
            answer = await cache.look(desk, call)  # exact, an identical call under way, semantic
            if answer is None:
                with await desk.gate.enter(call.deadline, desk.parts.clock, call.caller.tenant):  # admit
                    answer = await self._made(call, plan)
        except BaseException as error:
            cache.leave(desk, call, error)
            settle.failed(desk, call, error)
            raise
        return self._settled(call, answer)

    async def _made(self, call: Call, plan: Plan, tried: Tried | None = None) -> Answer:
        """The answer of a model that is good enough, or what stands in for it; kept for the next one who asks."""
        climb = Climb(self._desk, self._exchange, call, plan, tried)
        try:
            answer = await climb.up()  # shape, attempt, good enough? else the next tier
        except InterlockError as cause:
            answer = await climb.down(cause)  # the degradation ladder
        if self._desk.parts.guards is not None:
            answer = await guarded.leave(self._desk.parts.guards, call, answer)
        cache.keep(self._desk, call, answer)
        return answer

    def _settled(self, call: Call, answer: Answer) -> ChatReply:
        if call.voice is not None:
            call.voice.ended(answer.response)
        reply = settle.answered(self._desk, call, answer)
        return reply if self._desk.parts.guards is None else guarded.restored(self._desk.parts.guards, call, reply)

    async def _go_on(self, call: Call, plan: Plan, tried: Tried) -> ChatReply:
        """The rest of the walk of a call whose first try was sent the short way and has failed. Raises as `chat`."""
        desk = self._desk
        try:
            with desk.gate.place:
                answer = await self._made(call, plan, tried)
        except BaseException as gone:
            cache.leave(desk, call, gone)
            settle.failed(desk, call, gone)
            raise
        return settle.answered(desk, call, answer)

    def stream(
        self,
        caller: Caller,
        request: ChatRequest,
        *,
        budget: Budget | None = None,
        deadline: Deadline | None = None,
        fence: int = 0,
    ) -> AsyncGenerator[Chunk | ChatReply, Tap | None]:
        """The same walk with the relay in its middle: the pieces, then one `ChatReply`. Close it when the client is gone.

        A `Tap` may be sent in (`asend`): plain pieces then go through it as they are read, and are not yielded.

        Raises:
            InterlockError: also after pieces were yielded, when the answer broke off; the call has settled by then.
        """
        begin = partial(self._beginner.begin, caller, request, budget, deadline, fence)
        pieces = relay(self._desk, self._exchange, begin)
        guards = self._desk.parts.guards
        if guards is None or guarded.nothing_to_restore(guards, request):
            return pieces
        return guarded.stream(guards, caller, pieces, fence)

    async def count_tokens(
        self, caller: Caller, request: ChatRequest, *, deadline: Deadline | None = None
    ) -> TokenCount:
        """Input tokens that the request would have at its first candidate; by its vendor's count where it has one."""
        return await count_tokens(self._desk, caller, request, deadline)
