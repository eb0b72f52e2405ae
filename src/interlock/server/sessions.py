"""Sessions over HTTP: /api/sessions. Above: workspace. Below: app's sessions, auth. A key sees its own tenant's, a user's key that user's."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.app.sessions import Sessions

from .asgi import authorization
from .auth import Keys
from .task_forms import body_of


class Changes(Struct, frozen=True, forbid_unknown_fields=True):
    """What PATCH /api/sessions/{session} takes."""

    values: dict[str, Any]
    """`null` removes."""


class Held(Struct, frozen=True):
    """What a session holds."""

    session: str
    values: dict[str, Any]


class SessionsFace:
    """The routes."""

    def __init__(self, sessions: Sessions, keys: Keys) -> None:
        self._sessions, self._keys = sessions, keys

    def routes(self) -> list[BaseRoute]:
        """See `serve.Face`."""
        one = "/api/sessions/{session}"
        return [
            Route(one, self._read, methods=["GET"]),
            Route(one, self._change, methods=["PATCH"]),
            Route(one, self._forget, methods=["DELETE"]),
        ]

    async def _read(self, request: Request) -> Response:
        caller, session = self._keys.caller(authorization(request)), str(request.path_params["session"])
        return _json(Held(session, await self._sessions.read(caller, session)))

    async def _change(self, request: Request) -> Response:
        caller, session = self._keys.caller(authorization(request)), str(request.path_params["session"])
        asked = await body_of(request, Changes)
        return _json(Held(session, await self._sessions.change(caller, session, asked.values)))

    async def _forget(self, request: Request) -> Response:
        caller, session = self._keys.caller(authorization(request)), str(request.path_params["session"])
        await self._sessions.forget(caller, session)
        return Response(status_code=204)


def _json(value: Held) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
