"""What the pages about promises, incidents, quality, the workspace and the audit need, fetched: from threads, bounded, of the visitor's own tenant.

Above: face. Below: app's sight and task desk; the pages make values of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from interlock.app import Interlock
from interlock.app.sight import Sight
from interlock.app.taskdesk import TaskDesk
from interlock.core.audit import Deed
from interlock.core.caller import Caller
from interlock.core.errors import InvalidRequest, UnknownTask
from interlock.core.store import RollFilter
from interlock.core.time import NS_PER_S
from interlock.server.health import health_of, of_tenant

from .guard import Visitor
from .pages_again import AgainPage, again_page
from .pages_incidents import IncidentPage, IncidentsPage, incidents_page
from .pages_quality import DAYS, QualityPage, quality_page
from .pages_setup import AuditPage, ConfigPage, Versioned, audit_page, config_page, wanted_of
from .pages_why import ComparePage, WhyPage, compare_page, good_run, why_page

AUDITED = 100


class Insight:
    """These pages as values."""

    def __init__(self, il: Interlock, desk: TaskDesk) -> None:
        self._il, self._desk = il, desk
        self.sight: Sight = il.sight

    async def incidents(self, caller: Caller) -> IncidentsPage:
        """What has gone wrong?"""
        tenant, sight = caller.tenant, self.sight

        def read() -> IncidentsPage:
            newest = sight.newest(tenant)
            standings, changes = sight.standings(tenant), sight.changes(tenant)
            return incidents_page(standings, sight.book(tenant), tenant, changes, newest, sight.signs(tenant))

        return await asyncio.to_thread(read)

    async def incident(self, caller: Caller, incident: str) -> IncidentPage:
        """What to do about it? Raises InvalidRequest: there is none of that id."""
        book = await asyncio.to_thread(self.sight.book, caller.tenant)
        found = book.find(caller.tenant, incident)
        if found is None:
            raise InvalidRequest("there is no such incident", param="incident", hint="It may be too old to be kept.")
        tasks = await asyncio.to_thread(self.sight.tasks, caller.tenant, found.found.tasks)
        return IncidentPage(found, tuple(tasks))

    async def quality(self, caller: Caller) -> QualityPage:
        """Are the answers good?"""
        tenant, sight = caller.tenant, self.sight
        since = sight.now_ns() - DAYS * 86_400 * NS_PER_S

        def read() -> QualityPage:
            which = RollFilter(tenant=tenant, role="task", since_ns=since, by_hour=False)
            ended = Counter[str]()
            for row in self._il.reader.rolls(which):
                ended[row.workflow] += row.n
            return quality_page(sight.newest(tenant), sight.meters(tenant, since, by_hour=False), ended)

        return await asyncio.to_thread(read)

    async def why(self, caller: Caller, task: str) -> WhyPage:
        """Why did it go so? Raises UnknownTask."""
        return why_page(await self._desk.trace(caller, task))

    async def again(self, caller: Caller, task: str, query: Mapping[str, str]) -> AgainPage:
        """Would it be decided so again, and how would it go otherwise? Calls nothing. Raises UnknownTask, InvalidRequest."""
        now, at = query.get("now", "") == "1", query.get("at", "")
        trace = await self._desk.trace(caller, task)
        found = await self._desk.replay(caller, task, now=now)
        contract = self._desk.contract(trace.task.workflow)
        return again_page(trace, found, contract, int(at) if at.isascii() and at.isdigit() and len(at) < 10 else 1)

    async def compare(self, caller: Caller, task: str, query: Mapping[str, str]) -> ComparePage:
        """Where does it part from a run that went well? Raises UnknownTask, InvalidRequest."""
        mine = await self._desk.trace(caller, task)
        other = query.get("with", "")
        if not other:
            newest = await asyncio.to_thread(self.sight.newest, caller.tenant, mine.task.workflow)
            other = good_run(newest, mine.task)
        if not other:
            return compare_page(mine, None)
        try:
            return compare_page(mine, await self._desk.trace(caller, other))
        except UnknownTask:
            raise InvalidRequest(f"there is no task {other!r} to compare with", param="with") from None

    async def config(self, caller: Caller) -> ConfigPage:
        """How is it set up? Of the workspace's own tenant only."""
        il, mine = self._il, caller.tenant == self._il.workspace.settings.tenant
        versions = [
            Versioned(name, agent.model, *(getattr(agent.versions, kind) for kind in Versioned.__struct_fields__[2:]))
            for name, agent in il.workspace.agents.items()
        ]
        if not mine:
            return config_page(of_tenant(health_of(il), caller.tenant), (), (), {}, {})
        return config_page(
            of_tenant(health_of(il), caller.tenant),
            il.warnings,
            versions,
            self.sight.settings(),
            self.sight.contracts(),
        )

    async def audit(self, visitor: Visitor, query: Mapping[str, str]) -> AuditPage:
        """Who did what? That it was asked is an entry of its own. Raises InvalidRequest."""
        before = query.get("before", "")
        place = int(before) if before.isascii() and before.isdigit() and len(before) < 16 else 0
        wanted = wanted_of(query)
        fits = wanted.fits()
        deed = Deed(self.sight.now_ns(), visitor.caller.tenant, visitor.who, visitor.role, "audit.read", "", "page")
        found, left = await asyncio.to_thread(self.sight.audit, deed, place, AUDITED + 1, fits)
        return audit_page(wanted, found, left, AUDITED)
