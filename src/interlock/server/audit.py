"""Reading the audit over HTTP: GET /api/audit, newest first, and GET /api/audit/head.

Above: serve. Below: admit. For auditors and admins; those of a tenant see what happened in it.
"""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.core.errors import InvalidRequest

from .admit import Admission

MOST = 1_000


class AuditFace:
    """The routes."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._store = admission.auditing.store

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/audit", self._list, methods=["GET"]),
            Route("/api/audit/head", self._head, methods=["GET"]),
        ]

    async def _list(self, request: Request) -> Response:
        access = await self._admission.access(request, "audit", "audit.read")
        before, limit = _whole(request, "before", 0), _whole(request, "limit", 50)
        if not 1 <= limit <= MOST:
            raise InvalidRequest(f"limit is 1 to {MOST}", param="limit")
        tenant = "" if access.everywhere else access.caller.tenant
        entries = await asyncio.to_thread(self._store.latest, before, limit, tenant)
        more = entries[-1].seq if len(entries) == limit else None
        return _json({"entries": entries, "next": more})

    async def _head(self, request: Request) -> Response:
        """What to note elsewhere. It tells of no entry, so whoever may read the audit of one tenant may have it too."""
        await self._admission.access(request, "audit")
        return _json({"head": str(await asyncio.to_thread(self._store.head))})


def _whole(request: Request, name: str, usual: int) -> int:
    given = request.query_params.get(name, "")
    if given and not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise InvalidRequest(f"{name} is a whole number", param=name)
    return int(given) if given else usual


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
