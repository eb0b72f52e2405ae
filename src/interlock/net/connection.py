"""One connection to one origin: an HTTP/1.1 exchange at a time, its bytes, its limits and its clock.

Above: pool, client. Below: httptools and `core.errors`.
"""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Callable
from typing import cast

import httptools
from msgspec import Struct

from interlock.core.errors import BadReply, InterlockError, UpstreamCut, UpstreamStalled, UpstreamTimeout
from interlock.core.turns import TURNS

from .hanging_up import hung_up
from .url import Origin

MAX_HEAD_BYTES = 65_536
"""Status line and headers of one reply; more is a hostile or broken server."""
HIGH_WATER_BYTES = 262_144
"""Unread bytes of a streamed body at which reading from the socket pauses until the consumer has caught up."""

HANG_UP_S = 0.05
"""How long what is on its way is still heard, once the vendor has been told that nobody wants more. Then the connection is cut."""


class Want(enum.Enum):
    """What the one consumer of a connection is waiting for."""

    HEAD = 1
    PIECE = 2
    END = 3


Sink = Callable[[bytes], bool]
"""Takes a piece of a body; False: that was the last for now."""


class StaleConnection(Exception):
    """A connection that had been used before was closed before one byte of the answer came; safe to ask again elsewhere."""


class Terms(Struct, frozen=True):
    """The limits of one exchange, in seconds of the event loop's clock and in bytes."""

    whole: bool
    deadline_at: float
    first_byte_at: float
    stall_s: float
    max_body_bytes: int
    body_at: float = math.inf
    """Until when something of the body has to be here."""


