"""A connection pool for one origin: keep-alive, a cap on open connections, and a bounded first-come queue.

Above: client. Below: connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque

from msgspec import Struct

from interlock.core.errors import ConnectFailed, Shed, UpstreamCut, UpstreamTimeout

from .connection import Connection
from .url import Origin


class PoolLimits(Struct, frozen=True):
    """Bounds of the pool of one origin."""

    connections: int = 1024
    """Open at the same time, in use or idle."""
    waiting: int = 4096
    """Calls that may wait for a connection; more are shed."""
    connect_timeout_s: float = 5.0
    """Name look-up, TCP and TLS together."""
    stale_after_s: float = 0.5
    """A kept connection that was idle for less than this and ends without a byte of an answer was not closed meanwhile: the request on it
    was taken, and may be billed, so it is not silently sent again."""
    keepalive_s: float = 30.0
    """How long an idle connection is kept."""


class OriginPool:
    """Lends connections to one origin, the most recently used first."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, origin: Origin, limits: PoolLimits, tls: ssl.SSLContext | None
    ) -> None:
        self._loop = loop
        self._origin = origin
        self._limits = limits
        self._tls = tls
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._open = 0
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def unused(self) -> bool:
        """Nobody holds or awaits a connection."""
        return not self._busy and self._open == len(self._idle)

    def spare(self) -> Connection | None:
        """An idle connection, if there is one that is still good."""
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                self._busy.add(connection)
                return connection
            self._open -= 1
        return None

    async def take(self, deadline_at: float) -> Connection:
        """A connection that was just opened, or one that another call gave back while this one waited.

        Raises:
            ConnectFailed, UpstreamTimeout: none within the time. Shed: too many calls are waiting already.
        """
        if self._open >= self._limits.connections and self._idle:
            self._idle.popleft().abort()
            self._open -= 1
        if self._open < self._limits.connections:
            self._open += 1
        else:
            given = await self._queue(deadline_at)
            if given is not None and given.reusable:
                return given
            if given is not None:
                self._busy.discard(given)
        try:
            connection = await self._connect(deadline_at)
        except BaseException:
            self._free_slot()
            raise
        self._busy.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Ends a loan; what cannot be used again is closed."""
        if not connection.reusable:
            self._busy.discard(connection)
            connection.abort()
            self._free_slot()
            return
        connection.idle_since = self._loop.time()
        waiter = self._next_waiter() if self._waiters else None
        if waiter is not None:
            waiter.set_result(connection)
            return
        self._busy.discard(connection)
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._limits.keepalive_s, self._sweep)

    def close(self) -> None:
        """Closes every connection; exchanges under way fail, calls that wait are refused."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(ConnectFailed(f"{self._origin}: the client was closed"))
        for connection in tuple(self._busy):
            connection.fail(UpstreamCut(f"{self._origin}: the client was closed in the middle of the call"))
        while self._idle:
            self._idle.pop().abort()
            self._open -= 1

    # --- inside ---

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    def _free_slot(self) -> None:
        """Lets the first that waits open a connection of its own, or lowers the count."""
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(None)
        else:
            self._open -= 1

    async def _queue(self, deadline_at: float) -> Connection | None:
        """A connection given back, or `None`: a slot in which to open one."""
        if len(self._waiters) >= self._limits.waiting:
            raise Shed(
                f"{self._limits.connections} connections to {self._origin} are busy and {len(self._waiters)} calls wait",
                retry_after_s=1.0,
            )
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(deadline_at):
                return await waiter
        except BaseException as fault:
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._return_unused(waiter.result())
            if isinstance(fault, TimeoutError):
                raise UpstreamTimeout(f"no connection to {self._origin} came free in time") from None
            raise

    def _return_unused(self, given: Connection | None) -> None:
        if given is None:
            self._free_slot()
        else:
            self.give_back(given)

    async def _connect(self, deadline_at: float) -> Connection:
        limit_at = min(deadline_at, self._loop.time() + self._limits.connect_timeout_s)
        origin = self._origin
        try:
            async with asyncio.timeout_at(limit_at):
                transport, connection = await self._loop.create_connection(
                    lambda: Connection(self._loop, origin),
                    origin.host,
                    origin.port,
                    ssl=self._tls,
                    server_hostname=origin.host if self._tls is not None else None,
                )
        except TimeoutError:
            raise ConnectFailed(
                f"{origin} did not accept a connection in time",
                hint="Is the address right, and may this machine reach it? Proxy variables are not read.",
            ) from None
        except (OSError, ssl.SSLError, ssl.CertificateError, UnicodeError) as fault:
            raise _connect_failed(origin, fault) from fault
        connection.stale_after_s = self._limits.stale_after_s
        plain: socket.socket | None = transport.get_extra_info("socket")
        if plain is not None:
            with contextlib.suppress(OSError):
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _sweep(self) -> None:
        self._sweeper = None
        now = self._loop.time()
        while self._idle and now - self._idle[0].idle_since >= self._limits.keepalive_s - 0.01:
            self._idle.popleft().abort()
            self._open -= 1
        if self._idle:
            due = self._idle[0].idle_since + self._limits.keepalive_s
            self._sweeper = self._loop.call_at(due, self._sweep)


def _connect_failed(origin: Origin, fault: Exception) -> ConnectFailed:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return ConnectFailed(
            f"{origin} shows a certificate that is not trusted: {fault.verify_message}",
            hint="For a private authority set SSL_CERT_FILE to its certificate (PEM), or add it to the system's authorities.",
        )
    if isinstance(fault, ssl.SSLError):
        return ConnectFailed(f"{origin}: TLS failed: {fault.reason or fault}", hint="Does it speak https at that port?")
    if isinstance(fault, socket.gaierror):
        return ConnectFailed(f"{origin}: the name cannot be looked up: {fault.strerror}", hint="Check `base_url`.")
    if isinstance(fault, UnicodeError):  # from IDNA: a label is empty or longer than 63 characters
        return ConnectFailed(f"{origin}: the host is no name that can be looked up", hint="Check `base_url`.")
    if isinstance(fault, ConnectionRefusedError):
        return ConnectFailed(f"{origin}: nothing listens there", hint="Start the server, or check `base_url`.")
    return ConnectFailed(f"{origin}: no connection: {fault}")
