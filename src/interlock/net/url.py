"""Where a request goes: the origin a connection is made to, and what stands in the request line.

Above: client. Below: `core.errors`.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from interlock.core.errors import InvalidRequest

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port; connections are pooled by it."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """The value of the `Host` header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class Target(NamedTuple):
    """One address, taken apart once and kept."""

    origin: Origin
    line: str
    """Path and query as they stand in the request line."""


def parse_target(url: str) -> Target:
    """`url` taken apart.

    Raises:
        InvalidRequest: not an absolute http(s) address, credentials in it, or a character that cannot stand in one.
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidRequest(
            f"the address {url!r} has characters that must be percent-encoded", param="base_url", hint="Encode them."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as fault:
        raise InvalidRequest(f"the address {url!r} is malformed: {fault}", param="base_url") from fault
    if parts.scheme not in _PORTS or not parts.hostname:
        raise InvalidRequest(
            f"the address {url!r} is not absolute", param="base_url", hint="Write it as https://host[:port]/path."
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest(
            f"the address of {parts.hostname} holds a user name or password",
            param="base_url",
            hint="Credentials go into `api_key`, where they are kept out of logs.",
        )
    line = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(Origin(parts.scheme, parts.hostname, port or _PORTS[parts.scheme]), line)
