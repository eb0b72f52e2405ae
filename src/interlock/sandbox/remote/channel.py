"""What is said between a gateway and a worker: one kind and a body per message. Above: client, worker. Below: websocket.

The job and its files go in as on a local child's socket (`J F D G`), files and the outcome come out as from there (`F D R`).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from interlock.core.egress import EgressDecision
from interlock.core.sandbox import Ended, Job, Level, RunLimits, RunOutcome
from interlock.sandbox.prove import Finding

from .websocket import WebSocket

PROTOCOL = 2
PATH = "/v1/sandbox"
HELLO, JOB, FILE, DATA, GO = b"H", b"J", b"F", b"D", b"G"
BEGUN, OUTCOME, REFUSED = b"K", b"R", b"!"
INPUT, OUTPUT, OVER = b"I", b"O", b"E"
ASK, VALUE = b"Q", b"V"
"""A question of the function to the gateway's door, and its answer, as on a local child's socket."""
OPENED, PIECE, CLOSED = b"N", b"n", b"x"
"""Of a stream from the sandbox to the egress proxy: its number, four bytes, stands before what it carries."""
CHUNK = 65_536

EXAMINED = b"A"

Mode = Literal["run", "session", "program", "warm", "examine"]


class Hello(Struct, frozen=True):
    """The worker's first words."""

    protocol: int
    level: Level
    """What it proved on its machine by attacks."""
    kernel: str
    """Names the kernel that it runs on; empty where it cannot tell."""
    build: str = ""
    """Release and version of that kernel, for where it has no name."""
    missing: tuple[str, ...] = ()
    """Layers that its kernel does not have."""


class Head(Struct, frozen=True):
    """A job without its files."""

    mode: Mode
    entry: Literal["code", "function", "shell"] = "code"
    code: str = ""
    image: str = "python"
    paths: tuple[str, ...] = ()
    function: str = ""
    arguments: dict[str, Any] = {}
    context: dict[str, str] | None = None
    environment: dict[str, str] = {}
    limits: RunLimits = RunLimits()
    collect: bool = False
    network: bool = False
    authority: str = ""
    """PEM of whom to trust where the proxy looks into TLS."""
    compiled: bytes = b""
    door: bool = False


class Told(Struct, frozen=True):
    """An outcome without its files."""

    outcome: RunOutcome
    alive: bool = False
    """Of a session: its child still lives."""


class Refusal(Struct, frozen=True):
    """Why there is no outcome."""

    kind: Literal["refused", "shed", "lost", "path", "failed"]
    message: str
    hint: str = ""
    retry_after_s: float = 0.0


class Examined(Struct, frozen=True):
    """What every attack came to, carried out at the worker just now."""

    findings: tuple[Finding, ...]
    landlock: int
    groups: frozenset[str]


class Over(Struct, frozen=True):
    """A program's end."""

    ended_by: Ended
    words: str


class Channel:
    """Messages of one connection."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket

    async def send(self, kind: bytes, body: bytes = b"") -> None:
        """Raises ConnectionError: the other end is gone."""
        await self.socket.send(kind + body)

    async def tell(self, kind: bytes, value: Struct) -> None:
        """The same for a value."""
        await self.send(kind, msgspec.json.encode(value))

    async def receive(self) -> tuple[bytes, bytes]:
        """Kind and body of the next message; an empty kind when there is none. Raises NotWebSocket."""
        message = await self.socket.receive()
        return (message[:1], message[1:]) if message else (b"", b"")


def head_of(job: Job, mode: Mode, authority: str) -> Head:
    return Head(
        mode,
        job.entry,
        job.code,
        job.image,
        job.paths,
        job.function,
        job.arguments,
        job.context,
        job.environment,
        job.limits,
        job.collect or job.collect_to is not None,
        job.network is not None,
        authority,
        job.compiled,
        job.door is not None,
    )


def plain(outcome: RunOutcome) -> RunOutcome:
    """As it travels: its files go on their own, and what was decided about its requests is known at the other end."""
    decided: tuple[EgressDecision, ...] = ()
    return msgspec.structs.replace(outcome, files=(), egress=decided)


def hello(body: bytes) -> Hello | None:
    """The worker's first words, if they are understood."""
    try:
        return msgspec.json.decode(body, type=Hello)
    except msgspec.MsgspecError:
        return None
