"""A crowd of clients against a server against vendors that misbehave, all on one event loop and out of one seed."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from uvicorn.server import ServerState

from interlock.app import Interlock
from interlock.core.caller import Caller, Secret
from interlock.core.ids import SystemIds
from interlock.core.time import SystemClock
from interlock.server.auth import Keys
from interlock.server.door import Door as Behind
from interlock.server.serve import Parts, ServerSettings, _config, served
from interlock.testing.upstream import Answer, Asked, Upstream

KEY = "il-chaos"
FILES = """\
workspace: chaos
tenant: acme
store: interlock.db
providers:
  first: {{dialect: openai, base_url: "{first}", api_key: sk-1, timeout_s: 1.0, stall_s: 0.8}}
  second: {{dialect: openai, base_url: "{second}", api_key: sk-2, timeout_s: 1.0, stall_s: 0.8}}
models:
  alone: [first/m]
  pair: [first/m, second/m]
prices:
  first/m: {{input_mtok_usd: 1.0, output_mtok_usd: 2.0, source: test, since: 2026-01-01}}
  second/m: {{input_mtok_usd: 3.0, output_mtok_usd: 5.0, source: test, since: 2026-01-01}}
caching: {{exact_cache: {{enabled: true}}}}
limits:
  - {{name: crowd, per: tenant, period: day, requests: 1000000000, usd: 1000000}}
  - {{name: poor, per: user, only: {{user: "poor*"}}, period: day, tokens: 900}}
  - {{name: at once, per: workflow, only: {{workflow: narrow}}, concurrency: 2}}
resilience:
  timeout_s: 6
  retries: {{base_s: 0.002, cap_s: 0.01}}
  circuit: {{consecutive: 1000, share: 1.0, cool_s: 0.05, cool_max_s: 0.1}}
  hedging: {{enabled: {hedged}, min_wait_s: 0.02}}
  outliers: {{least_calls: {least_calls}}}
  admission: {{max_concurrent: 40, max_waiting: 4, max_wait_s: 0.5, adaptive: false}}
"""
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
QUESTIONS = 40
BEAT_S = 0.01
NEVER = 1_000_000_000
NONSENSE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n<html>no!"
WORDS = [
    "parcel",
    "order",
    "refund",
    "delivery",
    "invoice",
    "address",
    "change",
    "please",
    "today",
    "why",
    "when",
    "status",
]


class Plan(Struct, frozen=True):
    """One client: what it asks, and when it goes away."""

    tag: str
    """The user it speaks for, or the workflow; empty where its question has to be the same as others'."""
    path: str
    body: bytes
    workflow: str = ""
    leave_after_bytes: int | None = None
    """Goes away when so many bytes of the reply have come; zero: as soon as it has asked."""
    leave_after_s: float = 0.0


class Told(Struct):
    """What became of it, on its own side."""

    plan: Plan
    status: int = 0
    left_s: float = 0.0
    """When it went away before its reply had ended, by the event loop's clock."""


def question(rng: random.Random, number: int) -> str:
    """One of the questions that a vendor has answered before, so that its weight is known; each has a length of its own."""
    return " ".join(rng.choices(WORDS, k=60))[: 12 + 7 * number].ljust(12 + 7 * number, ".")


def body_of(path: str, model: str, text: str, tag: str, *, stream: bool, sampled: bool) -> bytes:
    """The request in the dialect of its face."""
    told: dict[str, Any] = {"model": model, "stream": stream, "temperature": 1 if sampled else 0}
    if path == CHAT:
        told |= {"messages": [{"role": "user", "content": text}], "max_tokens": 200, "user": tag or None}
    elif path == MESSAGES:
        told |= {"messages": [{"role": "user", "content": text}], "max_tokens": 200}
        told |= {"metadata": {"user_id": tag}} if tag else {}
    else:
        told |= {"input": text, "max_output_tokens": 200, "store": False, "user": tag or None}
    return msgspec.json.encode({name: value for name, value in told.items() if value is not None})


def plans(rng: random.Random, calls: int, *, hedged: bool = True) -> list[Plan]:
    """The crowd, identical questions among it. Where nothing is hedged, ordinary calls go the short way, so they name no user."""
    asked = random.Random(1)
    pool = [question(asked, number) for number in range(QUESTIONS)]
    made: list[Plan] = []
    while len(made) < calls:
        twins = rng.choice((2, 3)) if rng.random() < 0.04 else 1
        same = twins > 1 or rng.random() < 0.1
        path, stream, text = rng.choice((CHAT, CHAT, MESSAGES, RESPONSES)), rng.random() < 0.5, rng.choice(pool)
        model = rng.choice(("alone", "pair", "pair"))
        for _ in range(twins):
            tag = "" if same else f"poor{len(made) % 7}" if rng.random() < 0.03 else f"u{len(made)}"
            fate = rng.random()
            short = not hedged and path == CHAT and tag.startswith("u")
            leave = 0 if fate < 0.06 else rng.randrange(1, 6_000 if stream else 900) if fate < 0.26 else None
            made.append(
                Plan(
                    tag=tag,
                    path=path,
                    body=body_of(path, model, text, "" if short else tag, stream=stream, sampled=not same),
                    workflow="narrow" if rng.random() < 0.03 else tag if short else "",
                    leave_after_bytes=leave,
                    leave_after_s=rng.random() * 0.03,
                )
            )
    return made[:calls]


