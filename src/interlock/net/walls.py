"""SSRF protection: one strict reading of URLs and hosts, and the network addresses that are never dialled.

Above: egress, dial. Below: `core`, the standard library. A host is read once, here, and everything later works on what was read, so that no two
parsers can disagree. Sources: RFC 3986, RFC 6890 (special-purpose registries), RFC 6052 (NAT64); the vendors' pages on metadata services.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}
MAX_URL = 4_096
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LETTER_LABEL = re.compile(r"(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})")
_PLAIN = re.compile(r"[\x21\x23-\x5b\x5d\x5f\x61-\x7a\x7e]*")
"""Printable ASCII without space, quotes, backslash, caret, backtick, braces and bar."""

METADATA = frozenset(
    ipaddress.ip_address(each)
    for each in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
        "fd00:a9fe:a9fe::1",
        "fd00:100::100:200",
    )
)
"""Services that hand credentials to whoever asks from inside a cloud."""
_EMBEDDING = tuple(
    ipaddress.ip_network(each)
    for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "::ffff:0:0:0/96")
)
"""IPv6 blocks that carry an IPv4 address inside."""
_PRIVATE = tuple(
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Place(NamedTuple):
    """A web address, taken apart once."""

    scheme: str
    host: str
    """A DNS name in lower case without a closing dot, or an address literal in its one canonical form."""
    port: int
    path: str
    """Path and query as they are sent."""

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


class Refused(ValueError):
    """Why an address is not one that may be asked."""


def place_of(url: str) -> Place:
    """`url` taken apart.

    Raises:
        Refused: it is not a plain http(s) address whose host has one reading.
    """
    if len(url) > MAX_URL or not _PLAIN.fullmatch(url):
        raise Refused("the address is too long or has characters that must be percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as fault:
        raise Refused(f"the address is malformed: {fault}") from fault
    if parts.scheme not in PORTS:
        raise Refused(f"the scheme {parts.scheme!r} is not http or https")
    if "@" in parts.netloc:
        raise Refused("the address holds a user name")
    if port == 0 or parts.netloc.endswith(":"):
        raise Refused("the address has an empty port")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(
        parts.scheme,
        host_of(parts.hostname or "", literal_v6=parts.netloc.startswith("[")),
        port or PORTS[parts.scheme],
        path,
    )


def host_of(text: str, *, literal_v6: bool = False) -> str:
    """The one reading of a host: an address literal in canonical form, or a dotted name that ends in a label of letters.

    Numbers in disguise (`2130706433`, `0x7f.1`, `127.1`), names without a dot, escaped and non-ASCII names have no such reading.

    Raises:
        Refused: it has none.
    """
    host = text.lower()
    if literal_v6:
        if "%" in host:
            raise Refused("an address with a zone")
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError as fault:
            raise Refused("not an IPv6 address") from fault
    if re.fullmatch(r"(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}", host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError as fault:
            raise Refused("not an IPv4 address") from fault
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused(f"{text!r} is not a plain host name")
    if not _LETTER_LABEL.fullmatch(labels[-1]):
        raise Refused(f"{text!r} could be read as a number")
    return name


def why_not(address: Address, *, private: bool = False) -> str:
    """Why `address` is not dialled; empty when it may be. `private` lifts the bar for private networks, and no other."""
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if inner is not None:
        return why_not(inner, private=private)
    if address in METADATA:
        return f"{address} is a metadata service"
    if isinstance(address, ipaddress.IPv6Address) and any(address in block for block in _EMBEDDING):
        return f"{address} carries another address inside"
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        return f"{address} is a local address"
    if any(address.version == block.version and address in block for block in _PRIVATE):
        return "" if private else f"{address} belongs to a private network"
    if address.is_reserved or not address.is_global:
        return f"{address} is reserved"
    return ""
