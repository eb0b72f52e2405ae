"""Tasks that come round by themselves: each instant of a schedule is one task, however many processes look.

Above: server. Below: the agents, the store's texts. What fell due while nobody ran is made up for once, with its latest instant.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from interlock.agents.service import Agents
from interlock.config.schedules import Schedule
from interlock.core.caller import Caller
from interlock.core.errors import InvalidRequest, LedgerFull, StoreUnavailable
from interlock.core.outage import Outage
from interlock.core.time import NS_PER_S, Clock
from interlock.ledger import Beside
from interlock.ledger.read import iso

LONGEST_LOOK_S = 60.0
MOST_MISSED = 10_000
_log = logging.getLogger("interlock.schedules")


class Standing(Struct, frozen=True):
    """How one schedule stands."""

    name: str
    workflow: str
    cron: str
    every_s: float | None
    last: str
    """When its latest task fell due, ISO 8601 in UTC; empty before the first."""
    next: str


class Schedules:
    """Begins what is due; `run` until cancelled."""

    def __init__(
        self,
        schedules: Sequence[Schedule],
        tenant: str,
        agents: Agents,
        beside: Beside,
        clock: Clock,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._schedules, self._tenant = schedules, tenant
        self._agents, self._beside, self._clock, self._sleep = agents, beside, clock, sleep

    async def run(self) -> None:
        """Until cancelled; a store that is away is waited for."""
        outage = Outage()
        while True:
            wait_s = LONGEST_LOOK_S
            for schedule in self._schedules:
                try:
                    wait_s = min(wait_s, await self.look(schedule))
                    if outage.ends():
                        _log.warning("schedules go on: the store is back")
                except (StoreUnavailable, LedgerFull) as away:
                    wait_s = 1.0
                    if outage.begins():
                        _log.warning("schedules wait for the store, and make up for what falls due: %s", away)
                except InvalidRequest as wrong:
                    _log.warning("schedule %s: %s", schedule.name, wrong)
            await self._sleep(max(0.01, wait_s))

    async def look(self, schedule: Schedule) -> float:
        """Begins the schedule's task where one is due; seconds until the next one.

        Raises:
            InvalidRequest: its workflow or input is wrong. StoreUnavailable, LedgerFull.
        """
        now_ns = self._clock.wall_ns()
        last_ns = await self._last_ns(schedule)
        if not last_ns:
            last_ns = now_ns
            await self._remember(schedule, last_ns)
        due_ns = _latest(schedule, last_ns, now_ns)
        if due_ns:
            await self._begin(schedule, due_ns)
            await self._remember(schedule, due_ns)
        return (schedule.next_after(now_ns) - now_ns) / NS_PER_S

    async def standings(self) -> list[Standing]:
        """All of them."""
        found: list[Standing] = []
        for each in self._schedules:
            last_ns, next_ns = await self._last_ns(each), each.next_after(self._clock.wall_ns())
            found.append(
                Standing(
                    each.name, each.workflow, each.cron, each.every_s, iso(last_ns) if last_ns else "", iso(next_ns)
                )
            )
        return found

    async def _begin(self, schedule: Schedule, due_ns: int) -> None:
        caller = Caller(self._tenant, schedule.user, f"schedule:{schedule.name}")
        digest = hashlib.sha256(f"{self._tenant}\nschedule\n{schedule.name}\n{due_ns}".encode()).hexdigest()
        await self._agents.submit(
            schedule.workflow,
            schedule.input,
            caller=caller,
            digest=digest,
            priority=schedule.priority,
            lock=schedule.lock,
        )

    async def _last_ns(self, schedule: Schedule) -> int:
        return int(await self._beside.text(self._tenant, "schedule", schedule.name) or 0)

    async def _remember(self, schedule: Schedule, at_ns: int) -> None:
        await self._beside.keep_text(self._tenant, "schedule", schedule.name, str(at_ns))


def _latest(schedule: Schedule, last_ns: int, now_ns: int) -> int:
    """The latest instant after `last_ns` that is due; zero where none is."""
    due_ns = 0
    for _ in range(MOST_MISSED):
        next_ns = schedule.next_after(due_ns or last_ns)
        if not next_ns or next_ns > now_ns:
            return due_ns
        due_ns = next_ns
    return due_ns
