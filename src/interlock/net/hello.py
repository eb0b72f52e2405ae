"""Reads the server name (SNI) from a TLS ClientHello, without terminating TLS.

Above: proxy. Below: nothing. Sources: RFC 8446 §4.1.2 (ClientHello), RFC 6066 §3 (server_name), draft-ietf-tls-esni (0xfe0d).
"""

from __future__ import annotations

MAX_HELLO = 16_640
_SERVER_NAME, _ENCRYPTED_HELLO = 0x0000, 0xFE0D


class NoName(ValueError):
    """The message is none, names no server, or hides the name."""


def wanted(data: bytes) -> int:
    """How many bytes of a first TLS record are still missing; 0 when it is here whole. Raises NoName where it is no handshake."""
    if data and data[0] != 0x16:
        raise NoName("the first bytes are no TLS handshake")
    if len(data) < 5:
        return 5 - len(data)
    length = int.from_bytes(data[3:5], "big")
    if length + 5 > MAX_HELLO:
        raise NoName("the first TLS record is too long")
    return max(0, length + 5 - len(data))


def server_name(record: bytes) -> str:
    """The server name of a ClientHello that lies in one record, in lower case.

    Raises:
        NoName: as named; a hello spread over several records, and one with an encrypted inner hello, are refused too.
    """
    try:
        found = _extensions(record[5:])
    except IndexError as fault:
        raise NoName("the ClientHello is cut off") from fault
    if _ENCRYPTED_HELLO in found:
        raise NoName("the ClientHello hides a second one (ECH)")
    entry = found.get(_SERVER_NAME, b"")
    if len(entry) < 5 or entry[2] != 0 or int.from_bytes(entry[3:5], "big") != len(entry) - 5:
        raise NoName("the ClientHello names no server, or several")
    return entry[5:].decode("ascii", errors="replace").lower()


def _extensions(hello: bytes) -> dict[int, bytes]:
    if hello[0] != 1 or int.from_bytes(hello[1:4], "big") != len(hello) - 4:
        raise NoName("no whole ClientHello in the first record")
    at = 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 1 + hello[at]
    end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 2
    if end != len(hello):
        raise NoName("the ClientHello's extensions do not fill it")
    found: dict[int, bytes] = {}
    while at < end:
        kind, size = int.from_bytes(hello[at : at + 2], "big"), int.from_bytes(hello[at + 2 : at + 4], "big")
        if kind in found or at + 4 + size > end:
            raise NoName("the ClientHello repeats an extension or is cut off")
        found[kind] = hello[at + 4 : at + 4 + size]
        at += 4 + size
    return found
