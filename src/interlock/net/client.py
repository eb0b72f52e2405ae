"""The pooled HTTP/1.1 client behind the port `core.ports.HttpClient`.

Own code because a general client costs ten to a hundred times the CPU of the rest of a call. It speaks what the vendors'
interfaces need and no more: keep-alive, chunked and sized bodies, TLS with verification. It follows no redirect, asks for no
compression, keeps no cookie and reads no proxy variable: the address in the configuration is the address that is called.

Above: `app`, which hands it to the providers. Below: pool, connection, url.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncIterator
from functools import partial
from types import TracebackType
from typing import Self

from msgspec import Struct

from interlock.core.errors import BadReply, ConnectFailed, UpstreamTimeout
from interlock.core.ports import NOTHING_SENT, HttpRequest, HttpResponse
from interlock.core.time import Clock, Deadline
from interlock.core.together import Together

from .connection import HANG_UP_S, Connection, Sink, StaleConnection, Terms, Want
from .flowing import Flowing
from .head import encode_head, encode_own, sendable
from .leaving import LAST_LOOKS, check_encoding, still_heard, was_coming
from .line import Line, Told
from .pool import OriginPool, PoolLimits
from .url import Origin, parse_target

_KEPT_LANES = 1024
_NEVER = Deadline(math.inf, math.inf)
"""The terms of an exchange that was begun elsewhere hold for it."""


class Lane(Struct, frozen=True):
    """Where requests of one method, address and set of headers go, and how each of them begins."""

    pool: OriginPool
    head: bytes


class PooledClient:
    """An HTTP/1.1 client with a pool of kept-alive connections per origin. It belongs to the event loop that first uses it."""

    def __init__(
        self,
        clock: Clock,
        *,
        limits: PoolLimits | None = None,
        max_body_bytes: int = 64 * 1024 * 1024,
        ca_file: str | None = None,
    ) -> None:
        """`max_body_bytes` bounds a whole reply. `ca_file` (PEM) is trusted beside the system's authorities."""
        self._clock = clock
        self._limits = limits or PoolLimits()
        self._max_body_bytes = max_body_bytes
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None
        self._pools: dict[Origin, OriginPool] = {}
        self._lanes: dict[tuple[str, str, tuple[tuple[str, str], ...]], Lane] = {}
        self._told = Together(Told.end)
        self._closed = False

    async def request(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """The whole reply, whatever its status.

        Raises:
            ConnectFailed, UpstreamTimeout, UpstreamStalled, UpstreamCut, BadReply: as named.
            Shed: too many calls wait for a connection. InvalidRequest: address or headers cannot be sent.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = now + deadline.left_s(self._clock)
        pool, connection = await self._ask(
            loop, request, Terms(True, due, due, math.inf, self._max_body_bytes), Want.END
        )
        response = HttpResponse(connection.status, connection.headers, connection.take())
        pool.give_back(connection)
        if "content-encoding" in response.headers:
            check_encoding(response.headers, request.url)
        return response

    def stream(
        self, request: HttpRequest, deadline: Deadline, *, stall_s: float, first_byte_s: float | None = None
    ) -> StreamLoan:
        """A context in which the reply's body can be read as it comes; leaving it early closes the connection at once.

        `deadline` bounds the whole stream, `first_byte_s` (default: only the deadline) the wait for its beginning,
        `stall_s` each silence after that. Raises as `request` does.
        """
        return StreamLoan(self, request, deadline, stall_s, first_byte_s)

    def line(self, request: HttpRequest, key_header: str) -> Line:
        """`core.short.HasLines`. Raises InvalidRequest: address or headers cannot be sent."""
        loop = asyncio.get_running_loop()
        lane = self._lanes.get((request.method, request.url, request.headers)) or self._lane(loop, request)
        if key_header:
            sendable(key_header, "")
        rest = (self._clock, self._max_body_bytes, self._told, partial(TakenOver, self, request))
        return Line(loop, lane.pool, request.url, lane.head, key_header, *rest)

    async def open_stream(
        self, request: HttpRequest, deadline: Deadline, stall_s: float, first_byte_s: float | None
    ) -> tuple[OriginPool, Connection]:
        """The connection on which the head of the reply has arrived; for `StreamLoan`."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = now + deadline.left_s(self._clock)
        first = due if first_byte_s is None else min(due, now + first_byte_s)
        return await self._ask(loop, request, Terms(False, due, first, stall_s, self._max_body_bytes), Want.HEAD)

    @property
    def max_body_bytes(self) -> int:
        """The largest whole body that is taken in."""
        return self._max_body_bytes

    async def close(self) -> None:
        """Closes every connection; calls under way fail with `UpstreamCut`."""
        self._closed = True
        for pool in self._pools.values():
            pool.close()

    # --- inside ---

    async def _ask(
        self, loop: asyncio.AbstractEventLoop, request: HttpRequest, terms: Terms, want: Want
    ) -> tuple[OriginPool, Connection]:
        lane = self._lanes.get((request.method, request.url, request.headers)) or self._lane(loop, request)
        own, body = request.own, request.body
        data = b"%b%bcontent-length: %d\r\n\r\n%b" % (lane.head, encode_own(own) if own else b"", len(body), body)
        pool = lane.pool
        if self._closed:
            raise ConnectFailed(f"{request.url}: the client was closed; nothing was sent")
        if terms.deadline_at <= loop.time():
            raise UpstreamTimeout(f"no time was left to ask {request.url}; nothing was sent")
        try:
            connection = pool.spare() or await pool.take(terms.deadline_at)
        except asyncio.CancelledError as gone:
            gone.args = (*gone.args, NOTHING_SENT)
            raise
        while True:
            try:
                await connection.start(data, terms, want)
                if connection.error is not None:
                    connection.check(want)
                return pool, connection
            except StaleConnection:
                pool.give_back(connection)
            except BaseException as fault:
                if isinstance(fault, asyncio.CancelledError) and await was_coming(loop, connection, want, fault):
                    return pool, connection
                connection.abort()
                pool.give_back(connection)
                raise
            # Only a used connection is ever stale and this one is new or was in use a moment ago, so the loop is short;
            # the deadline bounds it in any case.
            connection = await pool.take(terms.deadline_at)

    def _lane(self, loop: asyncio.AbstractEventLoop, request: HttpRequest) -> Lane:
        target = parse_target(request.url)
        head = encode_head(request, target)
        pool = self._pools.get(target.origin) or self._pool(loop, target.origin)
        if len(self._lanes) >= _KEPT_LANES:
            self._lanes.clear()
        lane = self._lanes[request.method, request.url, request.headers] = Lane(pool, head)
        return lane

    def _pool(self, loop: asyncio.AbstractEventLoop, origin: Origin) -> OriginPool:
        for known, pool in tuple(self._pools.items()):
            if len(self._pools) >= _KEPT_LANES and pool.unused:
                self._lanes.clear()
                pool.close()
                del self._pools[known]
        if origin.scheme == "https" and self._tls is None:
            self._tls = _tls_context(self._ca_file)
        tls = self._tls if origin.scheme == "https" else None
        pool = self._pools[origin] = OriginPool(loop, origin, self._limits, tls)
        return pool


class StreamLoan:
    """One streamed exchange: a context manager that yields itself as the `HttpStream`."""

    def __init__(
        self,
        client: PooledClient,
        request: HttpRequest,
        deadline: Deadline,
        stall_s: float,
        first_byte_s: float | None,
    ) -> None:
        self._client = client
        self._request = request
        self._deadline = deadline
        self._stall_s = stall_s
        self._first_byte_s = first_byte_s
        self._pool: OriginPool | None = None
        self._connection: Connection | None = None
        self._late = 0
        """How often something was still looked for when the time for what was on its way was up."""
        self.status = 0
        self.headers: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        request, deadline = self._request, self._deadline
        self._headed(*await self._client.open_stream(request, deadline, self._stall_s, self._first_byte_s))
        return self

    def _headed(self, pool: OriginPool, connection: Connection) -> None:
        """The head of the reply is here. Raises BadReply: its body is compressed."""
        self._pool, self._connection = pool, connection
        self.status = connection.status
        self.headers = connection.headers
        try:
            check_encoding(self.headers, self._request.url)
        except BadReply:
            self._give_back()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; pieces that arrived together are joined. Raises UpstreamStalled, UpstreamCut, BadReply."""
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise StopAsyncIteration
        if connection.gone is not None:
            return await self._on_its_way(connection, connection.gone)
        if not connection.ready(Want.PIECE):
            try:
                await connection.coming()
            except asyncio.CancelledError as gone:
                if not connection.hang_up(gone, HANG_UP_S):
                    raise
                return await self._on_its_way(connection, gone)
        connection.check(Want.PIECE)
        piece = connection.take()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def pour(self, sink: Sink) -> bool:
        """Hands each piece to `sink` as it comes, without waking anybody. True: `chunks` has more; False: that was the end.

        Raises as `chunks`, which also has what was on its way when the reader was cancelled.
        """
        connection = self._connection
        if connection is None:
            return False
        if connection.gone is not None:
            return True
        try:
            await connection.pour(sink)
        except asyncio.CancelledError as gone:
            if not connection.hang_up(gone, HANG_UP_S):
                raise
            return True
        finally:
            connection.forget()
        if connection.error is not None:
            connection.check(Want.PIECE)
        return connection.more

    async def _on_its_way(self, connection: Connection, gone: asyncio.CancelledError) -> bytes:
        """What the vendor had sent before it saw that nobody listens any more: billed, so it is still handed out. Then `gone`."""
        loop = asyncio.get_running_loop()
        self._late += loop.time() >= connection.gone_until
        if self._late > LAST_LOOKS:
            raise gone
        await still_heard(loop, connection, Want.PIECE)
        if piece := connection.take():
            return piece
        raise gone

    async def read(self) -> bytes:
        """The rest of the body at once. Raises `BadReply` above the client's cap."""
        pieces: list[bytes] = []
        size = 0
        async for piece in self:
            pieces.append(piece)
            size += len(piece)
            if size > self._client.max_body_bytes:
                raise BadReply(f"{self._request.url} answered with more than {self._client.max_body_bytes} bytes")
        return b"".join(pieces)

    def _give_back(self) -> None:
        if self._pool is not None and self._connection is not None:
            self._pool.give_back(self._connection)
            self._pool = self._connection = None


class TakenOver(StreamLoan):
    """The rest of a reply that was told piece by piece so far."""

    def __init__(self, client: PooledClient, request: HttpRequest, flowing: Flowing) -> None:
        super().__init__(client, request, _NEVER, math.inf, None)
        self._flowing = flowing

    async def __aenter__(self) -> Self:
        flowing = self._flowing
        self._headed(flowing.pool, await flowing.headed())
        return self


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as fault:
            raise ConnectFailed(
                f"the certificates in {ca_file} cannot be read: {fault}", hint="Give a PEM file."
            ) from fault
    return context
