"""The semantic cache: answers to questions that mean the same, served within an error budget.

Above: `app`, which keeps it off the event loop and stores what it learns; `would_share` and `SemanticCache` may be used by themselves:

    cache = SemanticCache(Terms(), MiniLM.load().embed, random.Random(7), SystemClock())
    found = cache.look("acme/support", "Where is my parcel?")
    if found.served is None:
        cache.learn(found, answer)

Below: similar, guards, judge, promise_kept. A *scope* is what evidence is gathered about; a *space* holds the questions that may answer each
other, since everything around them is equal.
"""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from threading import RLock
from typing import Literal

from msgspec import Struct

from interlock.core.time import NS_PER_S, Clock

from .guards import differs, wording
from .judge import Judge, plain, same_meaning
from .minilm import Vectors
from .promise_kept import Features, Record, Terms
from .similar import VectorIndex

NEIGHBOURS = 12
NEAR_ENOUGH = 0.6
"""Cosine that the nearest question must have for there to be anything to decide."""
CLOSENESS = 20.0
"""How fast a neighbour's say fades with its distance from the nearest one."""
MOST_SCOPES = 256
Kind = Literal["hit", "audit", "shadow", "miss"]
Embed = Callable[[Sequence[str]], Vectors]


class Entry(Struct, frozen=True):
    """An answer that was given to a question."""

    id: str
    scope: str
    space: str
    text: str
    answer: str
    value: bytes
    """The whole answer as its owner stores it."""
    group: str
    """Answers that say the same have the same one."""
    stored_ns: int
    fresh_until_ns: int


class Found(Struct, frozen=True):
    """What the cache makes of one question."""

    kind: Kind
    """`hit`: serve `entry`. Everything else: ask the model, then `learn`."""
    reason: str
    """One line for a person: why it is served, or why not."""
    scope: str
    space: str
    text: str
    vector: Vectors
    entry: Entry | None = None
    features: Features | None = None
    passes: bool = False
    """The answer would be served if the scope were live."""
    around: tuple[Entry, ...] = ()

    @property
    def served(self) -> Entry | None:
        return self.entry if self.kind == "hit" else None


class Verdict(Struct, frozen=True):
    """Whether one text's answer would serve another."""

    served: bool
    reason: str
    cosine: float


def would_share(a: str, b: str, embed: Embed, terms: Terms | None = None) -> Verdict:
    """Whether the answer to `a`, kept in a live cache with no comparisons of its own, would be served to `b`, and why not."""
    vectors = embed([a, b])
    cosine = float(vectors[0] @ vectors[1])
    threshold = (terms or Terms()).similarity_threshold
    why = differs(a, b) or (None if a == b else wording(a, b))
    if why is None and cosine < threshold:
        why = f"cosine {cosine:.3f} < {threshold:g}"
    return Verdict(why is None, why or f"cosine {cosine:.3f} ≥ {threshold:g}, and nothing speaks against it", cosine)


