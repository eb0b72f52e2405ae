"""Encryption of what is stored beside the ledger: signals, cached and similar answers, kept responses, messages, sessions, answers of batches.

Above: records. Below: the seams in core, envelope. Keys, names and times stay readable, since databases look for them; what somebody said does not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import structs

from interlock.core.answers import CacheEntry, CacheStore, Keeping, Placed, SimilarRow, SimilarState, SimilarStore
from interlock.core.batches import BatchRow, BatchStore, Line
from interlock.core.caller import Caller
from interlock.core.errors import StoreUnavailable
from interlock.core.kept import KeptResponse, ResponseStore
from interlock.core.outbox import OutboxRow, OutboxStore, TextKind, TextStore
from interlock.core.sealing import SEALED, KeyDestroyed
from interlock.core.sessions import SessionRows, Values, changed, user_of
from interlock.core.store import Signal, SignalStore, TaskStore
from interlock.storage.rows import encode
from interlock.storage.sessions import encoded

from .envelope import VERSIONS, Envelope
from .whose import Whose

BATCHES = 4096
"""Whose callers are remembered."""


class SealedSignals:
    """`core.store.SignalStore`: payloads are sealed, under the key of the task's user."""

    def __init__(self, inner: SignalStore, tasks: TaskStore, envelope: Envelope) -> None:
        self._inner, self._tasks, self._envelope = inner, tasks, envelope

    def add(self, signal: Signal) -> bool:
        row = self._tasks.get(signal.task) if signal.payload else None
        if row is None:  # a signal to nobody is an error of its sender, which the store reports
            return self._inner.add(signal)
        body = self._envelope.body(row.tenant, _signal(signal), encode(signal.payload).encode(), row.user)
        return self._inner.add(structs.replace(signal, payload=msgspec.json.decode(body)))

    def pending(self, task: str) -> list[Signal]:
        return [
            structs.replace(each, payload=self._envelope.content(_signal(each), each.payload) or {})
            for each in self._inner.pending(task)
        ]

    def called(self, tasks: Sequence[str]) -> list[str]:
        return self._inner.called(tasks)

    def consume(self, task: str, ids: Sequence[str]) -> None:
        self._inner.consume(task, ids)

    def forget(self, tasks: Sequence[str]) -> int:
        return self._inner.forget(tasks)


class SealedCache:
    """`core.answers.CacheStore`: a value that cannot be opened was never there. Answers have a key of their own, which ends with the erasure of any user."""

    def __init__(self, inner: CacheStore, envelope: Envelope) -> None:
        self._inner, self._envelope = inner, envelope

    def get(self, tenant: str, key: bytes, now_ns: int) -> CacheEntry | None:
        entry = self._inner.get(tenant, key, now_ns)
        value = None if entry is None else self._envelope.known(f"cache/{key.hex()}", entry.value, tenant)
        return None if entry is None or value is None else structs.replace(entry, value=value)

    def put_all(self, group: Sequence[Keeping], now_ns: int, most: int = 0) -> Placed | None:
        seal = self._envelope.seal
        sealed = [
            structs.replace(each, value=seal(each.tenant, f"cache/{each.key.hex()}", each.value, kind="answers"))
            for each in group
        ]
        return self._inner.put_all(sealed, now_ns, most)

    def keys(self, after: int, kept_after_ns: int, limit: int) -> tuple[list[bytes], int]:
        return self._inner.keys(after, kept_after_ns, limit)

    def clear(self, tenant: str = "") -> int:
        return self._inner.clear(tenant)


class SealedSimilar:
    """`core.answers.SimilarStore`: questions, vectors, answers, and what a scope has learned."""

    def __init__(self, inner: SimilarStore, envelope: Envelope) -> None:
        self._inner, self._envelope = inner, envelope

    def put_all(self, rows: Sequence[SimilarRow], states: Sequence[SimilarState]) -> None:
        seal = self._envelope.seal
        self._inner.put_all(
            [
                structs.replace(each, value=seal(each.tenant, _similar(each), each.value, kind="answers"))
                for each in rows
            ],
            [structs.replace(each, state=seal(each.tenant, f"scope/{each.scope}", each.state)) for each in states],
        )

    def newest(self, now_ns: int, limit: int) -> list[SimilarRow]:
        found = [
            (each, self._envelope.known(_similar(each), each.value, each.tenant))
            for each in self._inner.newest(now_ns, limit)
        ]
        return [structs.replace(each, value=value) for each, value in found if value is not None]

    def states(self) -> list[SimilarState]:
        known = self._envelope.known
        found = [(each, known(f"scope/{each.scope}", each.state, each.tenant)) for each in self._inner.states()]
        return [structs.replace(each, state=state) for each, state in found if state is not None]

    def trim(self, now_ns: int, entries: int) -> None:
        self._inner.trim(now_ns, entries)

    def forget(self, tenant: str = "", scope: str = "") -> int:
        return self._inner.forget(tenant, scope)

    def clear(self, tenant: str = "") -> int:
        return self._inner.clear(tenant)


