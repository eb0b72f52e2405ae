"""What is not hot, as a plain ASGI app: GET /v1/models, GET /healthz, and a clear no to everything else.

Above: serve. Below: auth, openai_write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

import msgspec

from interlock.core.errors import InterlockError, NotAuthorised
from interlock.core.ids import Ids

from .auth import Keys
from .openai_write import error_body, error_headers, error_status

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Health = Callable[[], Mapping[str, Any]]
"""The state of the parts, JSON-encodable; `status` is `ok` or says in a word what is wrong."""
Models = Callable[[], Sequence[str]]
"""Every name that may stand in `model`."""


class NoSuchAddress(InterlockError):
    """Nothing is served there."""

    status = 404
    code = "unknown_url"


class WrongMethod(InterlockError):
    """The address is served, but not to this method."""

    status = 405
    code = "method_not_allowed"


class QuietApp:
    """The cold addresses. `hot_paths` are named so that a wrong method there gets a helpful answer."""

    def __init__(self, keys: Keys, ids: Ids, health: Health, models: Models, hot_paths: Sequence[str]) -> None:
        self._keys = keys
        self._ids = ids
        self._health = health
        self._models = models
        self._hot_paths = tuple(hot_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            status, body = self._answer(scope["method"], scope["path"], _header(scope, b"authorization"))
            headers = b"content-type: application/json\r\n"
        except InterlockError as error:
            status, body = error_status(error), error_body(error)
            headers = error_headers(error, self._ids.new("req"))
        lines = [*_pairs(headers), (b"content-length", b"%d" % len(body))]
        # The request's body is of no interest and may be of any size: the connection is not kept for the rest of it.
        if _header(scope, b"content-length") not in (b"", b"0") or _header(scope, b"transfer-encoding"):
            lines.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, method: str, path: str, authorization: bytes) -> tuple[int, bytes]:
        if path in self._hot_paths:
            raise WrongMethod(f"{path} takes POST, not {method}")
        if path not in ("/healthz", "/v1/models") and not path.startswith("/v1/models/"):
            known = ", ".join((*self._hot_paths, "/v1/models", "/healthz"))
            raise NoSuchAddress(f"nothing is served at {path}", hint=f"Served: {known}.")
        if method not in ("GET", "HEAD"):
            raise WrongMethod(f"{path} takes GET, not {method}")
        if path == "/healthz":
            return self._healthz(authorization)
        self._keys.caller(authorization)
        if path == "/v1/models":
            return 200, msgspec.json.encode({"object": "list", "data": [_model(name) for name in self._models()]})
        name = path.removeprefix("/v1/models/")
        if name not in self._models():
            raise NoSuchAddress(f"no model is called {name!r}", hint="GET /v1/models lists them.")
        return 200, msgspec.json.encode(_model(name))

    def _healthz(self, authorization: bytes) -> tuple[int, bytes]:
        """503 only where the server can do nothing; the parts are shown to those who have a key."""
        health = self._health()
        status = health.get("status", "ok")
        code = 503 if status == "down" else 200
        try:
            self._keys.caller(authorization)
        except NotAuthorised:
            return code, msgspec.json.encode({"status": status})
        return code, msgspec.json.encode(dict(health))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "interlock"}


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for known, value in scope["headers"] if known == name), b"")


def _pairs(lines: bytes) -> list[tuple[bytes, bytes]]:
    pairs = (line.partition(b": ") for line in lines.split(b"\r\n") if line)
    return [(name, value) for name, _, value in pairs]
