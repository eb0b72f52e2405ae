"""uvicorn's HTTP protocol with a short cut: hot addresses are answered right here, every other one goes on to ASGI.

A hot request costs one task and one write; uvicorn keeps what it is good at: connections, keep-alive, pipelining, limits and the way down.

Above: serve. Below: uvicorn, exchange, same_head, taking.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Container, Coroutine, Mapping
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from interlock.core.errors import Shed, TooLarge
from interlock.core.together import Together

from .exchange import Exchange, Head, HotHandler, ShortWay
from .same_head import SameHead, head_of
from .taking import Taking

MAX_PIPELINED = 8
"""Whole requests that may wait behind the one being answered; reading pauses there, so no client can queue without bound."""
MAX_HEAD_BYTES = 65_536
READ_S = 60.0
"""How long a client may take from connecting, or from a request's first byte, until the whole request is here."""
LINGER_S = 2.0
"""How long the rest of a body that was refused is read and thrown away, so that the client sees the answer and not a reset."""
HEADS_TRIED = 4
"""How often a connection's head is remembered in vain before that is given up: some clients never send the same one twice."""


async def _no_app(*_: Any) -> None:
    """Stands in uvicorn's queue where a hot request waits; `_start_asgi_task` never calls it."""


class Riders:
    """The requests of a server that go the short way: those that just came, and the connections of those that are under way."""

    __slots__ = ("_coming", "riding")

    def __init__(self) -> None:
        self._coming: Together[tuple[Exchange, ShortWay]] = Together(_ride)
        self.riding: set[HotProtocol] = set()

    def add(self, protocol: HotProtocol, exchange: Exchange, short: ShortWay) -> None:
        self.riding.add(protocol)
        self._coming.add((exchange, short), protocol.loop)


def _ride(coming: tuple[Exchange, ShortWay]) -> None:
    """Answers it the short way where that takes it, else in a task; not at all where the client has gone meanwhile."""
    exchange, short = coming
    protocol = exchange.protocol
    if protocol.transport.is_closing():
        protocol.left_alone()
    elif not short(exchange):
        exchange.spawn(exchange.handler(exchange))