class SealedResponses:
    """`core.kept.ResponseStore`. What was sealed with a key that is destroyed is not there any more; where a key is only missing, KeyMissing is raised."""

    def __init__(self, inner: ResponseStore, envelope: Envelope) -> None:
        self._inner, self._envelope = inner, envelope

    def put(self, rows: Sequence[KeptResponse]) -> None:
        def sealed(row: KeptResponse, part: str, data: bytes) -> bytes:
            return self._envelope.seal(row.tenant, f"response/{row.id}/{part}", data, user=row.user)

        self._inner.put([_parts(each, sealed) for each in rows])

    def get(self, tenant: str, key_id: str, response: str, now_ns: int) -> KeptResponse | None:
        row = self._inner.get(tenant, key_id, response, now_ns)
        try:
            return None if row is None else _parts(row, self._opened)
        except KeyDestroyed:
            return None

    def chain(self, tenant: str, key_id: str, response: str, now_ns: int, most: int) -> list[KeptResponse]:
        found = self._inner.chain(tenant, key_id, response, now_ns, most)
        try:
            return [_parts(each, self._opened) for each in found]
        except KeyDestroyed:  # half a conversation is none
            return []

    def _opened(self, row: KeptResponse, part: str, data: bytes) -> bytes:
        if data[:1] not in VERSIONS:  # JSON that was kept before
            return data
        return self._envelope.open(f"response/{row.id}/{part}", data, row.tenant)

    def delete(self, tenant: str, key_id: str, response: str) -> bool:
        return self._inner.delete(tenant, key_id, response)

    def forget(self, tenant: str, key_id: str) -> int:
        return self._inner.forget(tenant, key_id)

    def forget_user(self, tenant: str, user: str) -> int:
        return self._inner.forget_user(tenant, user)

    def purge(self, now_ns: int) -> int:
        return self._inner.purge(now_ns)


class SealedOutbox:
    """`core.outbox.OutboxStore`: bodies are sealed, under the key of the task's user. A message whose key was destroyed is given up, since it cannot be told."""

    def __init__(self, inner: OutboxStore, envelope: Envelope, whose: Whose) -> None:
        self._inner, self._envelope, self._whose = inner, envelope, whose

    def put(self, rows: Sequence[OutboxRow]) -> None:
        text, whose = self._envelope.text, self._whose.of_task
        self._inner.put(
            [
                structs.replace(each, body=text(each.tenant, f"outbox/{each.id}", each.body, whose(each.task)))
                for each in rows
            ]
        )

    def take(self, now_ns: int, until_ns: int, *, limit: int) -> list[OutboxRow]:
        taken: list[OutboxRow] = []
        for each in self._inner.take(now_ns, until_ns, limit=limit):
            try:
                body = self._envelope.plain(f"outbox/{each.id}", each.body, each.tenant)
            except KeyDestroyed:
                self._inner.done(each.id)
            else:
                taken.append(structs.replace(each, body=body))
        return taken

    def again(self, message: str, next_ns: int) -> None:
        self._inner.again(message, next_ns)

    def done(self, message: str) -> None:
        self._inner.done(message)

    def waiting(self) -> int:
        return self._inner.waiting()

    def forget(self, tasks: Sequence[str]) -> int:
        return self._inner.forget(tasks)


class SealedSessions:
    """`core.sessions.SessionRows`: each value is sealed by itself, so that changes are put together as before; names stay."""

    def __init__(self, inner: SessionRows, envelope: Envelope) -> None:
        self._inner, self._envelope = inner, envelope

    def read(self, tenant: str, session: str, now_ns: int) -> Values:
        return opened_values(self._envelope, tenant, session, self._inner.read(tenant, session, now_ns))

    def change(
        self, tenant: str, session: str, values: Mapping[str, Any], *, now_ns: int, ends_ns: int, max_bytes: int
    ) -> Values:
        encoded(changed(self.read(tenant, session, now_ns), values), max_bytes)
        sealed = sealed_values(self._envelope, tenant, session, values)
        most = room(max_bytes)
        after = self._inner.change(tenant, session, sealed, now_ns=now_ns, ends_ns=ends_ns, max_bytes=most)
        return opened_values(self._envelope, tenant, session, after)

    def forget(self, tenant: str, session: str, now_ns: int) -> bool:
        return self._inner.forget(tenant, session, now_ns)

    def forget_all(self, tenant: str, prefix: str) -> int:
        return self._inner.forget_all(tenant, prefix)

    def sweep(self, now_ns: int) -> int:
        return self._inner.sweep(now_ns)


