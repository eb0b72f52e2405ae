"""One request whose reply is told piece by piece, in the callbacks of the socket (`core.short`), until somebody reads the rest of it in a task.

Above: line, client. Below: connection, leaving, pool. As with `line`, no task and no future belongs to it but for the opening of a connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from interlock.core.errors import UpstreamCut
from interlock.core.ports import NOTHING_SENT
from interlock.core.short import Rest, Taker

from .connection import Connection, StaleConnection, Terms, Want
from .leaving import was_coming
from .pool import OriginPool


class Flowing:
    """`core.short.Flowing`."""

    __slots__ = (
        "_data",
        "_loop",
        "_opening",
        "_rest_of",
        "_taker",
        "_terms",
        "connection",
        "error",
        "pool",
        "taken_over",
        "url",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool: OriginPool,
        url: str,
        data: bytes,
        terms: Terms,
        taker: Taker,
        rest_of: Callable[[Flowing], Rest],
    ) -> None:
        self._loop = loop
        self.pool = pool
        self.url = url
        self._data = data
        self._terms = terms
        self._taker = taker
        self._rest_of = rest_of
        self.connection: Connection | None = None
        """`None` until there is one, and when it has been given back."""
        self._opening: asyncio.Task[None] | None = None
        self.error: Exception | None = None
        """Why there is no connection."""
        self.taken_over = False
        connection = pool.spare()
        if connection is None:
            self._opening = loop.create_task(self._open())
        else:
            self._send(connection)

    @property
    def status(self) -> int:
        return 0 if self.connection is None else self.connection.status

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.connection is None else self.connection.headers

    @property
    def whole(self) -> bool:
        return self.connection is not None and self.connection.done and self.connection.error is None

    def take_over(self, left: bytes) -> None:
        self.taken_over = True
        if self.connection is not None:
            self.connection.forget()
            if left:
                self.connection.put_back(left)

    def rest(self) -> Rest:
        return self._rest_of(self)

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.forget()
            self.pool.give_back(connection)

    # --- inside ---

    def _send(self, connection: Connection) -> None:
        self.connection = connection
        if not connection.flow(self._data, self._terms, None if self.taken_over else self._taker.took, self._ended):
            self._loop.call_soon(self._ended)

    async def _open(self) -> None:
        """Sends on a connection that is opened for it, or that another request gives back."""
        try:
            connection = await self.pool.take(self._terms.deadline_at)
        except Exception as error:  # noqa: BLE001 - whatever it is, its taker has to be told: nobody else waits for this task
            self.error = error
            if not self.taken_over:
                self._taker.ended()
            return
        self._send(connection)

    def _ended(self) -> None:
        connection = self.connection
        if connection is None or self.taken_over:
            return
        if isinstance(connection.error, StaleConnection):  # it had been closed while it was idle, and took nothing
            self.close()
            self._opening = self._loop.create_task(self._open())
            return
        self._taker.ended()

    async def headed(self) -> Connection:
        """The connection once the head of the reply is here; for whoever has taken over. Raises as `HttpClient.stream`."""
        if self.connection is None and self._opening is not None:
            try:
                await self._opening
            except asyncio.CancelledError as gone:
                gone.args = (*gone.args, NOTHING_SENT)
                raise
        connection = self.connection
        if connection is None:
            raise self.error or UpstreamCut(f"{self.url}: the connection was given back")
        try:
            if not connection.ready(Want.HEAD):
                await connection.coming()
            if isinstance(connection.error, StaleConnection):
                raise UpstreamCut(f"{self.url}: the connection was closed before the request was taken")
            connection.check(Want.HEAD)
        except BaseException as fault:
            if isinstance(fault, asyncio.CancelledError) and await was_coming(self._loop, connection, Want.HEAD, fault):
                return connection
            connection.abort()
            self.close()
            raise
        return connection
