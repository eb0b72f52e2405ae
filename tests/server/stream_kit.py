"""The OpenAI face over the gateway over the pooled client, in front of a vendor that sends the very bytes that a test wants."""

import asyncio
import itertools
import json
import random
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import structs
from uvicorn.server import ServerState

from interlock.app.token_keys import Derived
from interlock.core.caller import Secret
from interlock.core.ids import SystemIds
from interlock.core.limits import Limit
from interlock.core.ports import Deployment, PluginEnv
from interlock.core.time import SystemClock
from interlock.gateway.chat import Gateway
from interlock.gateway.quota import Quotas
from interlock.gateway.settings import Admission, Caching, Parts, Retrying, Settings, Tier
from interlock.governance.guards import TextGuards, Watching
from interlock.governance.injection import Injection
from interlock.governance.kinds import kinds
from interlock.governance.scan import Scanner
from interlock.governance.veil import Terms, Veil
from interlock.net.client import PooledClient
from interlock.plugins.caches.front import FrontedCache
from interlock.plugins.caches.memory import MemoryCache
from interlock.plugins.profiles import profile_of
from interlock.plugins.providers import openai
from interlock.server import serve
from interlock.server.auth import Keys
from interlock.server.door import Door as Behind
from interlock.testing.ledger import MemoryLedger
from tests.gateway.kit import price_of

from .door import CALLER, KEY, Door, FakeEmbeddings, FakeGateway, post
from .door import parts as parts_of

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
TURNS = 6
"""Of the loop between two pieces, so that each is read by itself."""


class Vendor:
    """Sends each request the next reply: pieces of bytes, each on its own; `None` at the end of them cuts the connection."""

    def __init__(self) -> None:
        self.replies: list[list[bytes | None]] = []
        self.bodies: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self.hold = asyncio.Event()
        """Awaited before a piece that is empty."""
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.get_extra_info("socket").setsockopt(6, 1, 1)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(re.findall(rb"content-length: (\d+)", head)[0])
                self.bodies.append(json.loads(await reader.readexactly(size)))
                for piece in self.replies.pop(0):
                    if piece is None:
                        writer.transport.abort()
                        return
                    if not piece:
                        await self.hold.wait()
                    writer.write(piece)
                    for _ in range(TURNS):
                        await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()

    def close(self) -> None:
        assert self._server is not None
        self._server.close()


class House:
    def __init__(self, door: Door, vendor: Vendor, ledger: MemoryLedger, gateway: Gateway, quotas: Quotas) -> None:
        self.door, self.vendor, self.ledger, self.gateway, self.quotas = door, vendor, ledger, gateway, quotas

    async def ask(self, text: str, *, usage: bool = True) -> bytes:
        """The whole reply, its head too."""
        return await (await self.begin(text, usage=usage)).rest()

    async def begin(self, text: str, *, usage: bool = True) -> Any:
        asked: dict[str, Any] = {"model": "support", "messages": [{"role": "user", "content": text}], "stream": True}
        if usage:
            asked["stream_options"] = {"include_usage": True}
        body = json.dumps(asked, separators=(",", ":")).encode()
        return await self.door.send(post(body, headers="connection: close\r\n"))

    def left_behind(self) -> dict[str, Any]:
        """All that the calls have left, without what is drawn or timed."""
        self.gateway.finish()
        assert not self.ledger.open_slots
        desk = self.gateway._desk
        return {
            "events": [timeless(each) for each in self.ledger.settled],
            "limits": sorted(self.quotas.standings()),
            "circuits": self.gateway.breakers(),
            "inside": desk.gate.inside,
            "places": {name: one.line.inside for name, one in desk.health._deployments.items()},
            "usual": {name: one.weights.usual for name, one in desk.health._deployments.items()},
            "waiting": len(desk.flights),
        }


def timeless(event: Any) -> Any:
    tries = [structs.replace(each, started_ns=0, duration_us=0, message=plain(each.message)) for each in event.attempts]
    return structs.replace(
        event,
        call="",
        caller=structs.replace(event.caller, task=""),
        started_ns=0,
        duration_us=0,
        first_token_us=int(event.first_token_us > 0),
        attempts=tuple(tries),
        reasons=tuple(plain(each) for each in event.reasons),
        message=plain(event.message),
    )


def plain(message: str) -> str:
    """Without the waits that are drawn and the port."""
    return re.sub(r"again in [\d.]+ s|127\.0\.0\.1:\d+", "…", message)


