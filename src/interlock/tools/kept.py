"""Answers of tools that may be given again: by tenant, user, tool and arguments, for as long as the contract says.

Above: `call`. Below: core. Only tools whose effect is `none` are kept; a failure never is.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import msgspec

from interlock.core.caller import Caller
from interlock.core.time import Clock

MAX_ENTRIES = 2_000
MAX_BYTES = 8_000_000


class KeptAnswers:
    """A bounded memory of results, the least used dropped first."""

    def __init__(self, clock: Clock, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    @staticmethod
    def key(caller: Caller, tool: str, arguments: Any) -> str:
        """The same for the same question of the same person; arguments in any order."""
        asked = msgspec.json.encode([caller.tenant, caller.user, tool, arguments], order="sorted", enc_hook=str)
        return hashlib.blake2b(asked, digest_size=16).hexdigest()

    def look(self, key: str) -> tuple[Any, float] | None:
        """(result, seconds for which it stays fresh); `None` when there is none."""
        found = self._entries.get(key)
        if found is None:
            return None
        until_s, data = found
        left_s = until_s - self._clock.monotonic_s()
        if left_s <= 0:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return msgspec.json.decode(data), left_s

    def keep(self, key: str, result: Any, ttl_s: float) -> None:
        """Keeps a plain JSON value."""
        data = msgspec.json.encode(result)
        if len(data) > self._max_bytes // 10:
            return
        if key in self._entries:
            self._drop(key)
        self._entries[key] = (self._clock.monotonic_s() + ttl_s, data)
        self._bytes += len(data)
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        _, data = self._entries.pop(key)
        self._bytes -= len(data)
