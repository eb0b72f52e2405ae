"""The dashboard at /ui of `interlock serve`. Above: workspace. Below: face and what it needs, loaded where Jinja2 is installed."""

from __future__ import annotations

from importlib.util import find_spec

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.app import Interlock
from interlock.app.taskdesk import TaskDesk
from interlock.core.time import Clock
from interlock.server.auth import Keys

FOLDER = "dashboard"
HOW = "The dashboard needs Jinja2, which is not installed here: pip install 'interlock[dashboard]', then start the server again.\n"


class Dashboard:
    """The face, and how whoever started the server comes in."""

    def __init__(self, il: Interlock, desk: TaskDesk, keys: Keys, clock: Clock) -> None:
        self._tenant = il.workspace.settings.tenant
        self.there = find_spec("jinja2") is not None
        """Whether it can be shown at all."""
        if not self.there:
            return
        from .face import DashboardFace
        from .guard import Guard
        from .insight import Insight
        from .oidc import SignIn
        from .oidc_face import OidcFace
        from .reading import Pages
        from .refusals import Refusals
        from .sessions import Sessions

        self._sessions = Sessions(il.workspace.store.parent / FOLDER, clock)
        guard = Guard(self._sessions, keys, il.auditing, Refusals(clock), self._tenant)
        declared = il.workspace.settings.server.oidc
        sign_in = SignIn(declared, il.http, clock) if declared else None
        self._oidc = OidcFace(sign_in, guard) if sign_in else None
        provider = sign_in.name if sign_in else ""
        self._face = DashboardFace(Pages(il, desk, clock), Insight(il, desk), desk, guard, il.workspace.name, provider)

    def routes(self) -> list[BaseRoute]:
        """See `serve.Face`."""
        if not self.there:
            return [Route("/ui", _how), Route("/ui/{rest:path}", _how)]
        return [*(self._oidc.routes() if self._oidc else ()), *self._face.routes()]

    def address(self) -> str:
        """The path that lets one browser in, once; empty where there is no dashboard."""
        return f"/ui/enter?once={self._sessions.token(self._tenant, 'dashboard')}" if self.there else ""


async def _how(_request: Request) -> Response:
    return Response(HOW, 501, media_type="text/plain")
