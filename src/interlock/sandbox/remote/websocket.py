"""Messages over a connection: RFC 6455, binary messages only, without extensions. Above: channel. Below: asyncio's streams.

Both ends are ours, so a peer that does anything unusual is refused rather than humoured; what comes in is bounded before it is read.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha1

from msgspec import Struct

MOST_BYTES = 16 << 20
"""Of one message."""
MOST_HEAD_BYTES = 16_384
_KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUE, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x2, 0x8, 0x9, 0xA


class NotWebSocket(ConnectionError):
    """The other end does not keep to the protocol."""


class Head(Struct, frozen=True):
    """First line and fields of an HTTP/1.1 message; names in lower case."""

    first: str
    fields: Mapping[str, str]


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Raises NotWebSocket: it is none, or too long."""
    try:
        data = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as cut:
        raise NotWebSocket("the connection ended, or went on, before its head was whole") from cut
    if len(data) > MOST_HEAD_BYTES:
        raise NotWebSocket("a head that is too long")
    first, *lines = data.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return Head(first, {name.strip().lower(): value.strip() for name, _, value in pairs})


def accepted(key: str) -> str:
    """What a server answers to a client's key."""
    return base64.b64encode(sha1(key.encode() + _KEY_SUFFIX, usedforsecurity=False).digest()).decode()


async def offer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str) -> WebSocket:
    """The client's side of the handshake.

    Raises:
        NotWebSocket: the server answers otherwise; its first line is in the message.
    """
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode("latin-1")
    )
    await writer.drain()
    head = await read_head(reader)
    if " 101 " not in head.first or head.fields.get("sec-websocket-accept") != accepted(key):
        raise NotWebSocket(f"the worker answered {head.first[:200]!r}")
    return WebSocket(reader, writer, masks=True)


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: Head) -> WebSocket:
    """The server's side. Raises NotWebSocket: the head does not ask for one."""
    key = head.fields.get("sec-websocket-key", "")
    if head.fields.get("upgrade", "").lower() != "websocket" or not key:
        raise NotWebSocket("not a request for a WebSocket")
    writer.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accepted(key)}\r\n\r\n".encode("latin-1")
    )
    await writer.drain()
    return WebSocket(reader, writer, masks=False)


class WebSocket:
    """One open connection. One task may read and any may write at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, masks: bool) -> None:
        """`masks`: this is the client's end, whose frames are masked."""
        self._reader = reader
        self._writer = writer
        self._masks = masks

    async def send(self, data: bytes) -> None:
        """One message, waiting for room. Raises ConnectionError: the other end is gone."""
        self._frame(_BINARY, data)
        await self._writer.drain()

    async def receive(self) -> bytes | None:
        """The next message; `None` when the other end has closed or is gone.

        Raises:
            NotWebSocket: what comes is no message, or one that is too long.
        """
        message = bytearray()
        try:
            while True:
                last, kind, data = await self._next(MOST_BYTES - len(message))
                if kind == _CLOSE:
                    return None
                if kind == _PING:
                    self._frame(_PONG, data)
                elif kind in (_BINARY, _CONTINUE):
                    message += data
                    if last:
                        return bytes(message)
                elif kind != _PONG:
                    raise NotWebSocket(f"a frame of kind {kind}")
        except (asyncio.IncompleteReadError, ConnectionResetError, BrokenPipeError):
            return None

    def close(self) -> None:
        """Says so and ends; may be called again."""
        if not self._writer.is_closing():
            with suppress(ConnectionError):
                self._frame(_CLOSE, b"")
            self._writer.close()

    @property
    def ended(self) -> bool:
        """Whether it is known that nothing more will come."""
        return self._writer.is_closing() or self._reader.at_eof()

    async def _next(self, most: int) -> tuple[bool, int, bytes]:
        first, second = await self._reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self._reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
        if size > most or first & 0x70:
            raise NotWebSocket(f"a frame of {size} bytes, or with an extension")
        if bool(second & 0x80) == self._masks:
            raise NotWebSocket("a frame that is masked by the wrong side")
        key = await self._reader.readexactly(4) if second & 0x80 else b""
        data = await self._reader.readexactly(size)
        return bool(first & 0x80), first & 0x0F, masked(data, key) if key else data

    def _frame(self, kind: int, data: bytes) -> None:
        size = len(data)
        bit = 0x80 if self._masks else 0
        if size < 126:
            head = struct.pack("!BB", 0x80 | kind, bit | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | kind, bit | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, bit | 127, size)
        if self._masks:
            key = os.urandom(4)
            self._writer.write(head + key + masked(data, key))
        else:
            self._writer.write(head + data)


def masked(data: bytes, key: bytes) -> bytes:
    """`data` with the key over it, over and over; twice gives it back."""
    size = len(data)
    over = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(over, "big")).to_bytes(size, "big")
