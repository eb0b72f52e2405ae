"""Budgets for further sends (retries, fallbacks, hedges), so that the gateway does not amplify a vendor's outage.

Above: attempt, health. Below: `core`. A call's first send is its own business; every further one (another try, a fallback) is *extra*, and in a
full outage the extra ones are what kills whoever is trying to get up again. So an extra send goes out where its deployment is in good
standing (its last answer was one), and then like TCP's slow start (RFC 5681 §3.1): few at first, more with each that was answered; whoever comes
beyond that waits for an answer to judge by. To a deployment that failed last it goes only at the cost of a token of the common budget
(`Extras`), which calls and time fill slowly and successes give back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Literal

MOST_HEDGES = 5.0
MAX_WINDOW = 10_000.0
GROWTH = 2.0
"""Extra sends that each answered one makes room for: the room triples with each round of answers."""


class Extras:
    """The common budget of extra sends to deployments that failed last. Of one process."""

    __slots__ = ("_most", "_per_call", "_per_s", "_seen_s", "tokens")

    def __init__(self, most: float, per_call: float, per_s: float) -> None:
        """At most `most` tokens, filled by `per_call` with each call and by `per_s` with each second."""
        self._most = most
        self._per_call = per_call
        self._per_s = per_s
        self._seen_s = 0.0
        self.tokens = most

    def called(self) -> None:
        """A call sent its first try."""
        if self.tokens < self._most:
            self.tokens += self._per_call

    def ready(self, now_s: float) -> bool:
        """Whether there is a token."""
        if self.tokens < self._most:
            self.tokens = min(self._most, self.tokens + (now_s - self._seen_s) * self._per_s)
        self._seen_s = now_s
        return self.tokens >= 1.0

    def take(self, now_s: float) -> bool:
        """One token, where there is one."""
        if not self.ready(now_s):
            return False
        self.tokens -= 1.0
        return True

    def give_back(self) -> None:
        """The extra send was answered: it helped, and amplified no outage."""
        self.tokens = min(self._most, self.tokens + 1.0)


class Hedges:
    """How many second tries for the sake of the tail are in hand. Earned by answers only, so that an outage earns none."""

    __slots__ = ("_share", "in_hand")

    def __init__(self, share: float) -> None:
        self._share = share
        self.in_hand = 0.0

    def answered(self) -> None:
        self.in_hand = min(MOST_HEDGES, self.in_hand + self._share)

    def take(self) -> bool:
        if self.in_hand < 1.0:
            return False
        self.in_hand -= 1.0
        return True


class Standing:
    """One deployment in the eyes of extra sends."""

    __slots__ = ("_waiting", "good", "under_way", "window")

    def __init__(self) -> None:
        self.good = True
        """Its last answer was one, or it has not been asked yet."""
        self.window = 1.0
        """Extra sends that may be under way at once."""
        self.under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def may(self) -> Literal["go", "wait", "no"]:
        """Whether an extra send may go out now, has to wait for the answer to another one, or needs a token."""
        if not self.good:
            return "no"
        return "go" if self.under_way < self.window else "wait"

    async def change(self) -> None:
        """Returns when an extra send has ended; to be awaited after `may` said `wait`, within a deadline."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)

    def begin(self) -> None:
        self.under_way += 1

    def ended(self, well: bool | None) -> None:
        """An extra send was answered, failed, or (`None`) ended without showing anything."""
        self.under_way -= 1
        if well:
            self.good = True
            self.window = min(MAX_WINDOW, self.window + GROWTH)
        elif well is False:
            self.failed()
        self._wake()

    def failed(self) -> None:
        """The deployment failed; whoever waits need not wait any longer."""
        self.good = False
        self.window = 1.0
        self._wake()

    def _wake(self) -> None:
        room = len(self._waiting) if not self.good else int(self.window) - self.under_way
        while room > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1
