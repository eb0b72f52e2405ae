"""Limits that replicas share, counted in Redis: one script reserves at every count or at none, another puts the truth in its place.

Above: `app` hands these to the gateway as `core.limits.SharedCounts`. Below: core, redis.

What is asked while a round trip is under way goes along with the next one. Reservations and settlements carry an id, so that one
whose answer was lost can be sent again without counting twice; what a replica held when it died stays counted at its estimate, as
its ledger counts it, but for calls under way, which end with their time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from redis.exceptions import NoScriptError, RedisError

from interlock.core.caller import Secret
from interlock.core.ids import Ids
from interlock.core.limits import GRAINS, NOTHING, Answered, Ask, Vector, identity
from interlock.core.time import NS_PER_S, Clock

from .redis_open import redis_at
from .statements import script

_log = logging.getLogger("interlock.limits")
MOST_TOGETHER = 256
MOST_WAITING = 100_000
"""Settlements kept while Redis is away; beyond that the oldest are dropped and stay counted at their estimate."""
AGAIN_S = 0.25
"""How often a store that was lost is looked for; until it is back every limit does at once what it declares."""
GRACE_MS = 60_000


class _Waiting(Struct):
    """One script call that waits for its turn."""

    name: str
    arguments: tuple[str, ...]
    answer: asyncio.Future[Any] | None
    """Nobody waits for a settlement; it is sent again until it arrives."""


class RedisCounts:
    """`core.limits.SharedCounts` on one Redis. Belongs to the event loop that uses it."""

    def __init__(
        self, url: Secret, clock: Clock, ids: Ids, *, timeout_s: float = 0.25, prefix: str = "interlock"
    ) -> None:
        """`timeout_s` bounds what a call waits for it, connecting included."""
        self._redis = redis_at(url, timeout_s, texts=True)
        self._clock = clock
        self._ids = ids
        self._timeout_s = timeout_s
        self._prefix = prefix
        self._waiting: deque[_Waiting] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._shas: dict[str, str] = {}
        self._lost = ""
        self.dropped = 0

    async def reserve(self, asks: Sequence[Ask], hold_s: float) -> tuple[str, Answered]:
        reservation = self._ids.new("rsv")
        if self._lost:
            return reservation, Answered(lost=self._lost)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        hold_ms = str(int(hold_s * 1000) + GRACE_MS)
        told = msgspec.json.encode([self._ask(ask) for ask in asks]).decode()
        self._put(_Waiting("reserve", (self._prefix, reservation, hold_ms, told), answer))
        try:
            async with asyncio.timeout(self._timeout_s):
                found: list[int] = await answer
        except TimeoutError:
            self._lose(f"no answer within {self._timeout_s:g} s")
            return reservation, Answered(lost=self._lost)
        except RedisError as error:
            return reservation, Answered(lost=str(error))
        except asyncio.CancelledError:
            self.settle(reservation, asks, NOTHING, counted=True)
            raise
        return reservation, Answered() if found[0] < 0 else Answered(refused=found[0], used=tuple(found[1:]))

    def settle(self, reservation: str, asks: Sequence[Ask], used: Vector, *, counted: bool) -> None:
        told = msgspec.json.encode([self._truth(ask, used) for ask in asks]).decode()
        arguments = (self._prefix, reservation, "1" if counted else "0", str(GRACE_MS * 60), told)
        self._put(_Waiting("settle", arguments, None))

    async def close(self) -> None:
        """Sends what still waits, for as long as one call may wait, and hangs up."""
        if self._sending is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2 * self._timeout_s):
                    await asyncio.shield(self._sending)
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._redis.aclose()

    # --- what the scripts are told ---

    def _ask(self, ask: Ask) -> dict[str, Any]:
        limit, window = ask.limit, ask.window
        name = self._name(ask)
        told: dict[str, Any] = {
            "key": f"{name}:{window.number}",
            "caps": [[place, most, ask.amounts[place]] for place, most in limit.caps],
            "running": limit.period is None,
            "ttl": self._left_ms(ask),
        }
        if limit.rolling:
            told["before"] = [f"{name}:{number}" for number in range(window.number - GRAINS, window.number)]
        return told

    def _truth(self, ask: Ask, used: Vector) -> dict[str, Any]:
        changes = [[place, used[place], used[place] - ask.amounts[place]] for place, _ in ask.limit.caps]
        running = ask.limit.period is None
        return {
            "key": f"{self._name(ask)}:{ask.window.number}",
            "changes": changes,
            "running": running,
            "ttl": self._left_ms(ask),
        }

    def _name(self, ask: Ask) -> str:
        return f"{self._prefix}:count:{identity(ask.limit)}:{ask.subject}"

    def _left_ms(self, ask: Ask) -> int:
        left_ns = ask.window.counts_until_ns - self._clock.wall_ns()
        return 0 if ask.limit.period is None else max(GRACE_MS, left_ns * 1000 // NS_PER_S + GRACE_MS)

    # --- sending ---

    def _put(self, waiting: _Waiting) -> None:
        if len(self._waiting) >= MOST_WAITING:
            dropped = self._waiting.popleft()
            self.dropped += 1
            if dropped.answer is not None and not dropped.answer.done():
                dropped.answer.set_exception(RedisError("too many wait for it"))
        self._waiting.append(waiting)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        """Sends what waits, all that has gathered at a time, until nothing does; a store that was lost is looked for until it is back."""
        while self._waiting or self._lost:
            batch = [self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))]
            # Whoever has stopped waiting is told of in its settlement, which says that it may not have been counted.
            batch = [each for each in batch if each.answer is None or not each.answer.done()]
            try:
                again = await self._round_trip(batch)
            except (RedisError, OSError, TimeoutError) as error:
                self._lose(f"{type(error).__name__}: {error}")
                for each in batch:
                    if each.answer is not None and not each.answer.done():
                        each.answer.set_exception(RedisError(self._lost))
                self._waiting.extendleft(reversed([each for each in batch if each.answer is None]))
                await asyncio.sleep(AGAIN_S)
                continue
            self._waiting.extendleft(reversed(again))
            if self._lost:
                _log.warning("the counts that replicas share can be reached again")
                self._lost = ""

    async def _round_trip(self, batch: Sequence[_Waiting]) -> list[_Waiting]:
        """Sends a batch in one go; returns what has to be sent again because Redis had forgotten the scripts."""
        if not batch:
            await self._redis.ping()
        if not self._shas:
            for name in ("reserve", "settle"):
                self._shas[name] = await self._redis.script_load(script(name))
        pipe = self._redis.pipeline(transaction=False)
        for each in batch:
            pipe.evalsha(self._shas[each.name], 0, *each.arguments)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        again: list[_Waiting] = []
        for each, answer in zip(batch, answers, strict=True):
            if isinstance(answer, NoScriptError):
                self._shas = {}
                again.append(each)
            elif isinstance(answer, Exception):
                _log.error("Redis refused to count: %s", answer)
                if each.answer is not None and not each.answer.done():
                    each.answer.set_exception(answer)
            elif each.answer is not None and not each.answer.done():
                each.answer.set_result(answer)
        return again

    def _lose(self, why: str) -> None:
        if not self._lost:
            _log.warning("the counts that replicas share cannot be reached: %s", why)
        self._lost = why
