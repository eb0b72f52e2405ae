"""One request at a hot address and the reply to it, written straight to the connection.

Above: the faces (openai). Below: protocol, which makes these.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from interlock.core.errors import InterlockError

if TYPE_CHECKING:
    from .protocol import HotProtocol

HotHandler = Callable[["Exchange"], Coroutine[Any, Any, None]]
ShortWay = Callable[["Exchange"], bool]
"""Takes an ordinary request without a task (`Exchange.turn` is set then); False, and nothing done, for any other."""


class Turn(Protocol):
    """A request that was taken the short way."""

    async def left(self) -> None:
        """The client is gone."""
        ...


class Head(dict[bytes, bytes]):
    """The headers of a request by name, in lower case: the same object for all requests of a connection that have the same head."""

    __slots__ = ("known",)

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        """The values of a repeated name are joined by commas, which means the same (RFC 9110 §5.3)."""
        super().__init__(headers)
        if len(self) != len(headers):
            for name in self:
                self[name] = b", ".join([value for known, value in headers if known == name])
        self.known: object = None
        """What a face worked out from these headers, for the next request that has them."""


STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Exchange:
    """What a handler reads and writes. Exactly one of `reply` or `begin` … `write` … `end` is called, once."""

    __slots__ = (
        "_chunked",
        "disconnected",
        "handler",
        "headers",
        "keep_alive",
        "pieces",
        "previous",
        "protocol",
        "refusal",
        "response_complete",
        "response_started",
        "size",
        "started",
        "task",
        "turn",
    )

    def __init__(
        self,
        protocol: HotProtocol,
        handler: HotHandler,
        headers: Head,
        keep_alive: bool,
        http_version: str,
    ) -> None:
        self.protocol = protocol
        self._chunked = http_version == "1.1"
        self.handler = handler
        self.headers = headers
        self.keep_alive = keep_alive and self._chunked
        self.pieces: list[bytes] = []
        self.size = 0
        self.previous: Any = None
        """The request before this one on the same connection, until it has been answered."""
        self.refusal: InterlockError | None = None
        """Why the request must not be served; the handler puts it into its dialect's words."""
        self.started = False
        self.response_started = False
        self.response_complete = False
        self.disconnected = False
        self.task: asyncio.Task[None] | None = None
        self.turn: Turn | None = None
        """Answers it, where no task does."""

    @property
    def its_turn(self) -> bool:
        """Everything that was asked before on this connection has been answered."""
        return self.previous is None or self.previous.response_complete

    @property
    def body(self) -> bytes:
        """The whole body."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    def header(self, name: bytes) -> bytes:
        """The header of that (lower-case) name; empty when there is none."""
        return self.headers.get(name, b"")

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole reply in one write. `headers`: finished lines, each ended by CR LF."""
        self.response_started = self.response_complete = True
        end = b"content-length: %d\r\n\r\n" if self.keep_alive else b"connection: close\r\ncontent-length: %d\r\n\r\n"
        self._send(b"".join((STATUS_LINES[status], self._date(), headers, end % len(body), body)))

    def begin(self, status: int, headers: bytes) -> None:
        """The head of a reply whose body follows in pieces."""
        self.response_started = True
        self._send(self._begun(status, headers))

    def _begun(self, status: int, headers: bytes) -> bytes:
        if not self._chunked:
            self.keep_alive = False
        connection = b"" if self.keep_alive else b"connection: close\r\n"
        framing = b"transfer-encoding: chunked\r\n\r\n" if self._chunked else b"\r\n"
        return b"".join((STATUS_LINES[status], self._date(), headers, connection, framing))

    def begin_with(self, status: int, headers: bytes, piece: bytes) -> bool:
        """`begin` and, as `put`, a first piece in one write; an empty one is none."""
        self.response_started = True
        self._send(self._begun(status, headers) + (self._framed(piece) if piece else b""))
        return not self.slow

    @property
    def slow(self) -> bool:
        """The client has not taken enough of what came before, or is gone."""
        protocol = self.protocol
        return protocol.flow.write_paused or protocol.transport.is_closing()

    def _framed(self, piece: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece

    async def write(self, piece: bytes) -> None:
        """One piece of the body, once the client has taken enough of what came before."""
        protocol = self.protocol
        if protocol.flow.write_paused:
            await protocol.flow.drain()
        self._send(self._framed(piece))

    def put(self, raw: bytes, texts: Sequence[bytes]) -> bool:
        """As `write`, from the callback that read the piece: an exchange is the `core.ports.Tap` of its own stream."""
        protocol = self.protocol
        if protocol.transport.is_closing():
            return False
        protocol.transport.write(b"%x\r\n%b\r\n" % (len(raw), raw) if self._chunked else raw)
        return not protocol.flow.write_paused

    async def ready(self) -> bool:
        """Returns when the client has taken enough of what came before."""
        await self.protocol.flow.drain()
        return True

    def end(self) -> None:
        """The body is complete."""
        self.response_complete = True
        if self._chunked:
            self._send(b"0\r\n\r\n")

    def end_with(self, piece: bytes) -> None:
        """A last piece and the end in one write, whether or not the client has taken what came before."""
        self.response_complete = True
        self._send(self._framed(piece) + b"0\r\n\r\n" if self._chunked else piece)

    def _send(self, data: bytes) -> None:
        """Nothing, where the client is gone: whoever answers it may not have heard of that yet."""
        transport = self.protocol.transport
        if not transport.is_closing():
            transport.write(data)

    def _date(self) -> bytes:
        defaults = self.protocol.server_state.default_headers
        return b"date: %b\r\n" % defaults[0][1] if defaults else b""

    def finished(self) -> None:
        """To be called by whoever took it the short way, after its last word."""
        self.protocol.finished(self)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Goes on with what was taken the short way in a task, which ends when the client goes."""
        self.protocol.spawn(self, work)

    def cancel(self, task: asyncio.Task[None]) -> None:
        """Ends the task that answers it. One that has not begun takes its first step before: cancelled sooner it would never run, and
        the call that it was given would never settle.
        """
        if inspect.getcoroutinestate(cast(Any, task.get_coro())) == inspect.CORO_CREATED:
            self.protocol.loop.call_soon(task.cancel)
        else:
            task.cancel()

    # What uvicorn's own code expects of the request that came last; `HotProtocol.connection_lost` does the cancelling.

    @property
    def message_event(self) -> Self:
        return self

    def set(self) -> None:
        """Nobody waits for more of a body here."""