class SemanticCache:
    """Thread-safe; a look-up embeds its text and compares it with every vector of its space, so keep it off an event loop."""

    def __init__(
        self,
        terms: Terms,
        embed: Embed,
        rng: random.Random,
        clock: Clock,
        *,
        judge: Judge | None = None,
        ttl_s: float = 86_400.0,
        max_entries: int = 10_000,
    ) -> None:
        self._terms = terms
        self._embed = embed
        self._rng = rng
        self._clock = clock
        self._judge = judge or same_meaning(embed)
        self._ttl_ns = int(ttl_s * NS_PER_S)
        self._index = VectorIndex(max_entries)
        self._entries: dict[tuple[str, str], Entry] = {}
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self._entries)

    def record(self, scope: str) -> Record:
        """What is known about a scope; the one used longest ago is forgotten when there are too many."""
        with self._lock:
            found = self._records.get(scope)
            if found is None:
                found = self._records[scope] = Record.begun(self._terms)
                if len(self._records) > MOST_SCOPES:
                    self._records.popitem(last=False)
            self._records.move_to_end(scope)
            return found

    def records(self) -> dict[str, Record]:
        with self._lock:
            return dict(self._records)

    def restore(self, scope: str, record: Record) -> None:
        """Puts back what a former process had learned, unless this one has begun to."""
        with self._lock:
            self._records.setdefault(scope, record)

    def put(self, entry: Entry, vector: Vectors) -> None:
        """Keeps an answer; the one unused for longest makes room."""
        with self._lock:
            gone = self._index.add(entry.id, vector, namespace=entry.space)
            self._entries[entry.space, entry.id] = entry
            if gone is not None:
                self._entries.pop(gone, None)

    def clear(self, prefix: str = "") -> int:
        """Forgets the answers of every space whose name begins so, and nothing of what scopes have learned about errors; how many."""
        with self._lock:
            gone = [key for key in self._entries if key[0].startswith(prefix)]
            for space, name in gone:
                self._index.remove(name, namespace=space)
                del self._entries[space, name]
        return len(gone)

    def look(self, scope: str, text: str, space: str = "") -> Found:
        """What to do with a question. Nothing but a `hit` may be served."""
        space = space or scope
        vector = self._embed([text])[0]
        with self._lock:
            record = self.record(scope)
            near = self._near(space, vector)
            nothing = Found("miss", "no question like it", scope, space, text, vector, around=tuple(e for e, _ in near))
            if not near or near[0][1] < NEAR_ENOUGH:
                return nothing
            entry, features, why = _best(text, near)
            if entry is None or features is None:
                return Found("miss", why, scope, space, text, vector, around=nothing.around)
            passes = record.passes(features)
            kind, reason = self._decided(record, features, passes=passes)
            return Found(kind, reason, scope, space, text, vector, entry, features, passes, nothing.around)

    def learn(self, found: Found, answer: str, value: bytes = b"") -> Entry:
        """What the model answered after all: compared with what the cache had, and kept for the next question."""
        same = None if found.entry is None else self._judge(found.entry.answer, answer)
        group = found.entry.group if found.entry is not None and same else self._group(found, answer)
        now_ns = self._clock.wall_ns()
        with self._lock:
            record = self.record(found.scope)
            if same is not None and found.features is not None:
                audited = found.kind == "audit"
                weight = 1.0 / self._terms.audit if audited else 1.0
                record.learn(found.features, same=same, counted=found.passes and found.kind != "miss", weight=weight)
            entry = Entry(
                digest(found.text),
                found.scope,
                found.space,
                found.text,
                answer,
                value,
                group,
                now_ns,
                now_ns + self._ttl_ns,
            )
            self.put(entry, found.vector)
        return entry

    def _near(self, space: str, vector: Vectors) -> list[tuple[Entry, float]]:
        """The nearest ones that are fresh, the nearest first."""
        now_ns = self._clock.wall_ns()
        near: list[tuple[Entry, float]] = []
        for key, cosine in self._index.nearest(vector, namespace=space, most=NEIGHBOURS):
            entry = self._entries.get((space, key))
            if entry is None or now_ns >= entry.fresh_until_ns:
                self._index.remove(key, namespace=space)
                self._entries.pop((space, key), None)
            else:
                near.append((entry, cosine))
        return near

    def _decided(self, record: Record, features: Features, *, passes: bool) -> tuple[Kind, str]:
        chance = record.chance(features)
        told = f"cosine {features.cosine:.3f}, {features.agreement:.0%} of its neighbours agree, {chance:.1%} sure"
        if record.mode == "off":
            return "miss", f"switched off: {record.why}"
        if not passes:
            return "miss", f"not sure enough: {told}"
        if record.mode == "shadow":
            return "shadow", f"in the shadow, {told}; {record.why}"
        if self._rng.random() < self._terms.audit:
            return "audit", f"audited: {told}"
        record.served += 1
        return "hit", told

    def _group(self, found: Found, answer: str) -> str:
        """That of a neighbour with an answer that says the same, or one of its own."""
        seen: set[str] = set()
        for entry in found.around:
            if entry.group not in seen and len(seen) < 4 and self._judge(entry.answer, answer):
                return entry.group
            seen.add(entry.group)
        return digest(plain(answer))


def digest(text: str) -> str:
    """A short name for a text."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


def _best(text: str, near: Sequence[tuple[Entry, float]]) -> tuple[Entry | None, Features | None, str]:
    """The answer that the neighbours favour, by the nearest of its questions that no guard speaks against; with why there is none."""
    nearest = near[0][1]
    says: dict[str, float] = {}
    for entry, cosine in near:
        says[entry.group] = says.get(entry.group, 0.0) + math.exp(CLOSENESS * (cosine - nearest))
    group = max(says, key=lambda each: says[each])
    cosine = max(cosine for entry, cosine in near if entry.group == group)
    others = [cosine for entry, cosine in near if entry.group != group]
    # Where all that are near have one answer, the next one is at best as near as the last of them.
    lead = cosine - (max(others) if others else near[-1][1] if len(near) == NEIGHBOURS else 0.0)
    agreement = says[group] / sum(says.values())
    why = ""
    for entry, _ in near:
        if entry.group != group:
            continue
        reason = differs(text, entry.text)
        if reason is None:
            same_words = float(text == entry.text or wording(text, entry.text) is None)
            return entry, Features(cosine, max(-0.2, min(lead, 0.4)), agreement, same_words), ""
        why = why or reason
    return None, None, f"cosine {cosine:.3f}, but {why}"
