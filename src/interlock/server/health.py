"""Health of a running instance, and GET /healthz.

Above: cli (`interlock serve`), serve. Below: asgi, auth, and `app` by what it tells of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.core.errors import NotAuthorised

from .asgi import authorization
from .auth import Keys

if TYPE_CHECKING:
    from interlock.app import Interlock
    from interlock.observe.post import Sent

Health = Callable[[], Mapping[str, Any]]
"""The state of the parts, JSON-encodable; `status` is `ok` or says in a word what is wrong."""


def health_of(il: Interlock, sent: Sent | None = None) -> dict[str, Any]:
    """`status` is `ok`, `degraded` (serving, with something amiss) or `down` (calls are refused); then the parts' states.

    `sent`: what became of what went to an OpenTelemetry receiver.
    """
    ledger = il.ledger_health()
    breakers = dict(il.breakers())
    amiss = ledger.state != "ok" or any(state != "closed" for state in breakers.values())
    status = "down" if ledger.state == "full" else "degraded" if amiss else "ok"
    told: dict[str, Any] = {"status": status, "ledger": msgspec.to_builtins(ledger), "breakers": breakers}
    if scopes := il.semantic_scopes():
        told["semantic_cache"] = msgspec.to_builtins(scopes)
    if sent is not None:
        told["telemetry"] = msgspec.to_builtins(sent)
    return told


def of_tenant(health: Mapping[str, Any], tenant: str) -> dict[str, Any]:
    """The same without what is said of other tenants."""
    scopes = health.get("semantic_cache", ())
    own = {"semantic_cache": [each for each in scopes if each["tenant"] == tenant]} if scopes else {}
    return {**health, **own}


class HealthFace:
    """GET /healthz: 503 only where the server can do nothing; the parts are shown to those who have a key."""

    def __init__(self, keys: Keys, health: Health) -> None:
        self._keys = keys
        self._health = health

    def routes(self) -> list[BaseRoute]:
        return [Route("/healthz", self._healthz, methods=["GET"])]

    async def _healthz(self, request: Request) -> Response:
        health = self._health()
        status = health.get("status", "ok")
        try:
            access = self._keys.access(authorization(request))
            told = dict(health) if access.everywhere else of_tenant(health, access.caller.tenant)
        except NotAuthorised:
            told = {"status": status}
        return Response(msgspec.json.encode(told), 503 if status == "down" else 200, media_type="application/json")
