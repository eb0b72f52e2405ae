"""The cold routes on Starlette, with uniform errors, also for unknown addresses and methods.

Above: serve. Below: the cold faces (models, health, …), openai_write. Each face offers its own routes; nothing here knows them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.core.errors import InterlockError
from interlock.core.ids import Ids
from interlock.core.tenancy import act_for

from .openai_write import error_body, error_headers, error_status

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
LINGER_S = 2.0
READ_S = 60.0
"""How long the next piece of a body may be on its way."""


class TooSlow(InterlockError):
    """The rest of a request's body did not come."""

    status = 408
    code = "request_timeout"


class NoSuchAddress(InterlockError):
    """Nothing is served there."""

    status = 404
    code = "unknown_url"


class WrongMethod(InterlockError):
    """The address is served, but not to this method."""

    status = 405
    code = "method_not_allowed"


class ColdApp:
    """The cold addresses. `hot_paths` are named so that a wrong method there gets a helpful answer."""

    def __init__(
        self,
        ids: Ids,
        routes: Sequence[BaseRoute],
        hot_paths: Sequence[str],
        tenant_of: Callable[[bytes], str] = lambda _: "",
    ) -> None:
        """`tenant_of`: whose key an `Authorization` header presents, empty where it is nobody's or stands above tenants."""
        self._ids = ids
        self._tenant_of = tenant_of
        never = [Route(path, _served_elsewhere, methods=["POST"]) for path in hot_paths]
        self._addresses = [each.path for each in (*never, *routes) if isinstance(each, Route) and "{" not in each.path]
        handlers: dict[Any, Any] = {InterlockError: self._refused, HTTPException: self._lost, Exception: self._defect}
        self._app = Starlette(routes=[*never, *routes], exception_handlers=handlers)
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            act_for(self._tenant_of(dict(scope["headers"]).get(b"authorization", b"")))
            reading = _Reading(scope, receive, send)
            await self._app(scope, reading.receive, reading.send)

    async def _refused(self, _request: Request, error: Exception) -> Response:
        return self._answer(cast(InterlockError, error))

    async def _lost(self, request: Request, error: Exception) -> Response:
        """Starlette's own no: an address that nobody serves, or a method that an address does not take."""
        path = request.url.path
        known = cast(HTTPException, error)
        if known.status_code == WrongMethod.status:
            takes = ", ".join(sorted(set((known.headers or {}).get("Allow", "").split(", ")) - {"HEAD"}))
            return self._answer(WrongMethod(f"{path} takes {takes}, not {request.method}"))
        if known.status_code == NoSuchAddress.status:
            return self._answer(NoSuchAddress(f"nothing is served at {path}", hint=self._meant(path)))
        return Response(known.detail, known.status_code)

    def _meant(self, path: str) -> str:
        """A client's `base_url` is one `/v1` short or long more often than anything else is wrong."""
        bare = path.rstrip("/")
        for address in sorted(self._addresses, key=lambda each: abs(len(each) - len(bare))):
            if bare and (address.endswith(bare) or bare.endswith(address)):
                where = "OpenAI's clients take a base_url that ends in /v1, Anthropic's one that does not"
                return f"Did you mean {address}? ({where}.)" if "/v1/" in address else f"Did you mean {address}?"
        served = dict.fromkeys(each for each in self._addresses if not each.startswith("/ui/") and "." not in each)
        return f"Served: {', '.join(served)}."

    async def _defect(self, _request: Request, _error: Exception) -> Response:
        """Starlette raises it again after the answer, so that it is in the log."""
        return self._answer(InterlockError("the server failed on this request", hint="See its log."))

    def _answer(self, error: InterlockError) -> Response:
        response = Response(error_body(error), error_status(error))
        response.raw_headers = [
            *((name, value) for name, value in response.raw_headers if name == b"content-length"),
            *pairs(error_headers(error, self._ids.new("req"))),
        ]
        return response


class _Reading:
    """Notes whether a request's body was read. What was not is thrown away for a while, so that the client sees the answer and not a
    reset; if it is still coming then, the connection is not kept for the rest of it.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        self._asks_first = b"expect" in headers
        self._unread = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """The next message; while there is more of the body, within a time. Raises TooSlow."""
        try:
            async with asyncio.timeout(READ_S if self._unread else None):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(f"no more of the request's body came for {READ_S:g} s", hint="Send it again.") from None
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if self._unread and message["type"] == "http.response.start":
            await self._throw_away()
        if self._unread and message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await self._send(message)

    async def _throw_away(self) -> None:
        if self._asks_first:
            return  # it waits for leave to send, and gets a no
        try:
            async with asyncio.timeout(LINGER_S):
                while self._unread and (await self.receive())["type"] == "http.request":
                    pass
        except (TimeoutError, TooSlow):
            pass


async def _served_elsewhere(_request: Request) -> Response:
    """POST at a hot address never comes here; the route stands for every other method."""
    raise NoSuchAddress("this address is served by the protocol itself")


def pairs(lines: bytes) -> list[tuple[bytes, bytes]]:
    """Finished header lines, as ASGI has them."""
    split = (line.partition(b": ") for line in lines.split(b"\r\n") if line)
    return [(name, value) for name, _, value in split]


def authorization(request: Request) -> bytes:
    """The `Authorization` header as it came."""
    return request.headers.get("authorization", "").encode("latin-1")
