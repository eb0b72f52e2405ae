"""The HTTP client's fast path: requests to one address whose whole replies are delivered by the socket's callback, without a task (`core.short`).

Above: client. Below: connection, leaving, pool. No task and no future belongs to such a request; what is rare about it (a kept connection that had been closed
meanwhile, a client that leaves) is done by a task as ever.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from interlock.core.errors import InterlockError
from interlock.core.ports import NOTHING_SENT, HttpResponse
from interlock.core.short import Reader, Rest, Taker
from interlock.core.time import Clock, Deadline
from interlock.core.together import Together

from .connection import Connection, StaleConnection, Terms, Want
from .flowing import Flowing
from .leaving import check_encoding, was_coming
from .pool import OriginPool


class Line:
    """`core.short.HttpLine`."""

    __slots__ = ("_clock", "_head", "_key_header", "_max_body_bytes", "_pool", "_rest_of", "_url", "loop", "together")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool: OriginPool,
        url: str,
        head: bytes,
        key_header: str,
        clock: Clock,
        max_body_bytes: int,
        together: Together[Told],
        rest_of: Callable[[Flowing], Rest],
    ) -> None:
        """`head`: request line and headers that are always the same. `key_header`: the name of the one that is each request's own.

        `rest_of`: how the rest of a reply is read that was told piece by piece so far.
        """
        self.loop = loop
        self._pool = pool
        self._url = url
        self._head = head
        self._key_header = key_header.encode("ascii")
        self._clock = clock
        self._max_body_bytes = max_body_bytes
        self.together = together
        self._rest_of = rest_of

    def _bytes(self, key: str, body: bytes) -> bytes:
        own = b"%b: %b\r\n" % (self._key_header, key.encode("ascii")) if self._key_header else b""
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (self._head, own, len(body), body)

    def open(
        self, key: str, body: bytes, deadline: Deadline, stall_s: float, first_s: float, late_s: float, taker: Taker
    ) -> Flowing:
        now = self.loop.time()
        due = now + deadline.left_s(self._clock)
        first, begun = min(due, now + first_s), min(due, now + first_s + late_s)
        terms = Terms(False, due, first, stall_s, self._max_body_bytes, begun)
        return Flowing(self.loop, self._pool, self._url, self._bytes(key, body), terms, taker, self._rest_of)

    def post(self, key: str, body: bytes, deadline: Deadline, reader: Reader) -> Told:
        data = self._bytes(key, body)
        due = self.loop.time() + deadline.left_s(self._clock)
        told = Told(self, data, Terms(True, due, due, math.inf, self._max_body_bytes), reader)
        connection = self._pool.spare()
        if connection is None:
            told.opening = self.loop.create_task(self._open(told))
        else:
            told.connection = connection
            if not connection.tell(data, told.terms, told.heard):
                told.heard()
        return told

    def end(self, told: Told) -> None:
        """Its connection goes back, and its reader is told."""
        connection = told.connection
        assert connection is not None, "an exchange that ends has a connection"
        error = connection.error
        if error is None:
            response = HttpResponse(connection.status, connection.headers, connection.take())
            self._pool.give_back(connection)
            try:
                if "content-encoding" in response.headers:
                    check_encoding(response.headers, self._url)
            except InterlockError as fault:
                told.reader.failed(fault)
                return
            told.reader.came(response)
        elif isinstance(error, StaleConnection):
            self._pool.give_back(connection)
            told.over = False
            told.connection = None  # it had been closed while it was idle, and took nothing
            told.opening = self.loop.create_task(self._open(told))
        else:
            connection.abort()
            self._pool.give_back(connection)
            told.reader.failed(error)

    async def _open(self, told: Told) -> None:
        """Sends on a connection that is opened for it, or that another request gives back."""
        try:
            connection = told.connection = await self._pool.take(told.terms.deadline_at)
        except Exception as error:  # noqa: BLE001 - whatever it is, its reader has to be told: nobody else waits for this task
            told.reader.failed(error)
            return
        if not connection.tell(told.data, told.terms, told.heard):
            told.heard()

    async def hear_out(self, told: Told) -> asyncio.CancelledError | None:
        """As `core.short.Sending.hear_out`."""
        connection = told.connection
        if connection is None:
            if told.opening is not None:
                told.opening.cancel()
            return asyncio.CancelledError(NOTHING_SENT)
        connection.forget()
        told.over = True
        gone = asyncio.CancelledError()
        if await was_coming(self.loop, connection, Want.END, gone):
            self.end(told)
            return None
        connection.abort()
        self._pool.give_back(connection)
        return gone


class Told:
    """`core.short.Sending`: one request, and who is told of its reply."""

    __slots__ = ("_line", "connection", "data", "opening", "over", "reader", "terms")

    def __init__(self, line: Line, data: bytes, terms: Terms, reader: Reader) -> None:
        self._line = line
        self.data = data
        self.terms = terms
        self.reader = reader
        self.connection: Connection | None = None
        """`None` until there is one."""
        self.opening: asyncio.Task[None] | None = None
        """Waits for one."""
        self.over = False
        """Its end has been, or is being, worked out."""

    def heard(self) -> None:
        """The exchange has ended; what that means is worked out together with what else came."""
        line = self._line
        line.together.add(self, line.loop)

    def end(self) -> None:
        """The exchange has ended, and it is this one's turn."""
        if not self.over:
            self.over = True
            self._line.end(self)

    async def hear_out(self) -> asyncio.CancelledError | None:
        """Hangs up, as a task that waits for the reply does when it is cancelled."""
        return await self._line.hear_out(self)