def text_guards() -> TextGuards:
    veil = Veil(Scanner(kinds(["email"], ())), Terms(), Derived(b"k" * 32).of)
    return TextGuards(veil, Watching(rules=Injection(None)))


@asynccontextmanager
async def house(*, guarded: bool = False, kept: bool = True) -> AsyncGenerator[House, None]:
    """The OpenAI face over the gateway over the pooled client, with two deployments at one vendor."""
    clock, vendor, ledger = SystemClock(), Vendor(), MemoryLedger()
    await vendor.start()
    http = PooledClient(clock)
    quotas = Quotas((Limit("day", ("tenant",), period="day", requests=10**6, tokens=10**9, nano_usd=10**15),), clock)
    at = [
        Deployment("mine", name, "openai", f"http://127.0.0.1:{vendor.port}", Secret("sk"), timeout_s=20.0, stall_s=9.0)
        for name in ("first", "second")
    ]
    env = PluginEnv(http=http, clock=clock, rng=random.Random(1), tier0={})
    gateway = Gateway(
        Settings(
            caching=Caching(exact=kept, coalesce=kept),
            admission=Admission(adaptive=False),
            retrying=Retrying(base_s=0.0001, cap_s=0.0002),
            timeout_s=60.0,
        ),
        Parts(
            ledger=ledger,
            clock=clock,
            ids=SystemIds(clock),
            rng=random.Random(1),
            price_of=price_of,
            providers={"openai": openai.build(env)},
            tiers_of=lambda _: (Tier("small", tuple(at)),),
            target_of=lambda target, alias: (),
            profile_of=profile_of,
            validator_of=lambda schema: lambda value: [],
            quotas=quotas,
            answers=FrontedCache(clock, MemoryCache()),
            guards=text_guards() if guarded else None,
        ),
    )
    parts = parts_of(FakeGateway())
    real = serve.Parts(
        gateway,
        Keys({Secret(KEY): CALLER}),
        SystemIds(clock),
        clock,
        parts.health,
        parts.models,
        FakeEmbeddings(),
        parts.kept,
    )
    config = serve._config(Behind(serve.served(real)), serve.ServerSettings())
    config.load()
    loop, state = asyncio.get_running_loop(), ServerState()
    make: Any = config.http_protocol_class
    server = await loop.create_server(lambda: make(config, state, {}, loop), "127.0.0.1", 0)
    door = Door(server.sockets[0].getsockname()[1], FakeGateway(), state)
    try:
        up = House(door, vendor, ledger, gateway, quotas)
        vendor.replies.append([answer([event("warm")])])
        await up.ask("the first call to a deployment goes the long way")
        yield up
    finally:
        door.close()
        server.close()
        for connection in tuple(state.connections):
            connection.transport.abort()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        await server.wait_closed()
        await http.close()
        vendor.close()


def event(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    told = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "first-1", **more}
    return b"data: " + json.dumps({**told, "choices": [choice]}, separators=(",", ":")).encode() + b"\n\n"


def usage(into: int, out: int, **more: Any) -> bytes:
    told = {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out, **more}
    return (
        b"data: "
        + json.dumps({"id": "chatcmpl-1", "model": "first-1", "choices": [], "usage": told}).encode()
        + b"\n\n"
    )


DONE = b"data: [DONE]\n\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer(events: list[bytes], *, spent: bytes = b"") -> bytes:
    """A whole reply: the events, a finish, what was spent, the end mark."""
    ended = [event(finish="stop"), spent or usage(9, len(events)), DONE]
    return HEAD + b"".join(chunk(each) for each in [*events, *ended]) + b"0\r\n\r\n"


def cut(data: bytes, places: list[int]) -> list[bytes | None]:
    at = sorted({place % len(data) for place in places} | {0, len(data)})
    return [data[begin:end] for begin, end in itertools.pairwise(at) if end > begin]


def without_ids(reply: bytes) -> bytes:
    """What a client reads, with its framing, ids and times taken out."""
    head, _, body = reply.partition(b"\r\n\r\n")
    if b"chunked" in head:
        pieces, rest = [], body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            pieces.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        body = b"".join(pieces)
    body = re.sub(rb'"call":"[^"]*"', b'"call":""', body)
    body = re.sub(rb'req_\w+|cal_\w+|127\.0\.0\.1:\d+|"created":\d+', b"", body)
    head = re.sub(rb"(x-request-id|date|x-interlock-call-id|content-length|retry-after): [^\r]*", b"", head)
    return head + b"\n\n" + body
