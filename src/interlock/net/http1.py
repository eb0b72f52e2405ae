"""One HTTP/1.1 message read whole or piece by piece from a stream, framing checked by httptools, and heads written anew.

Above: proxy, fetch. Below: httptools. What is sent on is never the bytes that came in: a head that two parsers could read in two ways does not survive.
Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import httptools
from msgspec import Struct

MAX_HEAD = 65_536
PIECE = 65_536
HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade".split()  # noqa: SIM905 - a list of header names reads better as prose
)

Headers = list[tuple[str, str]]


class BadMessage(ValueError):
    """The peer does not speak HTTP/1.1, or says more than fits."""


class Request(Struct, frozen=True):
    """A whole request."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class _Reading:
    """What httptools calls back into."""

    def __init__(self, is_interim: Callable[[], bool] = lambda: False) -> None:
        """`is_interim`: whether the head that has just ended is that of a reply before the final one."""
        self._is_interim = is_interim
        self.target = b""
        self.headers: Headers = []
        self.pieces: list[bytes] = []
        self.size = 0
        self.head_done = False
        self.done = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if self._is_interim():
            self.headers = []
        else:
            self.head_done = True

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)
        self.size += len(body)

    def on_message_complete(self) -> None:
        self.done = self.head_done

    def take(self) -> bytes:
        data = b"".join(self.pieces)
        self.pieces.clear()
        return data


async def read_request(reader: asyncio.StreamReader, max_body: int) -> Request | None:
    """The next request; `None` when the peer closed before one began.

    Raises:
        BadMessage: it is malformed, larger than `max_body`, or ended in its middle.
    """
    state = _Reading()
    parser = httptools.HttpRequestParser(state)
    seen = 0
    while not state.done:
        data = await reader.read(PIECE)
        if not data:
            if seen:
                raise BadMessage("the request ended in its middle")
            return None
        seen += len(data)
        _feed(parser, data, state)
        if state.size > max_body:
            raise BadMessage(f"the request's body is larger than {max_body} bytes")
        if seen - state.size > MAX_HEAD + PIECE or (not state.head_done and seen > MAX_HEAD):
            raise BadMessage(f"the request's head is larger than {MAX_HEAD} bytes")
        if parser.get_method() == b"CONNECT" and state.head_done:
            break
    return Request(
        parser.get_method().decode("latin-1"), state.target.decode("latin-1"), tuple(state.headers), state.take()
    )


class Reply:
    """A reply whose body is still coming."""

    def __init__(self, reader: asyncio.StreamReader, *, bodyless: bool) -> None:
        self._reader = reader
        self._bodyless = bodyless
        self._state = _Reading(self._interim)
        self._parser = httptools.HttpResponseParser(self._state)
        self.status = 0
        self.headers: Headers = []

    async def head(self) -> None:
        """Reads until the final head is there; interim (1xx) replies are passed over. Raises BadMessage."""
        seen = 0
        while not self._state.head_done:
            data = await self._reader.read(PIECE)
            if not data:
                raise BadMessage("the reply ended before its head")
            seen += len(data)
            _feed(self._parser, data, self._state)
            if not self._state.head_done and seen > MAX_HEAD:
                raise BadMessage(f"the reply's head is larger than {MAX_HEAD} bytes")
        self.status = self._parser.get_status_code()
        if self.status == 101:
            raise BadMessage("the server switched protocols")
        self.headers = self._state.headers

    def _interim(self) -> bool:
        status = self._parser.get_status_code()
        return 100 <= status < 200 and status != 101

    async def body(self) -> AsyncIterator[bytes]:
        """The body's pieces. Raises BadMessage when it ends early."""
        state = self._state
        if self._bodyless or self.status in (204, 304):
            return
        while True:
            if state.pieces:
                yield state.take()
            if state.done:
                return
            data = await self._reader.read(PIECE)
            if not data:
                if self._sized():
                    raise BadMessage("the reply ended in its middle")
                return
            _feed(self._parser, data, state)

    def _sized(self) -> bool:
        return any(name in ("content-length", "transfer-encoding") for name, _ in self.headers)


def value_of(headers: Sequence[tuple[str, str]], name: str) -> str:
    """The first header of that (lower-case) name; empty when there is none."""
    return next((value for known, value in headers if known == name), "")


def request_bytes(method: str, path: str, authority: str, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """A request written anew: own `Host`, own framing, no hop-by-hop header."""
    dropped = {*HOP_BY_HOP, *named_by_connection(headers), "host", "content-length", "expect"}
    lines = [f"{method} {path} HTTP/1.1", f"host: {authority}"]
    lines.extend(f"{name}: {value}" for name, value in headers if name not in dropped)
    if body or method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
        lines.append(f"content-length: {len(body)}")
    lines.append("connection: close")
    return _lines(lines) + body


def head_bytes(status: int, headers: Sequence[tuple[str, str]], *, chunked: bool) -> bytes:
    """A reply's head written anew; the connection is closed after it."""
    dropped = {*HOP_BY_HOP, *named_by_connection(headers), "alt-svc"}
    if chunked:
        dropped.add("content-length")
    lines = [f"HTTP/1.1 {status} -"]
    lines.extend(f"{name}: {value}" for name, value in headers if name not in dropped)
    lines.append("connection: close")
    if chunked:
        lines.append("transfer-encoding: chunked")
    return _lines(lines)


def named_by_connection(headers: Sequence[tuple[str, str]]) -> set[str]:
    """Headers that `Connection` declares to be for this hop alone."""
    return {token.strip().lower() for name, value in headers if name == "connection" for token in value.split(",")}


def _lines(lines: Sequence[str]) -> bytes:
    if any("\r" in line or "\n" in line or "\x00" in line for line in lines):
        raise BadMessage("a header holds a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", errors="replace")


def _feed(parser: httptools.HttpRequestParser | httptools.HttpResponseParser, data: bytes, state: _Reading) -> None:
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        state.done = True
    except httptools.HttpParserError as fault:
        raise BadMessage(f"not HTTP/1.1: {fault}") from fault
