"""The semantic cache in a running instance: off the event loop, bounded, written in groups, read back at the start.

Above: compose. Below: ondevice.semantic, ledger, and the port `core.answers.SimilarAnswers`. numpy and the model are loaded on construction.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, cast

import msgspec

from interlock.config.schema import SemanticCache as Terms
from interlock.core.answers import Near, ScopeState, SimilarRow, SimilarState, SimilarStore
from interlock.core.errors import StoreUnavailable
from interlock.core.store import Store
from interlock.core.time import Clock
from interlock.ledger import Recorder

from .tier0 import Model

if TYPE_CHECKING:
    from interlock.ondevice.promise_kept import Record
    from interlock.ondevice.semantic import Entry, Found

LOOK_WITHIN_S = 0.5
"""A look-up that takes longer is as good as a miss."""
MOST_AT_ONCE = 64
WRITE_EVERY_S = 5.0
"""What a killed process may lose of it; a scope's comparisons are written whole, some 80 kB."""
_TRIM_EVERY = 1024
_log = logging.getLogger("interlock.caches")


class Similar:
    """`core.answers.SimilarAnswers` over the on-device cache and a store."""

    def __init__(
        self, terms: Terms, model: Model, rng: random.Random, clock: Clock, recorder: Recorder, store: SimilarStore
    ) -> None:
        """Raises ConfigError where the embedding model is not on this machine."""
        from interlock.ondevice import judge, promise_kept, rows, semantic

        promised = promise_kept.Terms(terms.error_budget, terms.audit, terms.similarity_threshold, terms.trusted)
        embed = model().embed
        self._cache = semantic.SemanticCache(
            promised,
            embed,
            rng,
            clock,
            judge=judge.same_text if terms.judge == "text" else judge.same_meaning(embed),
            ttl_s=terms.ttl_seconds,
            max_entries=terms.max_entries,
        )
        self._rows, self._promised, self._most = rows, promised, terms.max_entries
        self._clock, self._recorder, self._store = clock, recorder, store
        self._looking = 0
        self._waiting: list[SimilarRow] = []
        self._changed: set[str] = set()
        self._written = 0
        self._write_at: asyncio.TimerHandle | None = None

    async def look(self, tenant: str, scope: str, space: str, text: str) -> Near | None:
        if self._looking >= MOST_AT_ONCE:
            return Near("not asked: too many look-ups at once")
        self._looking += 1
        try:
            async with asyncio.timeout(LOOK_WITHIN_S):
                found = await asyncio.to_thread(self._cache.look, joined(tenant, scope), text, joined(tenant, space))
        except TimeoutError:
            return Near(f"not asked: no answer within {LOOK_WITHIN_S:g} s")
        finally:
            self._looking -= 1
        served = found.served
        return Near(found.reason, None if served is None else served.value, found)

    async def learn(self, ticket: object, answer: str, value: bytes) -> None:
        if ticket is None:
            return
        found = cast("Found", ticket)
        entry = await asyncio.to_thread(self._cache.learn, found, answer, value)
        self._waiting.append(self._row(entry, found))
        self._changed.add(found.scope)
        if self._write_at is None:
            self._write_at = asyncio.get_running_loop().call_later(WRITE_EVERY_S, self.write)

    def forget(self, tenant: str = "") -> int:
        """Drops what is in memory of one tenant's answers, or everybody's, and what waits to be stored; how many."""
        self._waiting = [each for each in self._waiting if tenant not in ("", each.tenant)]
        return self._cache.clear(joined(tenant, "") if tenant else "")

    def states(self) -> list[ScopeState]:
        return [state_of(scope, record) for scope, record in sorted(self._cache.records().items())]

    def read_back(self) -> int:
        """Takes in what former processes stored; returns how many answers. To be run in a thread; a store that fails is an empty one."""
        try:
            for state in self._store.states():
                self._cache.restore(
                    joined(state.tenant, state.scope), self._rows.record_of(state.state, self._promised)
                )
            rows = self._store.newest(self._clock.wall_ns(), self._most)
            for row in reversed(rows):
                self._cache.put(*self._rows.entry_of(row.value))
        except (StoreUnavailable, msgspec.MsgspecError) as error:
            _log.warning("the stored semantic cache cannot be read, it begins empty: %s", error)
            return 0
        return len(rows)

    def write(self) -> None:
        """Queues what has been learned since the last time, behind the ledger's writes."""
        self._write_at = None
        rows, self._waiting = self._waiting, []
        scopes, self._changed = self._changed, set()
        records = self._cache.records()
        states = [
            SimilarState(*_parts(each), self._rows.packed_record(records[each])) for each in scopes if each in records
        ]
        if not rows and not states:
            return
        before, self._written = self._written, self._written + len(rows)
        trim = before // _TRIM_EVERY != self._written // _TRIM_EVERY
        now_ns = self._clock.wall_ns()

        def keeping(store: Store) -> None:
            store.similar.put_all(rows, states)
            if trim:
                store.similar.trim(now_ns, self._most)

        self._recorder.defer(keeping, sum(len(row.value) for row in rows) + sum(len(each.state) for each in states))

    def close(self) -> None:
        """Queues what is left; the recorder writes it when it closes."""
        if self._write_at is not None:
            self._write_at.cancel()
        self.write()

    def _row(self, entry: Entry, found: Found) -> SimilarRow:
        tenant, scope = _parts(entry.scope)
        value = self._rows.packed_entry(entry, found.vector)
        return SimilarRow(tenant, entry.space, entry.id, scope, entry.fresh_until_ns, value)


def state_of(scope: str, record: Record) -> ScopeState:
    """How one scope stands, for people."""
    return ScopeState(*_parts(scope), record.mode, record.why, record.served, record.comparisons, record.bar)


def joined(tenant: str, name: str) -> str:
    """A scope or space under its tenant."""
    return f"{tenant}\n{name}"


def _parts(scope: str) -> tuple[str, str]:
    tenant, _, name = scope.partition("\n")
    return tenant, name
