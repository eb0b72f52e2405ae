"""What each page needs, fetched: the store from a thread, each query bounded, always of the visitor's own tenant.

Above: face. Below: app's task desk and the ledger's reader; the pages make values of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from interlock.app import Interlock
from interlock.app.taskdesk import TaskDesk
from interlock.app.views import View
from interlock.core.caller import Caller
from interlock.core.errors import UnknownTask
from interlock.core.store import RollFilter
from interlock.core.time import NS_PER_S, Clock
from interlock.ledger.read import TaskSummary

from .guard import Visitor
from .pages_approvals import MOST, ApprovalsPage, Asked, approvals_page, asked
from .pages_home import HOURS, HomePage, home_page
from .pages_incidents import promises
from .pages_live import LivePage, live_page
from .pages_models import ModelsPage, models_page
from .pages_pnl import SPANS, PnlPage, earlier_of, pnl_page, since_of
from .pages_tasks import TasksPage, asked_of, filter_of, tasks_page, view_of
from .pages_trace import TracePage, trace_page

NS_PER_HOUR = 3600 * NS_PER_S


def asks(task: TaskSummary) -> bool:
    """Whether it waits for a person, not for time, a signal or another task."""
    return task.outcome == "waiting_approval" or task.status == "in_doubt"


class Pages:
    """Every page as a value."""

    def __init__(self, il: Interlock, desk: TaskDesk, clock: Clock) -> None:
        self._il, self._desk, self._clock = il, desk, clock

    async def home(self, caller: Caller) -> HomePage:
        """Is anything wrong?"""
        hour, tenant, sight = self._clock.wall_ns() // NS_PER_HOUR, caller.tenant, self._il.sight
        since = (hour - HOURS + 1) * NS_PER_HOUR
        rolls = await asyncio.to_thread(self._il.reader.rolls, RollFilter(tenant=tenant, since_ns=since))
        standings = await asyncio.to_thread(sight.standings, tenant)
        book = await asyncio.to_thread(sight.book, tenant)
        day = self._clock.wall_ns() - 24 * NS_PER_HOUR
        return home_page(
            rolls,
            await self._unfinished(caller),
            self._il.breakers(),
            self._il.ledger_health(),
            hour,
            promised=promises(standings),
            incidents=[each for each in book.of(tenant) if each.open],
            month=await asyncio.to_thread(sight.month, tenant),
            away=await asyncio.to_thread(sight.breakers, tenant, day),
            here=sight.here,
            load=self._il.gateway.load(),
        )

    async def live(self, caller: Caller) -> LivePage:
        """What is going on right now?"""
        agents = self._il.workspace.agents
        limits = {name: agent.limits for name, agent in agents.items()}
        return live_page(await self._unfinished(caller), limits, self._clock.wall_ns())

    async def tasks(self, caller: Caller, query: Mapping[str, str]) -> TasksPage:
        """Which tasks were there? Raises InvalidRequest."""
        wanted, agents = asked_of(query), self._il.workspace.agents
        found = await asyncio.to_thread(self._il.reader.task_page, filter_of(wanted, caller.tenant))
        views = await asyncio.to_thread(self._il.sight.views.of, caller.tenant, caller.user or caller.key_id)
        return tasks_page(wanted, found, {name: agent.versions.contract for name, agent in agents.items()}, views)

    async def change_views(self, visitor: Visitor, sent: Mapping[str, str]) -> View | None:
        """The filters that were kept under a name; `None`: some were dropped. Raises InvalidRequest."""
        tenant, who, views = visitor.caller.tenant, visitor.who, self._il.sight.views
        if sent.get("do", "") == "drop":
            await asyncio.to_thread(views.drop, tenant, who, sent.get("name", ""))
            return None
        view = view_of(sent)
        await asyncio.to_thread(views.keep, tenant, who, view)
        return view

    async def trace(self, caller: Caller, task: str, query: Mapping[str, str]) -> TracePage:
        """What did this task do, and why? Raises UnknownTask."""
        step = query.get("step", "")
        known = step.isascii() and step.isdigit() and len(step) < 10
        return trace_page(await self._desk.trace(caller, task), int(step) if known else None)

    async def approvals(self, caller: Caller, remark: str = "") -> ApprovalsPage:
        """What waits for a person?"""
        tasks = [each for each in await self._unfinished(caller) if asks(each)]
        found = [one for task in tasks[:MOST] for one in await self._asked(caller, task)]
        decisions = await asyncio.to_thread(self._il.sight.decisions, caller.tenant)
        return approvals_page(found, max(0, len(tasks) - MOST), remark, decisions)

    async def pnl(self, caller: Caller, query: Mapping[str, str]) -> PnlPage:
        """Where does the money go? Raises InvalidRequest."""
        span = query.get("span", "7d")
        since = since_of(span, self._clock.wall_ns())
        found = await asyncio.to_thread(lambda: self._il.pnl(tenant=caller.tenant, since_ns=since))
        users = await asyncio.to_thread(self._il.sight.by_user, caller.tenant, since)
        begin, end = earlier_of(span, since)
        if not end:
            return pnl_page(span, found, users=users)
        tenant, pnl = caller.tenant, self._il.pnl
        before = await asyncio.to_thread(
            self._il.sight.earlier, tenant, begin, end, lambda: pnl(tenant=tenant, since_ns=begin, until_ns=end)
        )
        return pnl_page(span, found, before, users)

    async def models(self, caller: Caller, query: Mapping[str, str]) -> ModelsPage:
        """Which model is worth its money? Raises InvalidRequest."""
        span = query.get("span", "7d")
        since = since_of(span, self._clock.wall_ns())
        rolls = await asyncio.to_thread(self._il.reader.rolls, RollFilter(tenant=caller.tenant, since_ns=since))
        meters = await asyncio.to_thread(self._il.sight.meters, caller.tenant, since, by_hour=False)
        away = await asyncio.to_thread(self._il.sight.breakers, caller.tenant, since)
        routing = self._il.workspace.settings.routing
        return models_page(
            span,
            rolls,
            self._il.breakers(),
            tuple(SPANS),
            meters=meters,
            premium=frozenset(routing.premium_tiers),
            cap=routing.premium_share_cap,
            hour=self._clock.wall_ns() // NS_PER_HOUR,
            away=away,
        )

    async def waiting(self, caller: Caller) -> int:
        """How many tasks wait for a person."""
        return sum(asks(task) for task in await self._unfinished(caller))

    async def _unfinished(self, caller: Caller) -> list[TaskSummary]:
        return await asyncio.to_thread(self._il.reader.unfinished, caller.tenant)

    async def _asked(self, caller: Caller, task: TaskSummary) -> list[Asked]:
        try:
            questions = await self._desk.questions(caller, task.task)
            trace = await self._desk.trace(caller, task.task)
        except UnknownTask:
            return []  # of a workflow that the workspace has no more
        return [asked(question, trace) for question in questions]
