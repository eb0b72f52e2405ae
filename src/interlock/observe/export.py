"""Sends what the ledger holds to an OTLP receiver: at least once, in order, and never at the expense of a call.

Above: app runs it. Below: spans, otlp, `core`. The exporter reads committed records from a place that it keeps in the store, so a receiver
that is away loses nothing: what it missed is sent when it is back, after a restart too. Only what a receiver refuses for good is passed
over, and that is counted. Source: https://opentelemetry.io/docs/specs/otlp/#failures
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from interlock.core.errors import StoreUnavailable, UpstreamError
from interlock.core.events import Finished, OutcomeSeen, Record, Settled, Started
from interlock.core.ports import HttpClient, HttpRequest, HttpResponse
from interlock.core.tail import Tail
from interlock.core.time import Clock, Deadline

from .otlp import Otlp
from .semconv import Words
from .spans import Evaluation, Span, of_call, of_outcome, of_task

_AGAIN = frozenset({429, 502, 503, 504})
"""Answers after which the same message is sent again, by the specification of OTLP/HTTP."""
_TOO_LARGE = 413
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
_log = logging.getLogger("interlock.telemetry")


class Receiver(Struct, frozen=True):
    """Where spans go, and what of them."""

    endpoint: str
    """Without `/v1/traces`, which is added."""
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 10.0
    every_s: float = 2.0
    """How long new records may wait before they are sent together."""
    batch: int = 512
    """Records in one message."""
    content: bool = False
    """Whether messages, arguments and results leave too, as far as the ledger has kept them."""

    def __repr__(self) -> str:
        return f"Receiver({self.endpoint}, headers: {', '.join(name for name, _ in self.headers) or 'none'})"


class Sent(Struct):
    """What became of it so far; read by `/metrics` and `/healthz`."""

    spans: int = 0
    events: int = 0
    refused: int = 0
    """Spans and events that a receiver refused for good."""
    resent: int = 0
    """Messages that were sent again."""
    behind: int = 0
    """Rows of the ledger that have not been sent yet."""
    away: str = ""
    """Why the receiver does not take anything at the moment; empty when it does."""


class Exporter:
    """Sends; `run` until cancelled. `log_of` reads a task's whole log."""

    def __init__(
        self,
        receiver: Receiver,
        *,
        tail: Tail,
        log_of: Callable[[str], Sequence[Record]],
        http: HttpClient,
        otlp: Otlp,
        words: Words,
        clock: Clock,
        rng: random.Random,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._receiver, self._tail, self._log_of = receiver, tail, log_of
        self._http, self._otlp, self._words = http, otlp, words
        self._clock, self._rng, self._sleep = clock, rng, sleep
        self._name = f"otlp:{receiver.endpoint}"
        self.sent = Sent()

    async def run(self) -> None:
        """Sends until cancelled. What was committed before the first start of this receiver is not sent."""
        while True:
            try:
                more = await self.step()
            except StoreUnavailable as gone:
                _log.warning("telemetry waits for the store: %s", gone)
                more = False
            if not more:
                await self._sleep(self._receiver.every_s)

    async def step(self) -> bool:
        """Sends one batch; whether there was one."""
        place = await asyncio.to_thread(self._start)
        records, further = await asyncio.to_thread(self._tail.read, place, self._receiver.batch)
        if not records:
            return False
        spans, said = await asyncio.to_thread(self._made, records)
        await self._send_spans(spans)
        await self._send_events(said)
        moved = await asyncio.to_thread(self._tail.keep, self._name, further, place)
        self.sent.behind = await asyncio.to_thread(self._tail.behind, further)
        if not moved:
            _log.info("another process sends to %s too; what both have sent is one span there", self._receiver.endpoint)
        return True

    # --- Steps --------------------------------------------------------------------------------------------------------

    def _start(self) -> str:
        place = self._tail.kept(self._name)
        if place is None:
            place = self._tail.end()
            self._tail.keep(self._name, place, None)
        return place

    def _made(self, records: Sequence[Record]) -> tuple[list[Span], list[Evaluation]]:
        spans: list[Span] = []
        said: list[Evaluation] = []
        for record in records:
            event = record.event
            if isinstance(event, Settled):
                spans += of_call(record, event, self._words, content=self._receiver.content)
            elif isinstance(event, Finished):
                whole = of_task(self._log_of(record.task), self._words)
                spans += [whole] if whole else []
            elif isinstance(event, OutcomeSeen):
                said.append(of_outcome(record, event, self._words, _parent(self._log_of(record.task))))
        return spans, said

    async def _send_spans(self, spans: Sequence[Span]) -> None:
        if not spans:
            return
        answer = await self._send("traces", await asyncio.to_thread(self._otlp.traces, spans))
        if answer.status == _TOO_LARGE and len(spans) > 1:
            half = len(spans) // 2
            await self._send_spans(spans[:half])
            await self._send_spans(spans[half:])
        else:
            self.sent.spans += len(spans) - self._refused("traces", answer, len(spans))

    async def _send_events(self, said: Sequence[Evaluation]) -> None:
        if said:
            answer = await self._send("logs", await asyncio.to_thread(self._otlp.logs, said))
            self.sent.events += len(said) - self._refused("logs", answer, len(said))

    async def _send(self, signal: str, body: bytes) -> HttpResponse:
        """The answer of a receiver that took the message, or that refuses it for good."""
        receiver = self._receiver
        request = HttpRequest(
            "POST",
            f"{receiver.endpoint.rstrip('/')}/v1/{signal}",
            (("content-type", "application/x-protobuf"), ("content-encoding", "gzip"), *receiver.headers),
            await asyncio.to_thread(gzip.compress, body, 1),
        )
        wait_s = FIRST_WAIT_S
        while True:
            try:
                answer = await self._http.request(request, Deadline.after(self._clock, receiver.timeout_s))
                asked_s = _retry_after_s(answer)
                why = f"it answered {answer.status}" if answer.status in _AGAIN else ""
            except UpstreamError as failed:
                answer, asked_s, why = HttpResponse(0, {}, b""), 0.0, failed.message
            self._note(why)
            if not why:
                return answer
            self.sent.resent += 1
            await self._sleep(max(asked_s, wait_s * self._rng.uniform(0.5, 1.0)))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def _refused(self, signal: str, answer: HttpResponse, items: int) -> int:
        """How many of `items` will never be taken."""
        if 200 <= answer.status < 300:
            rejected = self._otlp.rejected(signal, answer.body)
            count, why = rejected.items, rejected.why
        else:
            count, why = items, f"it answered {answer.status}: {answer.body[:200]!r}"
        if count:
            self.sent.refused += count
            _log.warning("%s refuses %d %s for good: %s", self._receiver.endpoint, count, signal, why)
        return count

    def _note(self, why: str) -> None:
        """Whoever runs this hears of it once when a receiver goes away, and once when it is back."""
        if why and not self.sent.away:
            _log.warning("%s takes no telemetry, it is sent again: %s", self._receiver.endpoint, why)
        elif not why and self.sent.away:
            _log.warning("%s takes telemetry again", self._receiver.endpoint)
        self.sent.away = why


def _parent(records: Sequence[Record]) -> str:
    """The trace that a task belongs to, where its caller sent one."""
    for record in records:
        if isinstance(record.event, Started | Settled):
            return record.event.caller.trace
    return ""


def _retry_after_s(answer: HttpResponse) -> float:
    told = answer.headers.get("retry-after", "")
    return min(float(told), LONGEST_WAIT_S) if told.isdecimal() else 0.0
