"""Posts messages to one OTLP receiver, again and again where that is what the specification asks for.

Above: export, meter. Below: otlp, `core`. Source: https://opentelemetry.io/docs/specs/otlp/#failures
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import random
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from interlock.core.errors import UpstreamError
from interlock.core.ports import HttpClient, HttpRequest, HttpResponse
from interlock.core.time import Clock, Deadline

from .otlp import Otlp

_AGAIN = frozenset({429, 502, 503, 504})
"""Answers after which the same message is sent again, by the specification of OTLP/HTTP."""
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


class Post:
    """One receiver, and what became of what was sent to it."""

    def __init__(
        self,
        receiver: Receiver,
        otlp: Otlp,
        http: HttpClient,
        clock: Clock,
        rng: random.Random,
        *,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self.receiver, self.sent = receiver, Sent()
        self._otlp, self._http, self._clock, self._rng, self._sleep = otlp, http, clock, rng, sleep

    async def send(self, signal: str, body: bytes) -> HttpResponse:
        """The answer of a receiver that took the message, or that refuses it for good; sent again until there is one."""
        packed = await asyncio.to_thread(gzip.compress, body, 1)
        wait_s = FIRST_WAIT_S
        while True:
            answer, why = await self._once(signal, packed)
            if not why:
                return answer
            self.sent.resent += 1
            await self._sleep(max(_retry_after_s(answer), wait_s * self._rng.uniform(0.5, 1.0)))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def send_once(self, signal: str, body: bytes) -> HttpResponse | None:
        """The same for what the next message says again anyway; `None` when the receiver is away."""
        answer, why = await self._once(signal, await asyncio.to_thread(gzip.compress, body, 1))
        return None if why else answer

    def refused(self, signal: str, answer: HttpResponse, items: int) -> int:
        """How many of `items` will never be taken."""
        if 200 <= answer.status < 300:
            rejected = self._otlp.rejected(signal, answer.body)
            count, why = rejected.items, rejected.why
        else:
            count, why = items, f"it answered {answer.status}: {answer.body[:200]!r}"
        if count:
            self.sent.refused += count
            _log.warning("%s refuses %d %s for good: %s", self.receiver.endpoint, count, signal, why)
        return count

    # --- Steps --------------------------------------------------------------------------------------------------------

    async def _once(self, signal: str, packed: bytes) -> tuple[HttpResponse, str]:
        """The answer, and why it has to be sent again; empty when it has not."""
        to = self.receiver
        request = HttpRequest(
            "POST",
            f"{to.endpoint.rstrip('/')}/v1/{signal}",
            (("content-type", "application/x-protobuf"), ("content-encoding", "gzip"), *to.headers),
            packed,
        )
        try:
            answer = await self._http.request(request, Deadline.after(self._clock, to.timeout_s))
            why = f"it answered {answer.status}" if answer.status in _AGAIN else ""
        except UpstreamError as failed:
            answer, why = HttpResponse(0, {}, b""), failed.message
        self._note(why)
        return answer, why

    def _note(self, why: str) -> None:
        """Whoever runs this hears of it once when a receiver goes away, and once when it is back."""
        if why and not self.sent.away:
            _log.warning("%s takes no telemetry, it is sent again: %s", self.receiver.endpoint, why)
        elif not why and self.sent.away:
            _log.warning("%s takes telemetry again", self.receiver.endpoint)
        self.sent.away = why


def _retry_after_s(answer: HttpResponse) -> float:
    told = answer.headers.get("retry-after", "")
    return min(float(told), LONGEST_WAIT_S) if told.isdecimal() else 0.0
