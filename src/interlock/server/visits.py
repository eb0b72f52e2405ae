"""Who is signed in to the dashboard, and sending them away: GET and DELETE /api/visits, DELETE /api/visits/{visit}.

Above: edition. Below: admit, the dashboard's sessions. For admins, of the own tenant; the server's own key sees every tenant's.
"""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.core.errors import RequestRefused

from .admit import Admission
from .dashboard.sessions import Sessions, Visit


class UnknownVisit(RequestRefused):
    """There is no such session, or it is another tenant's."""

    status = 404
    code = "visit_not_found"


class VisitsFace:
    """The routes."""

    def __init__(self, admission: Admission, sessions: Sessions) -> None:
        self._admission, self._sessions = admission, sessions

    def routes(self) -> list[BaseRoute]:
        """See `serve.Face`."""
        return [
            Route("/api/visits", self._list, methods=["GET"]),
            Route("/api/visits", self._end, methods=["DELETE"]),
            Route("/api/visits/{visit}", self._end, methods=["DELETE"]),
        ]

    async def _list(self, request: Request) -> Response:
        access = await self._admission.access(request, "manage")
        tenant = "" if access.everywhere else access.caller.tenant
        return _json(await asyncio.to_thread(self._sessions.visits, tenant))

    async def _end(self, request: Request) -> Response:
        """One session, or all of the tenant's."""
        visit = str(request.path_params.get("visit", ""))
        access = await self._admission.access(request, "manage", "session.ended", visit or "all")
        tenant = "" if access.everywhere else access.caller.tenant
        ended = await asyncio.to_thread(self._sessions.end_visits, visit, tenant=tenant)
        if visit and not ended:
            raise UnknownVisit(f"nobody is signed in as {visit!r}", hint="GET /api/visits lists who is.")
        return _json(ended)


def _json(visits: list[Visit]) -> Response:
    return Response(msgspec.json.encode({"visits": visits}), media_type="application/json")
