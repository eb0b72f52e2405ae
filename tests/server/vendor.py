"""A vendor on this machine whose every reply a test makes itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct


class Asked(Struct, frozen=True):
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else {}


Said = tuple[int, str, bytes]
"""(status, content type, body)."""

CUT = 0
"""In the place of a status: the connection is closed instead of a reply."""


def said(value: Any, status: int = 200) -> Said:
    return status, "application/json", json.dumps(value).encode()


class Vendor:
    """Keeps what it was asked, answers with what `answer` returns."""

    def __init__(self, answer: Callable[[Asked], Said]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.port = 0
        self.hold: asyncio.Event | None = None
        self.gone = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = first.split(" ")
                asked = Asked(method, path, headers, body)
                self.asked.append(asked)
                if self.hold is not None:
                    held = asyncio.ensure_future(self.hold.wait())
                    left = asyncio.ensure_future(reader.read(1))
                    await asyncio.wait((held, left), return_when=asyncio.FIRST_COMPLETED)
                    self.gone += left.done()
                    left.cancel()
                    await asyncio.wait((left,))
                    if self.hold.is_set() is False:
                        return
                status, kind, reply = self.answer(asked)
                if status == CUT:
                    return
                top = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(reply)}\r\n\r\n"
                writer.write(top.encode() + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def vendor(answer: Callable[[Asked], Said]) -> AsyncGenerator[Vendor]:
    made = Vendor(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
