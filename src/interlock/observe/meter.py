"""Sends a workspace's metrics to an OTLP receiver, every so often.

Above: app runs it. Below: post, instruments, conventional, otlp. Sums count from the ledger's beginning, so a message that was lost is made
good by the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from interlock.core.errors import StoreUnavailable
from interlock.core.time import Clock

from .conventional import conventional
from .instruments import Instruments
from .otlp import Otlp
from .post import Post
from .semconv import Words

_NO_METRICS = frozenset({404, 405, 501})
"""Answers of receivers that take traces alone."""
_log = logging.getLogger("interlock.telemetry")


class Meter:
    """Sends; `run` until cancelled, or until the receiver says that it takes no metrics."""

    def __init__(
        self,
        post: Post,
        instruments: Instruments,
        *,
        otlp: Otlp,
        words: Words,
        clock: Clock,
        every_s: float,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._post, self._instruments, self._otlp, self._words = post, instruments, otlp, words
        self._clock, self._every_s, self._sleep = clock, every_s, sleep

    async def run(self) -> None:
        wanted = True
        while wanted:
            try:
                wanted = await self.step()
            except StoreUnavailable as gone:
                _log.warning("metrics wait for the store: %s", gone)
            await self._sleep(self._every_s)

    async def step(self) -> bool:
        """Sends every metric as it is now; False when the receiver has no use for them at all."""
        body, points = await asyncio.to_thread(self._message)
        answer = await self._post.send_once("metrics", body)
        if answer is not None and answer.status in _NO_METRICS:
            _log.warning(
                "%s takes no metrics (it answered %d): none are sent", self._post.receiver.endpoint, answer.status
            )
            return False
        if answer is not None:
            self._post.refused("metrics", answer, points)
        return True

    def _message(self) -> tuple[bytes, int]:
        own = self._instruments.collect()
        families = [*own, *conventional(own, self._words)]
        body = self._otlp.metrics(families, since_ns=self._instruments.since_ns, at_ns=self._clock.wall_ns())
        return body, sum(len(family.samples) for family in families)
