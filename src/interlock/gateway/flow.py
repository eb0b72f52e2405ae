"""One streamed call that goes the short way: asked for without a task, its pieces relayed and its end settled in the callbacks of the vendor's socket.

Above: shortcut. Below: afterwards, bill, cache, exchange, guarded, once, ride, settle, stream, taken, through. It notes what has passed; the values that the long
way works with (`Call`, `Trial`, `Taken`) are made of that when the long way has to go on (`stream.relay`), as it can from any place: when the vendor fails, when its
reader is slow or leaves, when others come to read along.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from interlock.core.chat import ChatRequest, ChatResponse, Chunk, Finish
from interlock.core.guards import Guards
from interlock.core.limits import vector
from interlock.core.lots import LONGEST_US, Brief
from interlock.core.money import Usage, cost_of
from interlock.core.ports import ChatReply, Tap
from interlock.core.short import Listener, Streaming
from interlock.core.time import Deadline

from . import bill, cache, guarded, once, settle
from .call import Answer, Call, Trial
from .desk import Desk
from .exchange import Exchange, Opened, Unopened
from .ride import Ride
from .stream import Begun, relay
from .taken import Taken
from .through import Through, text_inside

_log = logging.getLogger("interlock.gateway")


class Flow:
    """`core.short.Ride`, and the `Hearer` of its answer."""

    __slots__ = (
        "_chunks",
        "_desk",
        "_exchange",
        "_finish",
        "_first_us",
        "_listener",
        "_more",
        "_request",
        "_streaming",
        "brief",
        "form",
        "parts",
        "plain",
        "plain_raw",
        "ride",
        "slot",
        "tap",
        "texts",
        "usage",
    )

    def __init__(self, desk: Desk, exchange: Exchange, ride: Ride, request: ChatRequest, listener: Listener) -> None:
        """`ride`: the call, about to be sent."""
        self._desk = desk
        self._exchange = exchange
        self._listener = listener
        self.ride = ride
        self._request = request
        self.form, self.slot = ride.form, ride.slot
        self.brief: Brief | None = None
        """What has been settled, as it stands in the journal."""
        self._chunks: list[Chunk] = []
        """All that has passed; plain pieces that came one after the other as one."""
        self.texts: list[str] = []
        self.parts = 0
        """The vendor's own pieces of text."""
        self._more = False
        """More than a text has been seen."""
        self._finish: Finish | None = None
        self.usage: Usage | None = None
        self._first_us = 0
        self.plain: list[bytes] = []
        self.plain_raw: list[bytes] | None = [] if ride.key else None
        self.tap: Tap = Through(self, listener.tap, ride.flight)
        total_s = desk.settings.timeout_s
        deadline, key = Deadline(ride.started_s + total_s, total_s), f"{ride.call}.0"
        self._streaming: Streaming | None = ride.road.wire.stream(request, key, deadline, once.BACKSTOP_S, self)

    # --- its answer ---

    def piece(self, chunk: Chunk) -> bool:
        if not self._chunks:
            self._begun()
        elif self.plain:
            self._read_plain()
        self._note(chunk)
        flight = self.ride.flight
        return self._listener.piece(chunk) and (flight is None or not flight.waiting)

    def _begun(self) -> None:
        """The first piece is here; see `once.begun`."""
        ride = self.ride
        if not ride.road.candidate.deployment.max_concurrent:
            ride.road.health.left(ride.started_s, self._desk.parts.clock, 0, ride.crowd, stream=True)

    def began(self) -> None:
        if not self._first_us:
            self._first_us = self._elapsed_us()

    def _elapsed_us(self) -> int:
        return int((self._desk.parts.clock.monotonic_s() - self.ride.started_s) * 1e6)

    def _note(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)
        if chunk.text:
            self.texts.append(chunk.text)
            self.parts += chunk.parts
        if chunk.tool_calls or chunk.thoughts or chunk.others or chunk.refusal:
            self._more = True
        if chunk.finish is not None:
            self._finish = chunk.finish
        if chunk.usage is not None:
            self.usage = chunk.usage
        if not self._first_us and (chunk.text or chunk.tool_calls):
            self._first_us = self._elapsed_us()

    def _read_plain(self) -> None:
        """Takes in what was put, as one piece; as `Taken` does it."""
        texts, raw = self.plain.copy(), b"".join(self.plain_raw or ())
        if texts:
            self.plain.clear()  # a tap goes on writing into these
            if self.plain_raw is not None:
                self.plain_raw.clear()
            dialect = self._request.raw_dialect if raw else ""
            self._note(Chunk(text_inside(texts), raw=raw, raw_dialect=dialect, parts=len(texts)))

    def ended(self) -> None:
        self._streaming, self.tap = None, self._listener.tap  # they know this one, too
        try:
            self._read_plain()
            usage = self._ordinary_usage()
            if usage is None:
                self._end_otherwise()
            else:
                self._end(usage)
        except Exception as error:  # noqa: BLE001 - ours: it settles, and whoever asked is told
            if self.brief is not None:
                _log.exception("the stream of %s has settled, and its end did not reach its caller", self.ride.call)
                return
            self._failed(self._as_call()[0], error)

    def _ordinary_usage(self) -> Usage | None:
        """What the vendor says it used; `None` where that, its price or its words need a closer look."""
        usage, ride, guards = self.usage, self.ride, self._desk.parts.guards
        if usage is None or self._more or not usage.plain or not (usage.input or usage.output):
            return None
        if ride.price.above_input or usage.input > ride.input_tokens or not 0 < self._first_us < LONGEST_US:
            return None
        if guards is not None and not (self._finish == "stop" and guards.passes_answer("".join(self.texts))):
            return None
        return usage

    def _end(self, usage: Usage) -> None:
        """Settles the call, and its reader is told."""
        ride, road, form = self.ride, self.ride.road, self.form
        assert form is not None, "it was noted in the journal when it began"
        cost = cost_of(ride.price.rates, usage)
        took_us = min(self._elapsed_us(), LONGEST_US)
        used = usage.input, usage.output, cost
        self.brief = Brief(ride.task, ride.started_ns, took_us, *used, ride.cost_nano_usd, self._first_us)
        road.ledger.note_settled(self.slot, form, self.brief)
        if road.candidate.deployment.max_concurrent:
            road.health.line.leave()
        self._desk.gate.leave()
        if ride.weight:
            road.health.limits.ended(ride.weight)
        try:
            self._listener.ended(ride.call, road.candidate.name, cost, usage)
        finally:
            self._desk.afterwards.add(self, road.ledger)

    def see_to(self, alike: Sequence[Flow]) -> None:
        """What is left to be done of streams of one form that were answered, this one among them."""
        desk, road = self._desk, self.ride.road
        answers = [(each, each.ride, usage, brief) for each in alike if (usage := each.usage) and (brief := each.brief)]
        if desk.parts.quotas is not None:
            used = [(ride.held, vector(1, u.input, u.output, brief.cost_nano_usd)) for _, ride, u, brief in answers]
            desk.parts.quotas.settle_all([(held, amounts) for held, amounts in used if held])
        health = road.health
        bill.learn_all(
            health, [(ride.input_tokens, each.parts, "".join(each.texts), u) for each, ride, u, _ in answers]
        )
        health.answered_all(
            [(ride.started_s, ride.started_s + brief.duration_us / 1e6, brief.output) for _, ride, _, brief in answers]
        )
        slo_ms = road.workflow.p95_latency_slo_ms
        if slo_ms is not None:
            pace = desk.health.workflow(road.caller.workflow)
            for _, _, _, brief in answers:
                pace.finished(slow=brief.duration_us > slo_ms * 1000)
        for each, ride, usage, brief in answers:
            if ride.key:
                each.keep(usage, brief)

    def keep(self, usage: Usage, brief: Brief) -> None:
        """For whoever waits for this very answer, and for the next one who asks."""
        desk, ride, chunks = self._desk, self.ride, self._chunks
        at = ride.road.candidate
        response = ChatResponse(
            model=next((each.model for each in reversed(chunks) if each.model), at.deployment.model),
            text="".join(self.texts),
            finish=self._finish or "error",
            usage=usage,
            id=next((each.id for each in reversed(chunks) if each.id), ""),
        )
        answer = Answer(response, at.name, at.tier, at, ride.price.version, tuple(chunks))
        if ride.flight is not None:
            desk.flights.land(ride.key, ride.flight, answer, brief.cost_nano_usd)
        ended_ns = brief.started_ns + brief.duration_us * 1000
        cache.put(desk, ride.road.caller.tenant, ride.key, answer, brief.cost_nano_usd, ended_ns)

    # --- it ends another way ---

    def _end_otherwise(self) -> None:
        """The same of an answer whose count, price or words need a closer look."""
        guards = self._desk.parts.guards
        call, _, _, taken = self._as_call()
        assert taken is not None, "an answer that has ended well has begun"
        answer = taken.whole()
        if guards is None:
            self._settle(call, answer)
        else:
            self._listener.spawn(self._guarded(guards, call, answer))

    async def _guarded(self, guards: Guards, call: Call, answer: Answer) -> None:
        """The same where guards have something to say of the answer; as `stream` does it."""
        try:
            answer = await guarded.leave(guards, call, answer)
        except BaseException as error:
            self._failed(call, error)
            if not isinstance(error, Exception):
                raise
            return
        self._settle(call, answer)

    def _settle(self, call: Call, answer: Answer) -> None:
        cache.keep(self._desk, call, answer)
        self._desk.gate.leave()
        self._listener.answered(settle.answered(self._desk, call, answer))

    def _failed(self, call: Call, error: BaseException) -> None:
        self._desk.gate.leave()
        cache.leave(self._desk, call, error)
        settle.failed(self._desk, call, error)
        if isinstance(error, Exception):
            self._listener.refused(error)

    # --- it goes another way ---

    def over(self) -> None:
        self._listener.goes_on(self._rest())

    async def left(self) -> None:
        """The client is gone: the long way, cancelled where it waits for the vendor."""
        if self._streaming is None:
            return
        loop = asyncio.get_running_loop()
        reading = loop.create_task(_read(self._rest()))
        loop.call_soon(reading.cancel)  # once it waits for the vendor
        while not reading.done():
            try:
                await asyncio.wait((reading,))
            except asyncio.CancelledError:
                reading.cancel()

    def _rest(self) -> AsyncGenerator[Chunk | ChatReply, Tap | None]:
        """The long way, from here on."""
        streaming, self._streaming = self._streaming, None
        assert streaming is not None, "it is handed over once"
        call, trial, opened, taken = self._as_call()
        call.request = self._listener.whole()
        opened.pieces = pieces = streaming.rest()
        begun = Begun(call, self.ride.road.plan, trial, pieces, taken)
        return relay(self._desk, self._exchange, begun.begin, begun)

    def _as_call(self) -> tuple[Call, Trial, Opened, Taken | None]:
        """The call as the long way knows it, and what has passed of its answer; none before the first piece."""
        self._read_plain()
        ride, chunks = self.ride, self._chunks
        call, trial = ride.as_call(self._request)
        opened = Opened(trial, Unopened(), chunks[0] if chunks else Chunk(), call.deadline)
        if not chunks:
            return call, trial, opened, None
        call.first_token_us = self._first_us
        trial.placed = bool(ride.road.candidate.deployment.max_concurrent)
        taken = Taken(self._desk, self._exchange, call, opened, "")
        for chunk in chunks:
            taken.add(chunk)
            if call.flight is not None:
                call.flight.add(chunk)
        return call, trial, opened, taken


async def _read(pieces: AsyncGenerator[Chunk | ChatReply, Tap | None]) -> None:
    async with aclosing(pieces):
        async for _ in pieces:
            pass