class SealedTexts:
    """`core.outbox.TextStore`: what somebody keeps for themselves (`views`) is sealed under their key; everything else says nothing of anybody."""

    def __init__(self, inner: TextStore, envelope: Envelope) -> None:
        self._inner, self._envelope = inner, envelope

    def put(self, tenant: str, kind: TextKind, key: str, text: str, at_ns: int) -> None:
        sealed = self._envelope.text(tenant, f"text/{kind}/{key}", text, key) if kind == "views" else text
        self._inner.put(tenant, kind, key, sealed, at_ns)

    def get(self, tenant: str, kind: TextKind, key: str) -> str | None:
        text = self._inner.get(tenant, kind, key)
        return None if text is None else self._opened(tenant, kind, key, text) or None

    def all(self, tenant: str, kind: TextKind) -> list[tuple[str, str]]:
        """As the inner one; of whoever was erased, an empty text."""
        return [(key, self._opened(tenant, kind, key, text)) for key, text in self._inner.all(tenant, kind)]

    def drop(self, tenant: str, kind: TextKind, key: str) -> None:
        self._inner.drop(tenant, kind, key)

    def _opened(self, tenant: str, kind: TextKind, key: str, text: str) -> str:
        if kind != "views":
            return text
        try:
            return self._envelope.plain(f"text/{kind}/{key}", text, tenant)
        except KeyDestroyed:
            return ""


class SealedBatches:
    """`core.batches.BatchStore`: answers to lines are sealed."""

    def __init__(self, inner: BatchStore, envelope: Envelope) -> None:
        self._inner, self._envelope = inner, envelope
        self._callers: OrderedDict[str, Caller] = OrderedDict()

    def create(self, row: BatchRow) -> None:
        self._inner.create(row)
        self._remember(row)

    def get(self, tenant: str, batch: str) -> BatchRow | None:
        return self._remember(self._inner.get(tenant, batch))

    def claim(
        self, owner: str, *, now_ns: int, lease_until_ns: int, alive: Callable[[str], bool] | None = None
    ) -> BatchRow | None:
        return self._remember(self._inner.claim(owner, now_ns=now_ns, lease_until_ns=lease_until_ns, alive=alive))

    def add_lines(self, batch: str, lines: Sequence[Line]) -> None:
        self._inner.add_lines(batch, [self._sealed(batch, each) for each in lines])

    def answered(self, batch: str, lines: Sequence[Line]) -> None:
        self._inner.answered(batch, [self._sealed(batch, each) for each in lines])

    def answers(self, batch: str, after: int, limit: int) -> Sequence[Line]:
        return [self._opened(batch, each) for each in self._inner.answers(batch, after, limit)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _remember(self, row: BatchRow | None) -> BatchRow | None:
        """Only who has claimed a batch, or made it, keeps answers for it: whose it is is known here by then."""
        if row is not None:
            self._callers[row.id] = structs.replace(row.caller, tenant=row.tenant)
            while len(self._callers) > BATCHES:
                self._callers.popitem(last=False)
        return row

    def _sealed(self, batch: str, line: Line) -> Line:
        if not line.reply:
            return line
        caller = self._callers.get(batch)
        if caller is None:
            raise StoreUnavailable(f"batch {batch} is not worked on here", hint="Claim it before answering its lines.")
        sealed = self._envelope.seal(caller.tenant, f"line/{batch}/{line.line}", line.reply, user=caller.user)
        return structs.replace(line, reply=sealed)

    def _opened(self, batch: str, line: Line) -> Line:
        if line.reply[:1] not in VERSIONS:
            return line
        return structs.replace(line, reply=self._envelope.open(f"line/{batch}/{line.line}", line.reply))


# --- values of sessions, wherever they are kept ---------------------------------------------------------------------


def sealed_values(envelope: Envelope, tenant: str, session: str, values: Mapping[str, Any]) -> Values:
    """Each value sealed; `None`, which removes one, stays."""
    user = user_of(session)
    return {
        name: None
        if value is None
        else envelope.text(tenant, f"session/{session}/{name}", msgspec.json.encode(value).decode(), user)
        for name, value in values.items()
    }


def opened_values(envelope: Envelope, tenant: str, session: str, values: Mapping[str, Any]) -> Values:
    """The same backwards; a value that was sealed with a key that is destroyed is gone."""
    found: Values = {}
    for name, value in values.items():
        if not isinstance(value, str) or not value.startswith(f"{SEALED}:"):
            found[name] = value
            continue
        try:
            found[name] = msgspec.json.decode(envelope.plain(f"session/{session}/{name}", value, tenant))
        except KeyDestroyed:
            continue
    return found


def room(max_bytes: int) -> int:
    """What a session of `max_bytes` may take up once it is sealed; its own bound is looked at before it is."""
    return max_bytes * 32


def _signal(signal: Signal) -> str:
    return f"signal/{signal.task}/{signal.id}"


def _similar(row: SimilarRow) -> str:
    return f"similar/{row.space}/{row.id}"


def _parts(row: KeptResponse, each: Callable[[KeptResponse, str, bytes], bytes]) -> KeptResponse:
    return structs.replace(
        row,
        items=each(row, "items", row.items),
        output=each(row, "output", row.output),
        body=each(row, "body", row.body),
    )
