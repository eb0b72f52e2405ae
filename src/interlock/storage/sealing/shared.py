"""What replicas share in Redis, sealed: cached answers and sessions.

Above: `app`, around what it puts together. Below: the seams in core, envelope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from interlock.core.answers import AnswerStore, CacheEntry, Keeping
from interlock.core.sessions import SessionStore, Values, changed
from interlock.storage.sessions import encoded

from .beside import opened_values, sealed_values
from .envelope import Envelope


class SealedAnswers:
    """`core.answers.AnswerStore`: a value that cannot be opened was never there."""

    def __init__(self, inner: AnswerStore, envelope: Envelope) -> None:
        self._inner, self._envelope = inner, envelope

    async def get(self, tenant: str, key: bytes) -> CacheEntry | None:
        entry = await self._inner.get(tenant, key)
        value = None if entry is None else self._envelope.known(_place(key), entry.value, tenant)
        return None if entry is None or value is None else structs.replace(entry, value=value)

    async def put(self, group: Sequence[Keeping]) -> None:
        seal = self._envelope.seal
        await self._inner.put(
            [
                structs.replace(each, value=seal(each.tenant, _place(each.key), each.value, kind="answers"))
                for each in group
            ]
        )

    async def keys(self, kept_after_ns: int) -> list[bytes]:
        return await self._inner.keys(kept_after_ns)

    async def clear(self, tenant: str = "") -> int:
        return await self._inner.clear(tenant)

    async def close(self) -> None:
        await self._inner.close()


class SealedSharedSessions:
    """`core.sessions.SessionStore`."""

    def __init__(self, inner: SessionStore, envelope: Envelope, max_bytes: int) -> None:
        """`max_bytes`: of a session as it is read; `inner` has room for sealed values (`beside.room`)."""
        self._inner, self._envelope, self._max_bytes = inner, envelope, max_bytes

    async def read(self, tenant: str, session: str) -> Values:
        return opened_values(self._envelope, tenant, session, await self._inner.read(tenant, session))

    async def change(self, tenant: str, session: str, values: Mapping[str, Any]) -> Values:
        encoded(changed(await self.read(tenant, session), values), self._max_bytes)
        sealed = sealed_values(self._envelope, tenant, session, values)
        return opened_values(self._envelope, tenant, session, await self._inner.change(tenant, session, sealed))

    async def forget(self, tenant: str, session: str) -> bool:
        return await self._inner.forget(tenant, session)

    async def close(self) -> None:
        await self._inner.close()


def _place(key: bytes) -> str:
    return f"cache/{key.hex()}"