class Mood:
    """How the vendors answer: well at first, then mostly well, and in every way badly."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.calm = True

    def __call__(self, asked: Asked) -> Answer:
        rng = self._rng
        said = random.Random(msgspec.json.encode(asked.body["messages"]))  # the same question has the same answer
        text = " ".join(said.choices(WORDS, k=said.randrange(1, 40)))
        delay_s = rng.choice((0.0, 0.0, 0.002, 0.03))
        pace_s = rng.choice((0.0, 0.0, 0.001, 0.003)) if asked.streamed else 0.0
        luck = rng.random()
        good = Answer(text=text, delay_s=delay_s, piece_delay_s=pace_s)
        if self.calm:
            return Answer(text=text)
        if luck < 0.72:
            return good
        if luck < 0.78:
            return Answer(status=rng.choice((500, 502, 503)), text="oops", delay_s=delay_s)
        if luck < 0.81:
            return Answer(status=429, text="slow down", headers=(("retry-after", "0"),))
        if luck < 0.82:
            return Answer(status=400, text="no such thing")
        if luck < 0.89:
            return msgspec.structs.replace(
                good, cut_after=rng.randrange(0, 12) if asked.streamed else rng.randrange(0, 500)
            )
        if luck < 0.92:
            return msgspec.structs.replace(
                good, stall_after=rng.randrange(0, 12) if asked.streamed else rng.randrange(0, 500)
            )
        if luck < 0.95:
            return Answer(text=text, delay_s=2.0)
        if luck < 0.97 and asked.streamed:
            return msgspec.structs.replace(good, error_after=rng.randrange(3, 8))
        return Answer(text=text, raw=NONSENSE, raw_billed=True)


class Crowd:
    """Everything that is up, and what it has seen."""

    def __init__(self, il: Interlock, port: int, vendors: list[Upstream], folder: Path) -> None:
        self.il = il
        self.port = port
        self.vendors = vendors
        self.folder = folder
        self.stood: list[tuple[float, float]] = []
        """When the event loop that clients, server and vendors share stood still, by its clock."""

    async def watch(self) -> None:
        """Notes where the loop stands still, until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            if loop.time() > due_s + BEAT_S:
                self.stood.append((due_s, loop.time()))

    async def calmly(self) -> None:
        """Every question once at each vendor, and in each way of asking."""
        asked = random.Random(1)
        pool = [question(asked, number) for number in range(QUESTIONS)]
        todo = [
            Plan("", path, body_of(path, model, text, "", stream=stream, sampled=True))
            for model in ("first/m", "second/m")
            for stream, path in ((False, CHAT), (True, CHAT))
            for text in pool
        ]
        statuses = {told.status for told in await self.run(todo, 16)}
        assert statuses == {200}, statuses

    async def run(self, todo: list[Plan], at_once: int) -> list[Told]:
        """Lets the crowd in, so many at a time."""
        told: list[Told] = []
        queue = iter(todo)

        async def door() -> None:
            told.extend([await self._client(plan) for plan in queue])

        await asyncio.gather(*(door() for _ in range(at_once)))
        return told

    async def _client(self, plan: Plan) -> Told:
        told = Told(plan)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        workflow = f"x-interlock-workflow: {plan.workflow}\r\n" if plan.workflow else ""
        head = f"POST {plan.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n{workflow}"
        writer.write(f"{head}content-length: {len(plan.body)}\r\nconnection: close\r\n\r\n".encode() + plan.body)
        gone = plan.leave_after_bytes == 0
        if gone:
            await writer.drain()
            await asyncio.sleep(plan.leave_after_s)
        else:
            gone = await self._read(reader, told)
        if gone:
            told.left_s = asyncio.get_running_loop().time()
        writer.transport.abort()
        return told

    async def _read(self, reader: asyncio.StreamReader, told: Told) -> bool:
        """True where the client has had enough before the end."""
        seen, limit = b"", told.plan.leave_after_bytes
        while piece := await reader.read(4096):
            seen += piece
            if not told.status and b"\r\n" in seen:
                told.status = int(seen.split(b" ", 2)[1])
            if limit is not None and len(seen) >= limit:
                return True
        return False


@asynccontextmanager
async def crowd(folder: Path, seed: int, keep: int = 200_000, *, hedged: bool = True) -> AsyncGenerator[Crowd, None]:
    """A server on a free port with two vendors behind it."""
    mood = Mood(random.Random(seed))
    clock = SystemClock()
    async with (
        Upstream(mood, api_key="sk-1", keep_requests=keep) as first,
        Upstream(mood, api_key="sk-2", keep_requests=keep) as second,
    ):
        ways = {
            "hedged": str(hedged).lower(),
            "least_calls": 10 if hedged else NEVER,
        }  # one that is left out closes the short way
        (folder / "interlock.yaml").write_text(FILES.format(first=first.base_url, second=second.base_url, **ways))
        async with Interlock.from_file(folder) as il:
            caller = Caller("acme", key_id="server", versions=il.workspace.versions)
            parts = Parts(
                gateway=il.gateway,
                keys=Keys({Secret(KEY): caller}),
                ids=SystemIds(clock),
                clock=clock,
                health=lambda: {"status": "ok"},
                models=il.served_models,
                embeddings=il.gateway.embeddings,
                kept=il.kept_responses,
            )
            config = _config(Behind(served(parts)), ServerSettings())
            config.load()
            loop, state = asyncio.get_running_loop(), ServerState()
            make: Any = config.http_protocol_class
            server = await loop.create_server(lambda: make(config, state, {}, loop), "127.0.0.1", 0, backlog=512)
            try:
                up = Crowd(il, server.sockets[0].getsockname()[1], [first, second], folder)
                await up.calmly()
                mood.calm = False
                watching = loop.create_task(up.watch())
                try:
                    yield up
                finally:
                    watching.cancel()
            finally:
                server.close()
                for connection in tuple(state.connections):
                    connection.transport.abort()
                await asyncio.gather(*tuple(state.tasks), return_exceptions=True)
                await server.wait_closed()
