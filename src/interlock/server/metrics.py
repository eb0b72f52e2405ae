"""GET /metrics, as Prometheus scrapes it.

Above: serve. Below: asgi, auth, observe. Figures of every tenant are shown, so a key of one tenant does not do.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.core.errors import NotPermitted
from interlock.observe.instruments import Instruments
from interlock.observe.prometheus import Exposition

from .asgi import authorization
from .auth import Keys

_HINT = "Or set telemetry.metrics.open, behind a wall of your own."


class MetricsFace:
    """The route."""

    def __init__(self, keys: Keys, instruments: Instruments, exposition: Exposition, *, needs_key: bool) -> None:
        self._keys, self._instruments, self._exposition = keys, instruments, exposition
        self._needs_key = needs_key
        self._one = asyncio.Lock()
        """Scrapers that come together read the store one after the other."""

    def routes(self) -> list[BaseRoute]:
        return [Route("/metrics", self._metrics, methods=["GET"])]

    async def _metrics(self, request: Request) -> Response:
        if self._needs_key and not self._keys.access(authorization(request), "manage").everywhere:
            raise NotPermitted("the metrics of all tenants are for the server's own key", hint=_HINT)
        accept = request.headers.get("accept", "")
        async with self._one:
            body, content_type = await asyncio.to_thread(self._written, accept)
        return Response(body, headers={"content-type": content_type})

    def _written(self, accept: str) -> tuple[bytes, str]:
        return self._exposition.written(self._instruments.collect(), accept)
