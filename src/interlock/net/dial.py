"""DNS resolution and connecting without a window for DNS rebinding: a name is resolved once, every address checked, and the checked address dialled.

Above: proxy, fetch. Below: walls, asyncio. A second look-up never happens, so a name that changes its mind in between gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from typing import Protocol

from .walls import Address, Refused, why_not

MAX_ANSWERS = 16


class Resolver(Protocol):
    """Addresses of a name; an empty answer for none."""

    async def __call__(self, host: str) -> Sequence[str]: ...


class Dialer(Protocol):
    """Opens a connection to one address; with `tls` the certificate has to be for `host`."""

    async def __call__(
        self, address: str, port: int, tls: ssl.SSLContext | None, host: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]: ...


async def system_resolver(host: str) -> Sequence[str]:
    """What the machine's resolver answers."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return ()
    return list(dict.fromkeys(str(each[4][0]) for each in found))


async def plain_dialer(
    address: str, port: int, tls: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TCP connection to the address as it stands, TLS on top where it is asked for."""
    return await asyncio.open_connection(address, port, ssl=tls, server_hostname=host if tls else None, limit=2**18)


async def checked_address(host: str, resolve: Resolver, *, private: bool) -> str:
    """The address to dial for `host`.

    Raises:
        Refused: it has none, or *any* of its addresses is one that nobody may be sent to.
    """
    literal = _literal(host)
    answers = [host] if literal else list(await resolve(host))[: MAX_ANSWERS + 1]
    if not answers or len(answers) > MAX_ANSWERS:
        raise Refused(f"{host} has {len(answers) or 'no'} addresses")
    for answer in answers:
        try:
            address = ipaddress.ip_address(answer)
        except ValueError as fault:
            raise Refused(f"{host} resolves to {answer!r}, which is no address") from fault
        reason = why_not(address, private=private)
        if reason:
            raise Refused(f"{host}: {reason}" if not literal else reason)
    return answers[0]


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