class Connection(asyncio.Protocol):
    """A connection and the exchange on it. `start`, then `ready`, `coming`, `check` and `take`; afterwards `reusable` says what it is good for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, origin: Origin) -> None:
        self._loop = loop
        self._origin = origin
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._want = Want.END
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0
        self._looks = 0
        """At what lies in the socket, since a time was found to be up."""
        self._paused = False
        self._terms: Terms | None = None
        self.exchanges = 0
        self.idle_since = 0.0
        self.idle_s = self.stale_after_s = 0.0
        """How long it was idle before the exchange on it, and from when on it may have been closed meanwhile."""
        self.done = True
        self.status = 0
        self.headers: dict[str, str] = {}
        self.headed = False
        self._keep = False
        self._interim = False
        self._bodied = False
        self._pieces: list[bytes] = []
        self._unread = 0
        self._received = 0
        self._last = 0.0
        self.error: InterlockError | StaleConnection | None = None
        self.gone: asyncio.CancelledError | None = None
        """Why it has been hung up; never used again after that."""
        self.gone_until = 0.0
        self._given_up: UpstreamStalled | None = None
        """Why a stream is to end once what is on its way has been heard."""
        self._sink: Sink | None = None
        self._told: Callable[[], None] | None = None

    # --- the exchange, from the consumer's side ---

    def start(self, data: bytes, terms: Terms, want: Want) -> asyncio.Future[None]:
        """Sends a whole request; the exchange then runs under `terms`. The future is as that of `coming`, for `want`."""
        waiter = self._loop.create_future()
        if self._begin(data, terms, want):
            self._waiter = waiter
        else:
            waiter.set_result(None)
        return waiter

    def tell(self, data: bytes, terms: Terms, told: Callable[[], None]) -> bool:
        """As `start`, for the whole reply: `told` is called in the callback that ends the exchange. False: it ended at once, untold."""
        begun = self._begin(data, terms, Want.END)
        self._told = told if begun else None
        return begun

    def flow(self, data: bytes, terms: Terms, sink: Sink | None, told: Callable[[], None]) -> bool:
        """As `tell`, of a reply whose body is handed to `sink` as it comes, in the callback of the socket, until it refuses."""
        begun = self._begin(data, terms, Want.END)
        self._sink, self._told = (sink, told) if begun else (None, None)
        return begun

    def forget(self) -> None:
        """Nobody is told of the exchange any more: what comes is kept for `take`, its end can be awaited by `coming`."""
        self._told = self._sink = None

    def put_back(self, piece: bytes) -> None:
        """What was taken of the body and has to be taken again."""
        self._pieces.insert(0, piece)
        self._unread += len(piece)

    def _begin(self, data: bytes, terms: Terms, want: Want) -> bool:
        """Sends; False where the connection turns out to be closed, which `error` then says."""
        self.status = self._unread = self._received = 0
        self.headers = {}
        self.headed = self._keep = self._interim = self.done = self._bodied = False
        self._pieces = []
        self.error = self._sink = self._told = None
        self.exchanges += 1
        self._terms = terms
        self._want = want
        transport = self._transport
        if transport is None or transport.is_closing():
            self._settle_loss()
            return False
        transport.write(data)
        now = self._loop.time()
        self.idle_s = now - self.idle_since
        due = terms.first_byte_at if terms.whole else min(terms.first_byte_at, now + terms.stall_s)
        if self._timer is None or self._timer_at > due:
            self._arm(due)
        return True

    def pour(self, sink: Sink) -> asyncio.Future[None]:
        """Hands what comes of the body to `sink`, in the callback of the socket; done when it refuses, or when the body has ended."""
        self._want = Want.END
        waiter = self._loop.create_future()
        if (self._pieces and not sink(self.take())) or self.done or self.error is not None:
            waiter.set_result(None)
        else:
            self._waiter, self._sink = waiter, sink
        return waiter

    @property
    def more(self) -> bool:
        """The body has not ended, or something of it has not been taken yet."""
        return not self.done or bool(self._pieces)

    def _poured(self) -> None:
        """The sink takes no more for now."""
        self._sink = None
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def ready(self, want: Want) -> bool:
        """Whether what is wanted is there, or never will be. If not, await `coming`; `check` then says which it is."""
        self._want = want
        return self._ready()

    def coming(self) -> asyncio.Future[None]:
        """Done when what is wanted is there, or never will be."""
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def check(self, want: Want) -> None:
        """Returns when what is wanted is there; a `PIECE` that is not there then means that the body has ended. Raises `error`, after what came before."""
        if self.error is None or (want is Want.PIECE and self._pieces) or (want is Want.HEAD and self.headed):
            return
        raise self.error

    def take(self) -> bytes:
        """Everything of the body that has come since the last time, joined; empty when nothing has."""
        pieces = self._pieces
        if not pieces:
            return b""
        joined = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._unread = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._last = self._loop.time()
            self._transport.resume_reading()
        return joined

    @property
    def reusable(self) -> bool:
        """The last exchange ended cleanly and both sides keep the connection."""
        transport, ended = self._transport, self.gone is not None or self._given_up is not None
        return self._keep and self.done and not ended and transport is not None and not transport.is_closing()

    def abort(self) -> None:
        """Closes at once; the other side sees the connection end."""
        self._keep = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    def hang_up(self, gone: asyncio.CancelledError, within_s: float) -> bool:
        """Says that nothing more is wanted, and goes on taking in what is on its way; False where only closing says so.

        `gone` is why, and `within_s` how long its reader may go on listening.
        """
        if not self._hung_up():
            return False
        if self._timer is not None:  # no clock of the exchange ends this one sooner
            self._timer.cancel()
            self._timer = None
        self.gone, self.gone_until = gone, self._loop.time() + within_s
        return True

    def _hung_up(self) -> bool:
        transport = self._transport
        return transport is not None and not transport.is_closing() and hung_up(transport)

    def fail(self, error: InterlockError) -> None:
        """Ends the exchange with `error` and closes."""
        if not self.done and self.error is None:
            self.error = error
        self.abort()
        self._wake()

    def _ready(self) -> bool:
        if self.done or self.error is not None:
            return True
        if self._want is Want.HEAD:
            return self.headed
        return self._want is Want.PIECE and bool(self._pieces)

    def _wake(self) -> None:
        told, waiter = self._told, self._waiter
        if told is not None and (self.done or self.error is not None):
            self._told = None
            told()
        if waiter is not None and (self.done or self._ready()):
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    # --- time: one lazy timer, re-armed when it fires too early instead of at every byte ---

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        terms = self._terms
        if self.done or self.error is not None or terms is None:
            self._looks = 0
            return
        due = terms.deadline_at
        if not self._received:
            due = min(due, terms.first_byte_at)
        elif not self._paused:
            due = min(due, self._last + terms.stall_s)
        due = due if self._bodied else min(due, terms.body_at)
        now = self._loop.time()
        if now < due:
            self._looks = 0
            self._arm(min(due, now + terms.stall_s))
        elif self._looks < TURNS:  # the loop may have stood still: what lies unread in the socket is no silence
            self._looks += 1
            self._timer, self._timer_at = self._loop.call_soon(self._tick), now
        elif not self._received or (not self._bodied and now >= terms.body_at):
            self.fail(UpstreamTimeout(f"{self._origin} did not begin to answer in time"))
        elif now < terms.deadline_at:
            self._give_up(f"{self._origin} sent nothing for {terms.stall_s:g} s in the middle of its answer")
        else:
            self._give_up(f"{self._origin} had not finished its answer when the time was up")

    def _give_up(self, why: str) -> None:
        terms = self._terms
        if self._given_up is not None or terms is None or terms.whole or not self._hung_up():
            self.fail(self._given_up or UpstreamStalled(why))
            return
        self._given_up = UpstreamStalled(why)
        self._timer = self._loop.call_later(HANG_UP_S, self._let_go, self._given_up, TURNS)

    def _let_go(self, error: UpstreamStalled, looks: int) -> None:
        """Where the loop stood still, what came in time lies unread in the socket."""
        if looks:
            self._timer = self._loop.call_soon(self._let_go, error, looks - 1)
        else:
            self.fail(error)

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.done:
            self.abort()  # Bytes that nobody asked for: whose answer they are cannot be known.
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail(BadReply(f"{self._origin} switched to another protocol, which was not asked for"))
        except httptools.HttpParserError as fault:
            self.fail(BadReply(f"{self._origin} sent something that is not HTTP: {fault}"))
        if not self.headed and self._received > MAX_HEAD_BYTES:
            self.fail(BadReply(f"{self._origin} sent more than {MAX_HEAD_BYTES} bytes of headers"))
        terms = self._terms
        if terms is not None and terms.whole:
            if self._unread > terms.max_body_bytes:
                self.fail(BadReply(f"{self._origin} answered with more than {terms.max_body_bytes} bytes"))
            elif not self.done:
                return
        else:
            self._last = self._loop.time()
            sink, pieces = self._sink, self._pieces
            if sink is not None and pieces:
                self._pieces, self._unread = [], 0
                if not sink(pieces[0] if len(pieces) == 1 else b"".join(pieces)):
                    self._poured()
                if not self.done:
                    return
            if self._unread > HIGH_WATER_BYTES and not self._paused and self._transport is not None and not self.done:
                self._paused = True
                self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done and self.error is None:
            self._settle_loss()
        self.abort()
        self._wake()

    def _settle_loss(self) -> None:
        """What the end of the connection means for the exchange on it."""
        if self._given_up is not None:
            self.error = self._given_up
        elif not self._received and self.exchanges > 1 and self.idle_s >= self.stale_after_s:
            self.error = StaleConnection()
        elif not self._received:
            self.error = UpstreamCut(f"{self._origin} closed the connection without an answer")
        elif self.headed and "content-length" not in self.headers and "transfer-encoding" not in self.headers:
            self.done = True  # Without a length the end of the connection is the end of the body (RFC 9112 §6.3).
        else:
            self.error = UpstreamCut(f"{self._origin} closed the connection after {self._received} bytes of its answer")

    # --- httptools' side ---

    def on_message_begin(self) -> None:
        if self.done:
            self._keep = False  # More than was asked for; the answer stands, the connection is not used again.

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.headed and not self.done:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self.done:
            return
        self.status = self._parser.get_status_code()
        self._interim = 100 <= self.status < 200
        self.headed = not self._interim

    def on_body(self, body: bytes) -> None:
        if not self.done:
            self._bodied = True
            self._pieces.append(body)
            self._unread += len(body)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            self.headers = {}
        elif not self.done:
            self.done = True
            self._keep = self._parser.should_keep_alive()
