"""Client-side tracking of vendors' rate limits from their response headers, so that a call that would get a 429 is not sent.

Above: attempt, health. Below: `core.ports` (`Room`). One object per deployment, which is a model behind one credential. A reply tells a bucket's
size, what is left of it and when it will be full again; between two replies the level rises at the rate that follows from that, and falls
with what is sent. Calls under way are taken off what a reply says, since it may not know of them yet. A vendor that refuses
although its bucket should have had room fills it in steps and not steadily; its level then rises only when it is full again.
"""

from __future__ import annotations

from collections.abc import Iterable

from interlock.core.ports import Room

SLACK_S = 0.01


class Bucket:
    """One limit of a vendor's: so many requests or tokens per some time."""

    __slots__ = ("at_s", "full_at_s", "level", "limit", "steps")

    def __init__(self) -> None:
        self.limit = 0.0
        self.level = 0.0
        self.at_s = 0.0
        self.full_at_s = 0.0
        self.steps = False
        """It is filled all at once, as was seen by a refusal."""

    def told(self, room: Room, under_way: float, now_s: float) -> None:
        """The vendor said how much is left."""
        self.limit = room.limit
        self.level = room.left - under_way
        self.at_s = now_s
        self.full_at_s = now_s + room.full_in_s

    def left(self, now_s: float) -> float:
        """What should be left by now."""
        if now_s >= self.full_at_s:
            return self.limit
        if self.steps:
            return self.level
        return self.level + (self.limit - self.level) * (now_s - self.at_s) / (self.full_at_s - self.at_s)

    def sent(self, amount: float, now_s: float) -> None:
        """So much was sent: the level falls, and it takes that much longer to be full."""
        left = self.left(now_s)
        rate = (self.limit - self.level) / (self.full_at_s - self.at_s) if self.full_at_s > self.at_s else 0.0
        rate = rate if rate > 0 else self.limit / 60.0
        self.level, self.at_s = left - amount, now_s
        self.full_at_s = max(self.full_at_s, now_s) if self.steps else now_s + (self.limit - self.level) / rate

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until `amount` should fit, zero where it does now. What is larger than the whole bucket waits until that is full."""
        missing = min(amount, self.limit) - self.left(now_s)
        if missing <= 0:
            return 0.0
        until_full_s = self.full_at_s - now_s
        if self.steps or until_full_s <= 0:
            return max(until_full_s, SLACK_S)
        return max(SLACK_S, until_full_s * missing / max(self.limit - self.left(now_s), missing))


class VendorLimits:
    """The buckets of one deployment, and what is under way to it."""

    __slots__ = ("_buckets", "_calls", "_tokens", "known")

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._calls = 0
        self._tokens = 0
        self.known = False
        """Some limit was told or declared; until then nothing here costs a call anything."""

    def declared(self, requests_per_minute: int, tokens_per_minute: int, now_s: float) -> None:
        """Limits that the configuration names, to begin with; the vendor's own words replace them."""
        rooms = (
            Room("requests", requests_per_minute, requests_per_minute, 0.0),
            Room("tokens", tokens_per_minute, tokens_per_minute, 0.0),
        )
        for room in rooms:
            if room.limit and room.kind not in self._buckets:
                self._bucket(room.kind).told(room, 0.0, now_s)

    def heard(self, rooms: Iterable[Room], now_s: float) -> None:
        """A reply of the vendor's said how much is left."""
        others = max(0, self._calls - 1)  # the vendor has counted the one that it answers
        ahead = {"requests": float(others), "output_tokens": 0.0}
        tokens = self._tokens * others / self._calls if others else 0.0
        for room in rooms:
            self._bucket(room.kind).told(room, ahead.get(room.kind, tokens), now_s)

    def refused(self, now_s: float) -> None:
        """The vendor had no room although there should have been some."""
        for bucket in self._buckets.values():
            if bucket.left(now_s) >= 1.0 and bucket.full_at_s > now_s:
                bucket.steps = True

    def wait_s(self, tokens: int, now_s: float) -> float:
        """Seconds until a call of so many tokens should find room."""
        longest_s = 0.0
        for kind, bucket in self._buckets.items():
            amount = 1.0 if kind in ("requests", "output_tokens") else float(tokens)
            longest_s = max(longest_s, bucket.wait_s(amount, now_s))
        return longest_s

    def sent(self, tokens: int, now_s: float) -> None:
        """A call of so many tokens goes out; `ended` is owed for it."""
        self._calls += 1
        self._tokens += tokens
        for kind, bucket in self._buckets.items():
            if kind != "output_tokens":
                bucket.sent(1.0 if kind == "requests" else float(tokens), now_s)

    def ended(self, tokens: int) -> None:
        """The call has ended, whatever way."""
        self._calls = max(0, self._calls - 1)
        self._tokens = max(0, self._tokens - tokens)

    def _bucket(self, kind: str) -> Bucket:
        self.known = True
        return self._buckets.setdefault(kind, Bucket())
