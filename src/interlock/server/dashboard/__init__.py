"""The dashboard at /ui of `interlock serve`. Above: workspace. Below: face and what it needs, loaded where Jinja2 is installed, for the first visitor.

A server that nobody looks at need not load its pages: that would be a tenth of its start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from importlib.util import find_spec
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router

from interlock.app import Interlock
from interlock.app.taskdesk import TaskDesk
from interlock.core.time import Clock
from interlock.server.auth import Keys

from .sessions import Sessions

FOLDER = "dashboard"
HOW = "The dashboard needs Jinja2, which is not installed here: pip install 'interlock[dashboard]', then start the server again.\n"


class Dashboard:
    """The face, and how whoever started the server comes in."""

    def __init__(self, il: Interlock, desk: TaskDesk, keys: Keys, clock: Clock) -> None:
        self._tenant = il.workspace.settings.tenant
        self.there = find_spec("jinja2") is not None
        """Whether it can be shown at all."""
        self._sessions = Sessions(il.workspace.store.parent / FOLDER, clock)
        self._pages = Pages(lambda: _pages(il, desk, keys, clock, self._sessions))

    def routes(self) -> list[BaseRoute]:
        """See `serve.Face`."""
        answer = self._pages if self.there else _how
        return [Route(path, answer) for path in ("/ui", "/ui.json", "/ui/{rest:path}")]

    def address(self) -> str:
        """The path that lets one browser in, once; empty where there is no dashboard."""
        return f"/ui/enter?once={self._sessions.token(self._tenant, 'dashboard')}" if self.there else ""


class Pages:
    """An ASGI app of routes that are made for its first request, in a thread: the calls go on meanwhile."""

    def __init__(self, routes: Callable[[], list[BaseRoute]]) -> None:
        """`routes` makes them."""
        self.routes = routes
        self._made: asyncio.Task[Router] | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if self._made is None or (self._made.done() and (self._made.cancelled() or self._made.exception())):
            self._made = asyncio.create_task(asyncio.to_thread(self._router))
        router = await asyncio.shield(self._made)
        await router(scope, receive, send)

    def _router(self) -> Router:
        return Router(self.routes(), redirect_slashes=False)


def _pages(il: Interlock, desk: TaskDesk, keys: Keys, clock: Clock, sessions: Sessions) -> list[BaseRoute]:
    from .face import DashboardFace
    from .guard import Guard
    from .insight import Insight
    from .oidc import SignIn
    from .oidc_face import OidcFace
    from .reading import Pages as Read
    from .refusals import Refusals

    files = il.workspace.settings
    guard = Guard(sessions, keys, il.auditing, Refusals(clock), files.tenant)
    sign_in = SignIn(files.server.oidc, il.http, clock) if files.server.oidc else None
    provider = sign_in.name if sign_in else ""
    face = DashboardFace(Read(il, desk, clock), Insight(il, desk), desk, guard, il.workspace.name, provider)
    return [*(OidcFace(sign_in, guard).routes() if sign_in else ()), *face.routes()]


async def _how(_request: Request) -> Response:
    return Response(HOW, 501, media_type="text/plain")
