"""The seam of the exact cache: answers under keys, at hand in memory or kept in a slower store behind it.

Above: gateway asks an `AnswerCache`; plugins.caches.front keeps its memory before an `AnswerStore`, which memory, SQLite and Redis
implement. Below: msgspec. A key holds everything an answer depends on, the tenant included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

KEY_BYTES = 20
"""Of a digest."""


class CacheEntry(Struct, frozen=True, gc=False):
    """A cached value, with the instant until which it is fresh."""

    value: bytes
    stored_ns: int
    fresh_until_ns: int


class Keeping(Struct, frozen=True, gc=False):
    """An answer on its way into a cache. Instants are nanoseconds since the epoch."""

    tenant: str
    key: bytes
    value: bytes
    stored_ns: int
    fresh_until_ns: int
    keep_until_ns: int
    """Until then the degradation ladder may still serve it."""

    @property
    def entry(self) -> CacheEntry:
        return CacheEntry(self.value, self.stored_ns, self.fresh_until_ns)


class AnswerCache(Protocol):
    """What the walk asks. `at_hand`, `unseen`, `elsewhere` and `put` look at memory alone: no disk, no network, no lock that is held elsewhere."""

    def at_hand(self, key: bytes) -> CacheEntry | None:
        """The entry, if it is in memory. One past its time may still be returned: its caller looks how old it is."""
        ...

    def unseen(self, key: bytes) -> bool:
        """Neither in memory nor, by what is known here, in the slow store."""
        ...

    def elsewhere(self, key: bytes) -> bool:
        """Whether the slow store may have it. Wrong in under one of a hundred cases, and then only by saying yes."""
        ...

    async def fetch(self, key: bytes, tenant: str) -> CacheEntry | None:
        """Reads the slow store, off the event loop and within a bound; `None` too where it fails or takes longer."""
        ...

    def put(self, group: Sequence[Keeping]) -> None:
        """Keeps them in memory now and in the slow store soon. Never waits; what does not fit is not kept."""
        ...


class Near(Struct, frozen=True):
    """What the semantic cache makes of a question."""

    reason: str
    """One line for the call's event: why the answer is served, or why the model is asked."""
    served: bytes | None = None
    """The stored answer to serve; `None`: ask the model."""
    ticket: object = None
    """To hand back with the model's answer."""


class SimilarAnswers(Protocol):
    """Answers to questions that mean the same, served within an error budget. What takes time happens off the event loop."""

    async def look(self, tenant: str, scope: str, space: str, text: str) -> Near | None:
        """`None` where it cannot say in time. `scope`: what evidence is gathered about; `space`: who may share answers."""
        ...

    async def learn(self, ticket: object, answer: str, value: bytes) -> None:
        """The model's answer to a question that was not served: compared with the cache's own, and kept."""
        ...

    def states(self) -> list[ScopeState]:
        """How each scope that has been used stands."""
        ...


class ScopeState(Struct, frozen=True):
    """One scope of the semantic cache, for people."""

    tenant: str
    scope: str
    mode: str
    """`shadow`, `live` or `off`."""
    why: str
    served: int
    compared: int
    bar: float
    """Chance of being right that an answer needs."""


class AnswerStore(Protocol):
    """A back end. Bounded by entries; keeps no entry past `keep_until_ns` for long.

    Raises:
        StoreUnavailable: from every method, when it cannot be read or written.
    """

    async def get(self, tenant: str, key: bytes) -> CacheEntry | None: ...

    async def put(self, group: Sequence[Keeping]) -> None:
        """Keeps a group in one go; of two entries under one key the later one stays."""
        ...

    async def keys(self, kept_after_ns: int) -> list[bytes]:
        """Keys of entries whose `keep_until_ns` is later: with 0 all of them, else those that have come since.

        What was put here itself may be left out, but with 0.
        """
        ...

    async def clear(self, tenant: str = "") -> int:
        """Removes one tenant's answers, or everybody's; returns how many."""
        ...

    async def close(self) -> None:
        """Lets go of what it holds open; nothing is asked of it afterwards."""
        ...


class SimilarRow(Struct, frozen=True):
    """An answer of the semantic cache as it is stored."""

    tenant: str
    space: str
    id: str
    scope: str
    expires_ns: int
    value: bytes
    """Question, vector and answer, in the cache's own form."""


class SimilarState(Struct, frozen=True):
    """What a scope has learned about its own errors, in the cache's own form."""

    tenant: str
    scope: str
    state: bytes


class SimilarStore(Protocol):
    """Where the semantic cache outlives the process. Raises StoreUnavailable from every method."""

    def put_all(self, rows: Sequence[SimilarRow], states: Sequence[SimilarState]) -> None:
        """Keeps both in one transaction, each in the place of the one before."""
        ...

    def newest(self, now_ns: int, limit: int) -> list[SimilarRow]:
        """What has not expired, that which lives longest first."""
        ...

    def states(self) -> list[SimilarState]: ...

    def trim(self, now_ns: int, entries: int) -> None:
        """Removes what has expired, and all but that many."""
        ...

    def forget(self, tenant: str = "", scope: str = "") -> int:
        """Makes scopes begin anew in the shadow; returns how many."""
        ...

    def clear(self, tenant: str = "") -> int:
        """Removes one tenant's answers, or everybody's; returns how many."""
        ...


class Placed(NamedTuple):
    """Where rows stand in the order in which a store's rows came."""

    before: int
    """The place of the row that came last before them."""
    last: int


class CacheStore(Protocol):
    """Whole answers under a key; the key holds everything the answer depends on."""

    def get(self, tenant: str, key: bytes, now_ns: int) -> CacheEntry | None: ...

    def put_all(self, group: Sequence[Keeping], now_ns: int, most: int = 0) -> Placed | None:
        """Keeps them all in one transaction, each in the place of the one before, until its time is over or a second longer.

        `most`: what has expired goes too, and all but so many of those that came last; 0: nothing else is looked at. `None`: this
        store keeps no order.
        """
        ...

    def keys(self, after: int, kept_after_ns: int, limit: int) -> tuple[list[bytes], int]:
        """Keys of every tenant's entries that came after the place `after`, newest first, and the place of the last of them.

        A store that keeps no order tells those that expire after `kept_after_ns`, and `after` as it was.
        """
        ...

    def clear(self, tenant: str = "") -> int:
        """Removes one tenant's answers, or everybody's; returns how many."""
        ...
