"""Vendors on this machine that speak Anthropic's and Gemini's wire, and misbehave on demand like `testing.upstream`.

`async with Vendor("anthropic", script) as vendor:` listens on loopback; `vendor.base_url` is what a provider takes, `vendor.asked` what came in.

Above: tests, the project's own and its users'. Below: anthropic_wire, gemini_wire, upstream (the vocabulary of scripts).
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from . import anthropic_wire, gemini_wire
from .upstream import Answer, Asked, Script

Dialect = Literal["anthropic", "gemini"]
_WIRES: dict[Dialect, Any] = {"anthropic": anthropic_wire, "gemini": gemini_wire}


class Vendor:
    """The server. One event loop, loopback only."""

    def __init__(
        self, dialect: Dialect, script: Script | Answer | None = None, *, api_key: str = "", strict: bool = True
    ) -> None:
        """`api_key`: when given, anything else is answered as the vendor answers a wrong key. `strict`: requests that the vendor
        refuses are refused here too.
        """
        fixed = script if isinstance(script, Answer) else Answer()
        self.script: Script = script if callable(script) else lambda _asked: fixed
        self.api_key = api_key
        self.strict = strict
        self.asked: deque[Asked] = deque(maxlen=1_000)
        self.aborted = 0
        """Requests whose client went away before the reply was complete."""
        self._wire = _WIRES[dialect]
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """What a provider of the dialect takes as its `base_url`."""
        assert self._server is not None, "start the vendor first"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._wire.PREFIX}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._busy):
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            while (asked := await self._read(reader)) is not None:
                if not await self._serve(asked, reader, writer):
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._busy.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Asked | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = first.split(" ", 2)
        asked = Asked(len(self.asked) + 1, method, path, headers, msgspec.json.decode(body) if body else {})
        self.asked.append(asked)
        return asked

    async def _serve(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; false when the connection ends with it."""
        answer = self._answer(asked)
        if answer.delay_s:
            await self._unless_gone(reader, asyncio.sleep(answer.delay_s))
        if answer.until is not None:
            await self._unless_gone(reader, answer.until.wait())
        if answer.raw:
            writer.write(answer.raw)
            return False
        if answer.status != 200:
            writer.write(_reply(answer.status, self._wire.error(answer), answer.headers))
            return True
        if self._wire.streamed(asked):
            return await self._stream(asked, answer, reader, writer)
        wire = _reply(200, self._wire.whole(answer, asked), answer.headers)
        limit = answer.cut_after if answer.cut_after is not None else answer.stall_after
        writer.write(wire if limit is None else wire[:limit])
        if answer.stall_after is not None:
            await self._unless_gone(reader, asyncio.sleep(3600))
        return limit is None

    async def _stream(
        self, asked: Asked, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number, event in enumerate(self._wire.events(answer, asked)):
            if number == answer.stall_after:
                await self._unless_gone(reader, asyncio.sleep(3600))
            if number == answer.cut_after:
                return False
            if number == answer.error_after:
                broken: bytes = self._wire.broken()
                writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(broken), broken))
                return True
            if number and answer.piece_delay_s:
                await self._unless_gone(reader, asyncio.sleep(answer.piece_delay_s))
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        return True

    def _answer(self, asked: Asked) -> Answer:
        if self.api_key and not self._wire.authorised(asked, self.api_key):
            return Answer(status=self._wire.WRONG_KEY_STATUS, text="API key not valid", error_code="API_KEY_INVALID")
        if not self._wire.known(asked):
            return Answer(status=404, text=f"{asked.method} {asked.path} is not found.")
        if self.strict and (fault := self._wire.fault(asked.body)):
            return Answer(status=400, text=fault)
        return self.script(asked)

    async def _unless_gone(self, reader: asyncio.StreamReader, waiting: Any) -> None:
        """Waits, but not for a client that has left."""
        wait = asyncio.ensure_future(waiting)
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((wait, gone), return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                self.aborted += 1
                raise ConnectionAbortedError
        finally:
            wait.cancel()
            gone.cancel()
            await asyncio.gather(wait, gone, return_exceptions=True)  # the reader is free again only then


def _reply(status: int, body: bytes, headers: tuple[tuple[str, str], ...]) -> bytes:
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{extra}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body
