"""The head of a connection's requests, remembered so that the next request with the same head need not be parsed.

Above: protocol. Below: exchange.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .exchange import Exchange, Head, HotHandler

MOST_BYTES = 8_192
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,10})\r\n", re.IGNORECASE)


class SameHead(NamedTuple):
    """A head that the parser has accepted, cut where its content-length stands.

    The requests of one connection have the same head but for that number, so the next one need not be parsed: what is equal byte by
    byte means the same.
    """

    before: bytes
    after: bytes
    handler: HotHandler
    headers: Head


def head_of(data: bytes, exchange: Exchange) -> SameHead | None:
    """The head of the request that `data` holds and the parser has just read as `exchange`; `None` unless it is the whole of it and nothing is unusual."""
    end = data.find(b"\r\n\r\n") + 4
    found = _LENGTH.search(data, 0, end)
    if found is None or exchange.refusal is not None or not exchange.keep_alive:
        return None
    if len(data) - end != int(found[1]) or end > MOST_BYTES or _LENGTH.search(data, found.end(1), end):
        return None
    if exchange.header(b"transfer-encoding") or exchange.header(b"upgrade"):
        return None
    return SameHead(data[: found.start(1)], data[found.end(1) : end], exchange.handler, exchange.headers)
