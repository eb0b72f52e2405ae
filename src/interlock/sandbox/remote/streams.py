"""Streams between a sandbox and the egress proxy, over the connection between worker and gateway. Above: client, worker. Below: channel.

The proxy stays at the gateway: a worker needs no way out of its own, resolves no name and holds no secret. Each stream has a number that the worker gives.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from .channel import CHUNK, CLOSED, OPENED, PIECE, Channel

MOST = 64
"""Open at a time; more are closed at once."""


class _Stream:
    """One of them: it is over when both ends have said so."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.said = 0
        """How many ends will say no more."""


class Streams:
    """One connection's streams, the same at both ends."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._open: dict[int, _Stream] = {}
        self._pumps: set[asyncio.Task[None]] = set()

    @property
    def full(self) -> bool:
        return len(self._open) >= MOST

    async def open(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Tells the other end of a stream that begins here, and begins it."""
        await self._channel.send(OPENED, number.to_bytes(4, "big"))
        self.begin(number, reader, writer)

    def begin(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> asyncio.Task[None]:
        """From now on what the reader gives goes to the other end, and what comes from there to the writer."""
        self._open[number] = _Stream(writer)
        task = asyncio.get_running_loop().create_task(self._pump(number, reader))
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)
        return task

    async def feed(self, kind: bytes, body: bytes) -> None:
        """A message from the other end."""
        number = int.from_bytes(body[:4], "big")
        stream = self._open.get(number)
        if stream is None:
            return
        with suppress(OSError):
            if kind == PIECE:
                stream.writer.write(body[4:])
                await stream.writer.drain()
            elif kind == CLOSED and stream.writer.can_write_eof():
                stream.writer.write_eof()
        if kind == CLOSED:
            self._said(number)

    async def close(self) -> None:
        """Ends every stream."""
        for task in list(self._pumps):
            task.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for stream in self._open.values():
            stream.writer.close()
        self._open.clear()

    async def _pump(self, number: int, reader: asyncio.StreamReader) -> None:
        name = number.to_bytes(4, "big")
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._channel.send(PIECE, name + data)
        with suppress(OSError):
            await self._channel.send(CLOSED, name)
        self._said(number)

    def _said(self, number: int) -> None:
        stream = self._open.get(number)
        if stream is None:
            return
        stream.said += 1
        if stream.said == 2:
            del self._open[number]
            stream.writer.close()
