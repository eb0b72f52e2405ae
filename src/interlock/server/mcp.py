"""The MCP face: /mcp/AGENT offers an agent's governed tools over streamable HTTP, to whoever has a key.

Above: workspace. Below: app's `offering`, auth, the official SDK. Loaded only where a workspace offers tools.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from interlock.app import Interlock
from interlock.app.offering import offered
from interlock.core.caller import Caller

from .asgi import NoSuchAddress
from .auth import Keys

MAX_BODY_BYTES = 4 * 1024 * 1024


class McpFace:
    """One address per offered agent."""

    def __init__(self, il: Interlock, keys: Keys) -> None:
        """Raises ConfigError: `mcp.offer` names an agent that is not there."""
        self._keys, self._tenant = keys, il.workspace.settings.tenant
        # A key has to be presented, which a page in somebody's browser cannot do, so the Host header proves nothing more.
        security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        self._managers = {
            agent: StreamableHTTPSessionManager(
                offered(il, agent, self._caller),
                stateless=True,
                json_response=True,
                security_settings=security,
                max_request_body_size=MAX_BODY_BYTES,
            )
            for agent in il.workspace.settings.mcp.offer
        }

    def routes(self) -> list[BaseRoute]:
        """See `serve.Face`."""
        return [
            Route(f"/mcp/{agent}", _Guarded(manager, self._keys, self._tenant))
            for agent, manager in self._managers.items()
        ]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Sessions live inside."""
        async with AsyncExitStack() as stack:
            for manager in self._managers.values():
                await stack.enter_async_context(manager.run())
            yield

    def _caller(self, context: ServerRequestContext[Any, Any]) -> Caller:
        request = cast("Request", context.request)
        return self._keys.caller(request.headers.get("authorization", "").encode("latin-1"))


class _Guarded:
    """Lets nobody in without a key; the tools of a workspace are its tenant's, and to every other key there are none."""

    def __init__(self, manager: StreamableHTTPSessionManager, keys: Keys, tenant: str) -> None:
        self._manager, self._keys, self._tenant = manager, keys, tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: MutableMapping[bytes, bytes] = dict(scope["headers"])
        caller = self._keys.caller(headers.get(b"authorization", b""))
        if caller.tenant != self._tenant:
            raise NoSuchAddress(f"nothing is served at {scope['path']}")
        await self._manager.handle_request(scope, receive, send)
