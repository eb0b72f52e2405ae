"""A server on a free port with a gateway that does what a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from uvicorn.server import ServerState

from interlock.core.budget import Budget
from interlock.core.caller import Caller, Secret
from interlock.core.cards import ModelCard
from interlock.core.chat import ChatRequest, ChatResponse, Chunk
from interlock.core.embed import EmbedReply, EmbedRequest, EmbedResponse
from interlock.core.errors import InterlockError
from interlock.core.events import Settled
from interlock.core.ids import SystemIds
from interlock.core.money import Usage
from interlock.core.ports import ChatReply, TokenCount
from interlock.core.time import Deadline, SystemClock
from interlock.server.auth import Keys
from interlock.server.door import Door as Behind
from interlock.server.serve import Parts, ServerSettings, _config, served
from interlock.testing.kept import MemoryResponses

KEY = "il-test"
CALLER = Caller(tenant="acme", key_id="server")


def settled(**changes: Any) -> Settled:
    base: dict[str, Any] = {
        "call": "call_1",
        "kind": "model",
        "name": "support",
        "caller": CALLER,
        "status": "ok",
        "started_ns": 1_790_000_000_000_000_000,
        "deployment": "openai/gpt-4o-mini",
        "cost_nano_usd": 4500,
    }
    return Settled(**{**base, **changes})


def answered(text: str = "Hello there.", **changes: Any) -> ChatReply:
    return ChatReply(ChatResponse(model="gpt-4o-mini", text=text, usage=Usage(input=9, output=3)), settled(**changes))


class FakeGateway:
    """Answers with what it was given; remembers who asked what, and whether it was cancelled."""

    def __init__(self) -> None:
        self.reply: ChatReply | Exception = answered()
        self.pieces: list[Chunk | ChatReply | InterlockError] = []
        self.asked: list[tuple[Caller, ChatRequest]] = []
        self.hold: asyncio.Event | None = None
        self.holding = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def chat(
        self,
        caller: Caller,
        request: ChatRequest,
        *,
        budget: Budget | None = None,
        deadline: Deadline | None = None,
        fence: int = 0,
    ) -> ChatReply:
        self.asked.append((caller, request))
        await self._wait()
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    async def stream(
        self,
        caller: Caller,
        request: ChatRequest,
        *,
        budget: Budget | None = None,
        deadline: Deadline | None = None,
        fence: int = 0,
    ) -> AsyncGenerator[Chunk | ChatReply, None]:
        self.asked.append((caller, request))
        for number, piece in enumerate(self.pieces):
            if number:
                await self._wait()
            if isinstance(piece, InterlockError):
                raise piece
            yield piece

    async def count_tokens(
        self, caller: Caller, request: ChatRequest, *, deadline: Deadline | None = None
    ) -> TokenCount:
        self.asked.append((caller, request))
        return TokenCount(7, "openai/gpt-4o-mini", estimated=True)

    async def _wait(self) -> None:
        if self.hold is None:
            return
        self.holding.set()
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class FakeEmbeddings:
    """One and the same vector for every input."""

    async def embed(
        self, caller: Caller, request: EmbedRequest, *, budget: Budget | None = None, deadline: Deadline | None = None
    ) -> EmbedReply:
        vectors = (b"\x00\x00\x00\x3f" * 4,) * len(request.inputs)
        return EmbedReply(EmbedResponse("small", vectors, Usage(input=7)), settled())


class Door:
    def __init__(self, port: int, gateway: FakeGateway, state: ServerState | None = None) -> None:
        self.port = port
        self.wires: list[Wire] = []
        self.gateway = gateway
        self.state = state or ServerState()
        self.url = f"http://127.0.0.1:{port}"

    async def send(self, *pieces: bytes) -> Wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for piece in pieces:
            writer.write(piece)
        self.wires.append(Wire(reader, writer))
        return self.wires[-1]

    def close(self) -> None:
        for wire in self.wires:
            wire.close()


class Wire:
    """A client that sees bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> tuple[int, dict[str, str]]:
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = text.strip().split("\r\n")
        return int(status.split(" ")[1]), dict(line.split(": ", 1) for line in lines)

    async def reply(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = await self.head()
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def rest(self) -> bytes:
        return await self.reader.read()

    def close(self) -> None:
        self.writer.transport.abort()


def parts(gateway: FakeGateway) -> Parts:
    clock = SystemClock()
    return Parts(
        gateway=gateway,
        keys=Keys({Secret(KEY): CALLER, Secret("il-other"): Caller(tenant="globex", key_id="other")}),
        ids=SystemIds(clock),
        clock=clock,
        health=lambda: {"status": "ok", "ledger": "writing", "breakers": {"openai/gpt-4o-mini": "closed"}},
        models=lambda: [
            ModelCard("support"),
            ModelCard("openai/gpt-4o-mini", owned_by="openai", context_window=128_000),
        ],
        embeddings=FakeEmbeddings(),
        kept=MemoryResponses(),
    )


@asynccontextmanager
async def opened(
    max_body_bytes: int = 1_000_000, max_concurrent: int = 100, gateway: FakeGateway | None = None
) -> AsyncGenerator[Door, None]:
    """The server as `serve` builds it, without its signals and its slow way down."""
    gateway = gateway or FakeGateway()
    config = _config(
        Behind(served(parts(gateway))), ServerSettings(max_body_bytes=max_body_bytes, max_concurrent=max_concurrent)
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    make: Any = config.http_protocol_class
    server = await loop.create_server(lambda: make(config, state, {}, loop), "127.0.0.1", 0)
    door = Door(server.sockets[0].getsockname()[1], gateway, state)
    try:
        yield door
    finally:
        door.close()
        server.close()
        for connection in tuple(state.connections):
            connection.transport.abort()
        tasks = tuple(state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def post(body: bytes, path: str = "/v1/chat/completions", key: str = KEY, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{headers}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


ASK = b'{"model":"support","messages":[{"role":"user","content":"hi"}]}'
ASK_STREAM = b'{"model":"support","stream":true,"messages":[{"role":"user","content":"hi"}]}'
