"""The yardstick: a bare forwarder on asyncio and httptools. Parse, pick, relay; no key, no budget, no ledger, no policy.

`python -m bench.baseline_forwarder PORT UPSTREAM_PORT [asyncio]` listens on loopback, on uvloop or on asyncio's own loop. It is written for speed alone, callbacks all the way
down, so that what a governed call costs can be held against the least that forwarding one costs in Python.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any, cast

import httptools
import msgspec
import uvloop

ROUTES = {"support": "gpt-4o-mini", "gpt-4o-mini": "gpt-4o-mini"}


class Vendor(asyncio.Protocol):
    """A kept-alive connection to the upstream; its answer goes to whoever holds it."""

    def __init__(self, idle: list[Vendor]) -> None:
        self.idle = idle
        self.parser = httptools.HttpResponseParser(self)
        self.client: Client | None = None
        self.transport: asyncio.Transport | None = None
        self.pieces: list[bytes] = []
        self.kind = b"application/json"
        self.chunked = False
        self.done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)
        client = self.client
        if client is None:
            return
        if self.chunked:
            client.stream_piece(b"".join(self.pieces), self.done)
        elif self.done:
            client.whole(self.parser.get_status_code(), self.kind, b"".join(self.pieces))
        if self.chunked or self.done:
            self.pieces.clear()
        if self.done:
            self.client = None
            self.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.client is not None:
            self.client.close()
        elif self in self.idle:
            self.idle.remove(self)

    def on_message_begin(self) -> None:
        self.done = self.chunked = False

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-type":
            self.kind = value
        elif name == b"transfer-encoding":
            self.chunked = True

    def on_headers_complete(self) -> None:
        if self.chunked and self.client is not None:
            self.client.stream_begins(self.kind)

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.done = True


class Client(asyncio.Protocol):
    """A client's connection: one request at a time."""

    def __init__(self, idle: list[Vendor], upstream: int) -> None:
        self.idle = idle
        self.upstream = upstream
        self.parser = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.pieces: list[bytes] = []
        self.opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        asked: dict[str, Any] = msgspec.json.decode(b"".join(self.pieces))
        self.pieces.clear()
        asked["model"] = ROUTES[asked["model"]]
        body = msgspec.json.encode(asked)
        request = (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer sk-bench\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        if self.idle:
            self.ask(self.idle.pop(), request)
        else:
            self.opening = asyncio.get_running_loop().create_task(self.open(request))

    async def open(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, vendor = await loop.create_connection(lambda: Vendor(self.idle), "127.0.0.1", self.upstream)
        self.ask(vendor, request)

    def ask(self, vendor: Vendor, request: bytes) -> None:
        vendor.client = self
        cast(asyncio.Transport, vendor.transport).write(request)

    def whole(self, status: int, kind: bytes, body: bytes) -> None:
        head = b"HTTP/1.1 %d X\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
        cast(asyncio.Transport, self.transport).write(head % (status, kind, len(body)) + body)

    def stream_begins(self, kind: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"
        cast(asyncio.Transport, self.transport).write(head % kind)

    def stream_piece(self, piece: bytes, last: bool) -> None:
        framed = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        cast(asyncio.Transport, self.transport).write(framed + b"0\r\n\r\n" if last else framed)

    def close(self) -> None:
        cast(asyncio.Transport, self.transport).close()


async def main(port: int, upstream: int) -> None:
    idle: list[Vendor] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(idle, upstream), "127.0.0.1", port, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    run = asyncio.run if sys.argv[3:] == ["asyncio"] else uvloop.run
    run(main(int(sys.argv[1]), int(sys.argv[2])))
