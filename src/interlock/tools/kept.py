"""A cache of tools' answers: by tenant, user, tool, its terms and arguments, for as long as the contract says.

Above: `call`. Below: grant, core. Only tools whose effect is `none` are kept; a failure never is, nor what another tool said instead.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import msgspec

from interlock.core.caller import Caller
from interlock.core.guards import Seen
from interlock.core.time import Clock

from .grant import Grant

MAX_ENTRIES = 2_000
MAX_BYTES = 8_000_000


class Kept(msgspec.Struct, frozen=True):
    """An answer that was found."""

    result: Any
    seen: Seen
    """What stood out in it when it came: an answer from memory is no more trusted than it was."""
    labels: frozenset[str]
    """What it bears by its tool's own word."""
    age_s: float


class KeptAnswers:
    """A bounded memory of results, the least used dropped first."""

    def __init__(self, clock: Clock, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._entries: OrderedDict[str, tuple[float, bytes, Seen, frozenset[str]]] = OrderedDict()
        self._bytes = 0

    @staticmethod
    def key(caller: Caller, grant: Grant, arguments: Any) -> str:
        """The same for the same question of the same person on the same terms; arguments in any order."""
        terms = [grant.tool.name, grant.fields, grant.credentials, grant.reveal]
        asked = msgspec.json.encode([caller.tenant, caller.user, terms, arguments], order="sorted", enc_hook=str)
        return hashlib.blake2b(asked, digest_size=16).hexdigest()

    def look(self, key: str, ttl_s: float) -> Kept | None:
        """The answer, where it is younger than `ttl_s`: how old it may be is the word of the one who asks."""
        found = self._entries.get(key)
        if found is None:
            return None
        born_s, data, seen, labels = found
        age_s = self._clock.monotonic_s() - born_s
        if age_s >= ttl_s:
            return None
        self._entries.move_to_end(key)
        return Kept(msgspec.json.decode(data), seen, labels, age_s)

    def keep(self, key: str, result: Any, seen: Seen, labels: frozenset[str]) -> None:
        """Keeps a plain JSON value, in the place of an older one."""
        data = msgspec.json.encode(result)
        if key in self._entries:
            self._drop(key)
        if len(data) > self._max_bytes // 10:
            return
        self._entries[key] = (self._clock.monotonic_s(), data, seen, labels)
        self._bytes += len(data)
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Forgets all of them."""
        self._entries.clear()
        self._bytes = 0

    def _drop(self, key: str) -> None:
        self._bytes -= len(self._entries.pop(key)[1])
