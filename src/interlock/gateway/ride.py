"""One call that goes the short way, from its being sent to its being settled, told by the callbacks of the vendor's socket.

Above: shortcut. Below: afterwards, cache, hold, once, road, settle: the steps of the long way. A try that fails is handed to the long way with all that it holds.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable

from interlock.core.errors import InvalidRequest, Shed, UpstreamError
from interlock.core.events import Settled
from interlock.core.ports import ChatReply, HttpResponse
from interlock.core.short import Asker, Sending

from . import cache, once, settle
from .call import Answer, Call, Trial, Tried
from .desk import Desk
from .hold import release
from .quota import Held
from .road import Road
from .route import Plan

GoOn = Callable[[Call, Plan, Tried], Awaitable[ChatReply]]
"""The long way, from a first try that failed on."""


class Ride:
    """`core.short.Ride`, and the `Reader` of its reply."""

    __slots__ = (
        "_answer",
        "_asker",
        "_beside",
        "_call",
        "_desk",
        "_event",
        "_go_on",
        "_held",
        "_road",
        "_trial",
        "sending",
    )

    def __init__(self, desk: Desk, road: Road, call: Call, trial: Trial, asker: Asker, go_on: GoOn) -> None:
        self._desk = desk
        self._road = road
        self._call = call
        self._trial = trial
        self._asker = asker
        self._go_on = go_on
        self.sending: Sending | None = None
        self._answer: Answer | None = None
        self._event: Settled | None = None
        self._held: Held | None = None
        self._beside = 0
        """Calls that were under way at its deployment when it ended."""

    def came(self, response: HttpResponse) -> None:
        desk, call = self._desk, self._call
        try:
            said = self._road.wire.answer(call.request, response)
        except (UpstreamError, InvalidRequest) as error:
            self.failed(error)
            return
        except Exception as error:  # noqa: BLE001 - a plug-in's own fault must not pass for ours
            self.failed(once.plugin_failed(self._trial, error))
            return
        trial, health = self._trial, self._road.health
        held, beside = call.held, health.line.inside
        answer = once.counted(desk, health, call, trial, said)
        call.held, trial.placed = None, False  # settled afterwards
        health.line.leave()
        desk.gate.leave()
        reply = settle.answered(desk, call, answer)
        self._asker.answered(reply)
        self._answer, self._event, self._held, self._beside = answer, reply.settled, held, beside
        desk.afterwards.add(self._see_to)

    def failed(self, error: Exception) -> None:
        if not isinstance(error, (UpstreamError, InvalidRequest, Shed)):
            error = once.plugin_failed(self._trial, error)
        self._asker.spawn(self._rest(Tried(self._trial, error)))

    def _see_to(self) -> None:
        """What need not be done before the answer is out."""
        desk, call, trial, event = self._desk, self._call, self._trial, self._event
        assert self._answer is not None, "it was answered"
        assert event is not None, "it was settled"
        if self._held is not None:
            release(self._held, event)
        ended_s = call.started_s + event.duration_us / 1e6
        once.learn(desk, self._road.health, trial, self._answer.response, ended_s, self._beside)
        cache.keep(desk, call, self._answer)

    async def left(self) -> None:
        """The client is gone: hangs up, and settles with what is known; what was on its way already settles as ever."""
        assert self.sending is not None, "it was sent before anybody could leave"
        gone = await self.sending.hear_out()
        if gone is None:
            return
        desk, call, trial = self._desk, self._call, self._trial
        self._road.health.breaker.abandoned()
        once.end_broken(desk, call, trial, gone)
        desk.gate.leave()
        self._end(gone)

    async def _rest(self, tried: Tried) -> None:
        """The long way, now that the first try has failed."""
        call = self._call
        call.request = self._asker.whole()
        try:
            reply = await self._go_on(call, self._road.plan, tried)
        except Exception as refusal:  # noqa: BLE001 - handed to whoever asked; the call has settled
            self._asker.refused(refusal)
            return
        self._asker.answered(reply)

    def _end(self, error: Exception | CancelledError) -> None:
        cache.leave(self._desk, self._call, error)
        settle.failed(self._desk, self._call, error)