class HotProtocol(HttpToolsProtocol):
    """One client's connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        hot: Mapping[bytes, HotHandler],
        max_body_bytes: int,
        short: Mapping[HotHandler, ShortWay] | None = None,
        riders: Riders | None = None,
    ) -> None:
        """`hot`: path → who answers a POST there. `max_body_bytes` bounds their bodies; ASGI apps bound their own.

        `short`: the short way of those that have one. `riders`: who is on it, of the whole server.
        """
        super().__init__(config, server_state, app_state, _loop)
        self._hot = hot
        self._max_body_bytes = max_body_bytes
        self._short = short or {}
        self._riders = riders or Riders()
        self._receiving: Exchange | None = None
        self._running: Exchange | None = None
        self._in_head = False
        self._head_bytes = 0
        self._idle_since = math.inf
        self._reading: asyncio.TimerHandle | None = None
        self._between = True
        """No request is half here: the next byte begins one."""
        self._same: SameHead | None = None
        self._heads_tried = 0
        self._taking: Taking | None = None
        self._answered = False
        """The next request waits until enough of the answer before it has been taken."""

    # --- a request comes in ---

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._reading = self.loop.call_later(READ_S, self._too_slow)

    def _too_slow(self) -> None:
        """Whoever sends a request drop by drop holds no connection for ever."""
        self._reading = None
        if self._running is None and self._receiving is None and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()

    def _watch_reading(self) -> None:
        """A request that is here whole needs no timer, and most are whole at once."""
        whole = not self._in_head and self._receiving is None
        if whole and self._reading is not None:
            self._reading.cancel()
            self._reading = None
        elif not whole and self._reading is None:
            self._reading = self.loop.call_later(READ_S, self._too_slow)

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._receiving = None
        self._between = False
        self._in_head = True
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Fields behind a chunked body are passed over: they may come without end, and are no headers (RFC 9110 §6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def data_received(self, data: bytes) -> None:
        begins = self._between
        if begins and self._same is not None and self._take_same(self._same, data):
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.transport.abort()
                return
        super().data_received(data)
        self._watch_reading()
        if begins and self._between and self._heads_tried < HEADS_TRIED:
            self._remember_head(data)

    def _take_same(self, same: SameHead, data: bytes) -> bool:
        """Takes in a whole request with the same head as the one before; False, and nothing done, for anything else."""
        at = len(same.before)
        end = data.find(b"\r", at, at + 11)
        length = data[at:end]
        body = end + len(same.after)
        if end < 0 or not length.isdigit() or len(data) - body != int(length) or int(length) > self._max_body_bytes:
            return False
        if not data.startswith(same.before) or not data.startswith(same.after, end):
            return False
        self._heads_tried = 0
        self._idle_since = math.inf
        exchange = self._expect(Exchange(self, same.handler, same.headers, True, "1.1"))
        exchange.pieces.append(data[body:])
        exchange.size = len(data) - body
        if exchange.previous is None:
            self._receiving = None
            self._start(exchange)
        else:
            self.on_message_complete()
        return True

    def _remember_head(self, data: bytes) -> None:
        """Remembers the head of the request that just came, if it came alone, whole and without anything unusual."""
        exchange = cast(Any, self.cycle)
        if isinstance(exchange, Exchange) and not self.expect_100_continue and (same := head_of(data, exchange)):
            self._heads_tried += 1
            self._same = same

    def _expect(self, exchange: Exchange) -> Exchange:
        """Puts an exchange behind the one before it."""
        before: Any = self.cycle
        exchange.previous = None if before is None or before.response_complete else before
        self._receiving = exchange
        # uvicorn's own code looks at `cycle` for the request that came last; an exchange has the attributes it looks at.
        self.cycle = cast(Any, exchange)
        return exchange

    def on_headers_complete(self) -> None:
        self._in_head = False
        handler = self._hot.get(self.url) or self._hot.get(self.url.partition(b"?")[0])
        parser = cast(httptools.HttpRequestParser, self.parser)
        if handler is None or parser.get_method() != b"POST":
            self._hand_to_asgi()
            return
        exchange = self._expect(
            Exchange(self, handler, Head(self.headers), parser.should_keep_alive(), parser.get_http_version())
        )
        length = exchange.header(b"content-length")
        if length.isdigit() and int(length) > self._max_body_bytes:
            self._refuse_body(exchange)
        elif self.expect_100_continue and exchange.its_turn:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _hand_to_asgi(self) -> None:
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        exchange = self._receiving
        if exchange is None:
            super().on_body(body)
            return
        if exchange.refusal is None:
            exchange.pieces.append(body)
            exchange.size += len(body)
            if exchange.size > self._max_body_bytes:
                self._refuse_body(exchange)

    def on_message_complete(self) -> None:
        self._between = True
        exchange = self._receiving
        if exchange is None:
            super().on_message_complete()
            return
        self._receiving = None
        if exchange.started:
            if exchange.response_complete:
                self.transport.close()  # Refused early; the rest of its body has now been read.
        elif exchange.its_turn:
            self._start(exchange)
        else:
            self.pipeline.appendleft((cast(Any, exchange), _no_app))
            if len(self.pipeline) >= MAX_PIPELINED:
                self.flow.pause_reading()

    def _refuse_body(self, exchange: Exchange) -> None:
        exchange.refusal = TooLarge(
            f"the request's body is larger than {self._max_body_bytes} bytes",
            hint="Send less at once; large media can be given by address.",
        )
        exchange.pieces.clear()
        exchange.keep_alive = False
        if exchange.its_turn:
            self._start(exchange)

    # --- it is answered ---

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if isinstance(cycle, Exchange):
            self._start(cycle)
        else:
            super()._start_asgi_task(cycle, app)

    def _start(self, exchange: Exchange) -> None:
        exchange.started = True
        exchange.previous = None
        limit = self.limit_concurrency
        if limit is not None and len(self.tasks) + len(self._riders.riding) >= limit:
            exchange.refusal = Shed(f"{limit} requests are being answered already", retry_after_s=1.0)
        self._running = exchange
        short = self._short.get(exchange.handler)
        if short is None:
            self.spawn(exchange, exchange.handler(exchange))
        else:
            self._riders.add(self, exchange, short)

    def left_alone(self) -> None:
        """Its client has gone before its request was looked at."""
        self._riders.riding.discard(self)

    def spawn(self, exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
        """Answers the request in a task; it is cut off at once where another sees to its client's having left already."""
        self._riders.riding.discard(self)
        before, exchange.turn = exchange.task, None
        task = exchange.task = self.loop.create_task(self._run(exchange, work))
        self.tasks.add(task)
        if before is not None:
            exchange.cancel(task)

    def finished(self, exchange: Exchange) -> None:
        """The request was answered the short way, or in the task that went on with it, which sees to the rest itself."""
        if exchange.task is None:
            self._riders.riding.discard(self)
            self._running = None
            exchange.turn = None
            self._finish(exchange)

    async def _run(self, exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:  # the outermost frame of a request: recorded, and the connection is ended below
            self.logger.exception("a request was not answered because of a defect in its handler")
        finally:
            self._running = None
            self.tasks.discard(cast(Any, asyncio.current_task()))
            self._finish(exchange)

    def _finish(self, exchange: Exchange) -> None:
        if self.transport.is_closing():
            return
        if not exchange.response_complete:
            self.transport.abort()  # Cancelled or broken in the middle: a clean end would pass for a whole answer.
        elif exchange.keep_alive:
            self.on_response_complete()
        elif self._receiving is exchange:
            self.loop.call_later(LINGER_S, self.transport.close)
        else:
            self.transport.close()

    # --- between requests: uvicorn arms and cancels a timer for every request, here one timer looks at how long it has been ---

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.write_paused:  # whoever asks on and reads nothing must not have answers pile up here
            self._answered = True
            self.flow.pause_reading()
        else:
            self._next_request()

    def _next_request(self) -> None:
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_again_at(self._idle_since + self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = math.inf

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        due = self._idle_since + self.timeout_keep_alive
        if due <= self.loop.time():
            super().timeout_keep_alive_handler()
        elif due < math.inf:
            self._look_again_at(due)

    def _look_again_at(self, due: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_at(due, self.timeout_keep_alive_handler)

    # --- the client takes its answer slowly, or not at all ---

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self._taking or Taking(self.transport, self.loop)
        self._taking.watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._taking is not None:
            self._taking.enough()
        if self._answered:
            self._answered = False
            self._next_request()

    # --- the client goes away ---

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._taking is not None:
            self._taking.enough()
        self.leave()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self.pipeline.clear()
        self._receiving = None
        super().connection_lost(exc)

    def holds(self, handlers: Container[HotHandler]) -> bool:
        """Whether a request is here that one of these answers, or will."""
        waiting = (self._running, self._receiving, *(cycle for cycle, _ in self.pipeline))
        return any(isinstance(each, Exchange) and each.handler in handlers for each in waiting)

    def forget_head(self) -> None:
        """Other handlers stand at the addresses now; the next request is read from its first byte."""
        self._same = None
        self._heads_tried = 0

    def leave(self) -> None:
        """Nobody waits for the answer any more: ends what is being done for it."""
        running = self._running
        if running is None:
            return
        if running.task is not None:
            running.cancel(running.task)
        elif running.turn is not None:
            self.spawn(running, running.turn.left())
