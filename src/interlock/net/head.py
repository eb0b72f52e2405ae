"""Request heads as bytes: validated and encoded once per address and set of headers; only what differs per call is added each time.

Above: client. Below: url.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from interlock.core.errors import InvalidRequest
from interlock.core.ports import HttpRequest

from .url import Target

_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE"))
_OWN_HEADERS = frozenset(("host", "content-length", "transfer-encoding", "connection", "accept-encoding"))
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")


def encode_head(request: HttpRequest, target: Target) -> bytes:
    """Request line and headers, all but those of the single request and the body's length.

    Raises:
        InvalidRequest: a header that would break out of its line, or one that is the client's own business.
    """
    if request.method not in _METHODS:
        raise InvalidRequest(f"the method {request.method!r} is not one of {', '.join(sorted(_METHODS))}")
    head = (
        f"{request.method} {target.line} HTTP/1.1\r\nhost: {target.origin.authority}\r\naccept-encoding: identity\r\n"
    )
    return head.encode("ascii") + encode_own(request.headers)


def encode_own(headers: Iterable[tuple[str, str]]) -> bytes:
    """Header lines. Raises as `encode_head`, naming the header at fault, never its value: it may be a credential."""
    lines: list[str] = []
    for name, value in headers:
        sendable(name, value)
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("ascii")


def sendable(name: str, value: str) -> None:
    """Raises as `encode_own` for a header that cannot be sent."""
    if name in _OWN_HEADERS or not _NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
        raise _unsendable(name)


def _unsendable(name: str) -> InvalidRequest:
    if not _NAME.fullmatch(name):
        return InvalidRequest(f"{name!r} cannot be a header's name", param=name)
    if name in _OWN_HEADERS:
        return InvalidRequest(f"the header {name} is set by the client itself", param=name)
    return InvalidRequest(
        f"the value of the header {name} holds a line break, another control character or one outside ASCII",
        param=name,
        hint="A key copied from a file or a web page often ends in one.",
    )
