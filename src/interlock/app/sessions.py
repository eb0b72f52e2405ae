"""Sessions of a workspace: where they are kept, and whose they are.

Above: compose, server. Below: the ledger's or Redis's sessions. A key that was made for one user has that user's sessions and no others'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from interlock.config.schema import Settings as Files
from interlock.core.caller import Caller
from interlock.core.errors import InvalidRequest
from interlock.core.sessions import SessionStore, Values, prefix_of
from interlock.core.store import Store
from interlock.core.time import Clock
from interlock.ledger import Recorder
from interlock.ledger.sessions import StoredSessions

if TYPE_CHECKING:
    from interlock.storage.sealing.envelope import Envelope

_ID = re.compile(r"[A-Za-z0-9_.:@-]{1,200}")
LONGEST_NAME = 200


def sessions_of(
    files: Files, recorder: Recorder, store: Store, clock: Clock, envelope: Envelope | None = None
) -> SessionStore:
    """Where the files say that they are kept. `envelope` seals what Redis is given; the store seals by itself."""
    terms = files.sessions
    ttl_s, max_bytes = terms.ttl_hours * 3_600, terms.max_bytes
    if terms.backend == "redis":
        from interlock.storage.redis_sessions import RedisSessions  # loaded where it is asked for
        from interlock.storage.sealing.beside import room
        from interlock.storage.sealing.shared import SealedSharedSessions

        redis, most = files.redis, max_bytes if envelope is None else room(max_bytes)
        shared = RedisSessions(redis.url, ttl_s=ttl_s, max_bytes=most, timeout_s=redis.timeout_s, prefix=redis.prefix)
        return shared if envelope is None else SealedSharedSessions(shared, envelope, max_bytes)
    return StoredSessions(recorder, store, clock, ttl_s=ttl_s, max_bytes=max_bytes)


class Sessions:
    """Sessions by caller."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def read(self, caller: Caller, session: str) -> Values:
        """Everything in it; empty where it has ended or never was. Raises InvalidRequest: that is no id."""
        return await self._store.read(caller.tenant, _of(caller, session))

    async def change(self, caller: Caller, session: str, values: Mapping[str, Any]) -> Values:
        """Puts values in, removes those that are `None`; what there is then.

        Raises:
            InvalidRequest: that is no id, or a name is empty or too long. SessionTooLarge: it stays as it was.
        """
        if wrong := [name for name in values if not 0 < len(name) <= LONGEST_NAME]:
            raise InvalidRequest(f"{wrong[0]!r} is no name: 1 to {LONGEST_NAME} characters", param="values")
        return await self._store.change(caller.tenant, _of(caller, session), values)

    async def forget(self, caller: Caller, session: str) -> bool:
        """Ends it; whether there was one. Raises InvalidRequest: that is no id."""
        return await self._store.forget(caller.tenant, _of(caller, session))


def _of(caller: Caller, session: str) -> str:
    if not _ID.fullmatch(session):
        raise InvalidRequest("a session's id is 1 to 200 of letters, digits and _.:@-", param="session")
    return f"{prefix_of(caller.user)}{session}" if caller.user else session
