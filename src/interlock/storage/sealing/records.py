"""A store whose records hold their content sealed. Everything that is no content passes through as it is.

Above: `app` puts it where `core.store.Store` is asked for. Below: any other store, envelope, and the wrappers of what stands beside the ledger.

A record's place is that of the call or event itself, so that a call that is kept elsewhere (a late one, one that left its segment) opens where it stands.
What a whole process does with one record costs one seal; sealed content passes through, so that whoever holds it in a journal has sealed it before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import structs

from interlock.core.errors import Fenced, StoreUnavailable
from interlock.core.events import Event, Record, Settled
from interlock.core.lots import Lot
from interlock.core.money import Price
from interlock.core.sealing import SEALED
from interlock.core.store import Store, StorePrompts
from interlock.storage.rows import encode
from interlock.storage.scrubbed import redacted

from .beside import (
    SealedBatches,
    SealedCache,
    SealedOutbox,
    SealedResponses,
    SealedSessions,
    SealedSignals,
    SealedSimilar,
    SealedTexts,
)
from .envelope import Envelope
from .tasks import SealedTail, SealedTasks
from .whose import Whose


class SealedStore:
    """`core.store.Store` over another one, with every text of tenants sealed."""

    def __init__(self, inner: Store, envelope: Envelope) -> None:
        self._inner = inner
        self._envelope = envelope
        self._whose = Whose(inner.tasks)
        self.tasks = SealedTasks(inner.tasks, self.sealed)
        self.signals = SealedSignals(inner.signals, inner.tasks, envelope)
        self.cache = SealedCache(inner.cache, envelope)
        self.responses = SealedResponses(inner.responses, envelope)
        self.batches = SealedBatches(inner.batches, envelope)
        self.similar = SealedSimilar(inner.similar, envelope)
        self.outbox = SealedOutbox(inner.outbox, envelope, self._whose)
        self.sessions = SealedSessions(inner.sessions, envelope)
        self.texts = SealedTexts(inner.texts, envelope)
        self.tail = SealedTail(inner.tail, self.opened)

    def __getattr__(self, name: str) -> Any:
        """What carries nobody's words: sums, prices, keys of callers, the audit, the workspace's own files; rows leave as they stand, sealed."""
        return getattr(self._inner, name)

    def sealed(self, record: Record) -> Record:
        """The record with its content sealed; itself where there is none, or where it is sealed."""
        content = record.content
        if not record.body and content is None:
            return record
        if content is not None and SEALED in content:
            return record
        body = record.body or encode(content).encode()
        place = place_of(record.task, record.seq, record.event)
        sealed = self._envelope.body(record.tenant, place, body, self._whose.of(record))
        return structs.replace(record, content=msgspec.json.decode(sealed), body=sealed)

    def opened(self, record: Record) -> Record:
        """The record with its content as it was; where it cannot be opened, with why."""
        if record.content is None or SEALED not in record.content:
            return record
        place = place_of(record.task, record.seq, record.event)
        return structs.replace(record, content=self._envelope.content(place, record.content, record.tenant))

    def write(
        self, groups: Sequence[Sequence[Record]], prices: Sequence[Price] = (), lots: Sequence[Lot] = ()
    ) -> list[Fenced | None]:
        """Calls of lots have no content."""
        return self._inner.write([[self.sealed(each) for each in group] for group in groups], prices, lots)

    def records(self, task: str, *, after: int = -1) -> list[Record]:
        return [self.opened(each) for each in self._inner.records(task, after=after)]

    def scrub(self, task: str, policy: StorePrompts, redact: Callable[[str], str]) -> int:
        """As the inner store does it. Content that cannot be opened is left as it is, sealed, when it is to be redacted."""
        if policy != "redacted":
            return self._inner.scrub(task, policy, redact)
        anew = self._anew(task, redact)

        def rewritten(text: str) -> str:
            known = anew.get(text)
            return known if known is not None else redact(text)

        return self._inner.scrub(task, policy, rewritten)

    def _anew(self, task: str, redact: Callable[[str], str]) -> dict[str, str]:
        """By seal, the seal of the same content redacted; by itself where it cannot be opened."""
        made: dict[str, str] = {}
        for record in self._inner.records(task):
            seal = (record.content or {}).get(SEALED)
            if not isinstance(seal, str):
                continue
            place = place_of(record.task, record.seq, record.event)
            try:
                content = msgspec.json.decode(self._envelope.raw(place, seal, record.tenant))
            except StoreUnavailable:
                made[seal] = seal
            else:
                anew = encode(redacted(content, redact)).encode()
                body = self._envelope.body(record.tenant, place, anew, self._whose.of(record))
                made[seal] = msgspec.json.decode(body)[SEALED]
        return made


def place_of(task: str, seq: int, event: Event) -> str:
    """Where a record's content was sealed for."""
    if isinstance(event, Settled):
        return f"event/{event.caller.task}/{event.caller.step}"
    return f"event/{task}/{seq}"
