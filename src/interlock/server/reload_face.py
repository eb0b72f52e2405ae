"""The version that is served, and following the files: GET /api/config, POST /api/config/reload. Above: workspace. Below: admit, reload.

Whoever manages the workspace's own tenant may ask; it stands in the audit before it is done.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.app.versions import version_of
from interlock.core.errors import NotPermitted

from .admit import Admission
from .reload import Reloading


class ReloadFace:
    """The routes."""

    def __init__(self, admission: Admission, reloading: Callable[[], Reloading]) -> None:
        self._admission, self._reloading = admission, reloading

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/config", self._config, methods=["GET"]),
            Route("/api/config/reload", self._reload, methods=["POST"]),
        ]

    async def _config(self, request: Request) -> Response:
        await self._admission.access(request, "figures")
        workspace = self._reloading().now.il.workspace
        told = {"workspace": workspace.name, "version": version_of(workspace), "policy": workspace.versions.policy}
        return Response(msgspec.json.encode(told), media_type="application/json")

    async def _reload(self, request: Request) -> Response:
        reloading = self._reloading()
        workspace = reloading.now.il.workspace
        access = await self._admission.access(request, "manage")
        if not access.everywhere and access.caller.tenant != workspace.settings.tenant:
            raise NotPermitted("the files belong to another tenant", hint="An admin of the workspace's own tenant may.")
        await self._admission.auditing.note(access.caller, access.role, "config.asked", workspace.name)
        turned = await reloading.ask()
        body = {"ok": not turned.faults, **msgspec.to_builtins(turned)}
        return Response(msgspec.json.encode(body), 422 if turned.faults else 200, media_type="application/json")
