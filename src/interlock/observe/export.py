"""Sends what the ledger holds to an OTLP receiver: at least once, in order, and never at the expense of a call.

Above: app runs it. Below: post, spans, otlp, `core`. The exporter reads committed records from a place that it keeps in the store, so a receiver
that is away loses nothing: what it missed is sent when it is back, after a restart too. Only what a receiver refuses for good is passed
over, and that is counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from interlock.core.errors import StoreUnavailable
from interlock.core.events import Finished, OutcomeSeen, Record, Settled, Started
from interlock.core.tail import Tail

from .otlp import Otlp
from .post import Post, Sent
from .semconv import Words
from .spans import Evaluation, Span, of_call, of_outcome, of_task

_TOO_LARGE = 413
_log = logging.getLogger("interlock.telemetry")


class Exporter:
    """Sends; `run` until cancelled. `log_of` reads a task's whole log."""

    def __init__(
        self,
        post: Post,
        *,
        tail: Tail,
        log_of: Callable[[str], Sequence[Record]],
        otlp: Otlp,
        words: Words,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._post, self._tail, self._log_of = post, tail, log_of
        self._otlp, self._words, self._sleep = otlp, words, sleep
        self._name = f"otlp:{post.receiver.endpoint}"

    @property
    def sent(self) -> Sent:
        return self._post.sent

    def look(self) -> None:
        """Counts again how far behind the receiver is. Reads the store.

        Raises:
            StoreUnavailable.
        """
        place = self._tail.kept(self._name)
        self._post.sent.behind = 0 if place is None else self._tail.behind(place)

    async def run(self) -> None:
        """Sends until cancelled. What was committed before the first start of this receiver is not sent."""
        while True:
            try:
                more = await self.step()
            except StoreUnavailable as gone:
                _log.warning("telemetry waits for the store: %s", gone)
                more = False
            if not more:
                await self._sleep(self._post.receiver.every_s)

    async def step(self) -> bool:
        """Sends one batch; whether there was one."""
        place = await asyncio.to_thread(self._start)
        records, further = await asyncio.to_thread(self._tail.read, place, self._post.receiver.batch)
        if not records:
            return False
        spans, said = await asyncio.to_thread(self._made, records)
        await self._send_spans(spans)
        await self._send_events(said)
        moved = await asyncio.to_thread(self._tail.keep, self._name, further, place)
        self._post.sent.behind = await asyncio.to_thread(self._tail.behind, further)
        if not moved:
            _log.info(
                "another process sends to %s too; what both have sent is one span there", self._post.receiver.endpoint
            )
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
                spans += of_call(record, event, self._words, content=self._post.receiver.content)
            elif isinstance(event, Finished):
                whole = of_task(self._log_of(record.task), self._words)
                spans += [whole] if whole else []
            elif isinstance(event, OutcomeSeen):
                said.append(of_outcome(record, event, self._words, _parent(self._log_of(record.task))))
        return spans, said

    async def _send_spans(self, spans: Sequence[Span]) -> None:
        if not spans:
            return
        answer = await self._post.send("traces", await asyncio.to_thread(self._otlp.traces, spans))
        if answer.status == _TOO_LARGE and len(spans) > 1:
            half = len(spans) // 2
            await self._send_spans(spans[:half])
            await self._send_spans(spans[half:])
        else:
            self._post.sent.spans += len(spans) - self._post.refused("traces", answer, len(spans))

    async def _send_events(self, said: Sequence[Evaluation]) -> None:
        if said:
            answer = await self._post.send("logs", await asyncio.to_thread(self._otlp.logs, said))
            self._post.sent.events += len(said) - self._post.refused("logs", answer, len(said))


def _parent(records: Sequence[Record]) -> str:
    """The trace that a task belongs to, where its caller sent one."""
    for record in records:
        if isinstance(record.event, Started | Settled):
            return record.event.caller.trace
    return ""
