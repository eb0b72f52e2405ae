"""Liveness and readiness probes for a process that serves nothing else: GET /healthz, GET /readyz.

Above: cli (`interlock worker`). Below: asyncio alone. Answers are a word or two; nothing of what the process does is shown, so no key is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct

from .serve import open_socket

MOST_HEAD_BYTES = 8_192
READ_S = 5.0


class Standing(Struct, frozen=True):
    """How the process is."""

    status: str
    """In a word."""
    lives: bool
    """False: it does nothing any more and should be started again."""
    ready: bool
    """False: it does nothing for now, or has been told to stop."""


@asynccontextmanager
async def probed(address: str, standing: Callable[[], Standing]) -> AsyncGenerator[int]:
    """Answers at `[HOST:]PORT` (host: 127.0.0.1; port 0: a free one) inside the block; yields the port.

    Raises:
        CannotListen: the address is taken, or not this machine's.
    """
    host, _, port = address.rpartition(":")
    sock = open_socket(host.strip("[]") or "127.0.0.1", int(port))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(READ_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_reply(head.split(b"\r\n", 1)[0].split(b" "), standing()))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, sock=sock, limit=MOST_HEAD_BYTES)
    async with server:
        yield int(sock.getsockname()[1])


def _reply(line: list[bytes], now: Standing) -> bytes:
    path = line[1].partition(b"?")[0] if len(line) == 3 else b""
    known: Mapping[bytes, bool] = {b"/healthz": now.lives, b"/readyz": now.ready}
    if path not in known:
        return _written("404 Not Found", {"error": "served: /healthz, /readyz"})
    return _written("200 OK" if known[path] else "503 Service Unavailable", {"status": now.status})


def _written(status: str, told: Mapping[str, str]) -> bytes:
    body = msgspec.json.encode(told)
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body
