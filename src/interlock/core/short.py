"""Ports of the fast path: what the rooms need from one another to answer an ordinary call in socket callbacks, without a task of its own.

Above: server asks, gateway decides, plugins and net send, the ledger takes note. Below: the values of `core`. The short way is the long one (`ports.ChatGateway`) for the call that
nothing happens to: whoever finds anything unusual says no before anything was done, or hands over to the long way where a try has failed. Both leave the
same events, replies and counts (`tests/gateway/test_short.py`).
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from .caller import Caller
from .chat import ChatRequest, ChatResponse, Chunk, Words
from .lots import Brief, Form, Opened
from .money import Usage
from .ports import ChatReply, Deployment, HttpRequest, HttpResponse, HttpStream, Tap
from .time import Deadline

# --- HTTP, upstream ---------------------------------------------------------------------------------------------


class Reader(Protocol):
    """Who takes a whole reply, in the callback of the socket; one of the two is called, once."""

    def came(self, response: HttpResponse) -> None: ...

    def failed(self, error: Exception) -> None:
        """Of the kinds that `ports.HttpClient` raises."""
        ...


class Sending(Protocol):
    """A request that was sent, and whose reply its `Reader` is told."""

    async def hear_out(self) -> CancelledError | None:
        """Hangs up. `None`: the reply was on its way already, and the reader has been told. Else it will be told nothing any more, and this is
        what a task that waited would have ended with (`ports.NOTHING_SENT`).
        """
        ...


class Taker(Protocol):
    """Who takes a reply piece by piece, in the callbacks of the socket."""

    def took(self, piece: bytes) -> bool:
        """Something of the body; the head is here. False: nothing more is told, since somebody has taken over."""
        ...

    def ended(self) -> None:
        """The exchange has ended, well or not, or could not begin; once, and not after somebody has taken over."""
        ...


Rest = AbstractAsyncContextManager[HttpStream]


class Flowing(Protocol):
    """A request that was sent, and whose reply its `Taker` is told as it comes."""

    @property
    def status(self) -> int:
        """Of the reply; 0 before its head is here."""
        ...

    @property
    def headers(self) -> dict[str, str]: ...

    @property
    def whole(self) -> bool:
        """It has ended well."""
        ...

    def take_over(self, left: bytes) -> None:
        """The taker is told nothing any more; `rest` is read instead, which begins with `left`: bytes that were told already."""
        ...

    def rest(self) -> Rest:
        """The reply from there on, as `ports.HttpClient.stream` has it; what ended the exchange, where that has ended, is raised by it."""
        ...

    def close(self) -> None:
        """Of a reply that has ended well: the connection is free."""
        ...


class HttpLine(Protocol):
    """Where requests of one address and one set of headers go."""

    def open(
        self, key: str, body: bytes, deadline: Deadline, stall_s: float, first_s: float, late_s: float, taker: Taker
    ) -> Flowing:
        """As `post`, of a reply that is streamed. `first_s`: the wait for its beginning; `late_s`: how much later its body may begin."""
        ...

    def post(self, key: str, body: bytes, deadline: Deadline, reader: Reader) -> Sending:
        """Sends, at once where a connection is open and idle. The reader is told later, never from inside of this."""
        ...


@runtime_checkable
class HasLines(Protocol):
    """An HTTP client with a short way."""

    def line(self, request: HttpRequest, key_header: str) -> HttpLine:
        """`request` without its body; `key_header` names the header that carries each request's key, empty for none."""
        ...


# --- Providers --------------------------------------------------------------------------------------------------


class Wire(Protocol):
    """A provider's short way to one deployment."""

    @property
    def dialect(self) -> str:
        """Requests of this dialect (`ChatRequest.raw_dialect`) can be sent."""
        ...

    def send(self, request: ChatRequest, key: str, deadline: Deadline, reader: Reader) -> Sending:
        """As `HttpLine.post`. What the request says stands in its `raw`, and its alias in `model`."""
        ...

    def stream(self, request: ChatRequest, key: str, deadline: Deadline, late_s: float, hearer: Hearer) -> Streaming:
        """As `send`, of an answer that is streamed. `late_s`: by how much more than its deployment's time its first piece may be late."""
        ...

    def read(self, response: HttpResponse) -> Said:
        """What the reply says. Raises as `ports.Provider.chat`."""
        ...

    def again(self, body: bytes) -> Said:
        """What a body says that was kept. Raises BadReply."""
        ...


class Hearer(Protocol):
    """Who takes a streamed answer piece by piece, in the callbacks of the socket."""

    @property
    def tap(self) -> Tap:
        """Takes plain pieces, once `piece` has taken a first one."""
        ...

    def piece(self, chunk: Chunk) -> bool:
        """The next piece. False: taken, and the rest is to be told otherwise: `over` is called."""
        ...

    def ended(self) -> None:
        """The answer has come to its end, and said that this is it."""
        ...

    def over(self) -> None:
        """Whatever else there may be (a failure, a reader that is slow, an event that says more): the rest stands in `Streaming.rest`."""
        ...


class Streaming(Protocol):
    """A streamed answer that was asked for, and whose pieces its `Hearer` is told. Neither is told from inside of `Wire.stream`."""

    def rest(self) -> AsyncGenerator[Chunk, Tap | None]:
        """Hands over: the pieces that have not been told, as `ports.Provider.stream` has them. Its hearer hears nothing any more."""
        ...


class Said(Protocol):
    """A whole answer, read as far as it has to be before it is handed on as it came."""

    @property
    def body(self) -> bytes:
        """The vendor's own bytes."""
        ...

    @property
    def usage(self) -> Usage: ...

    @property
    def plain(self) -> bool:
        """It ended by itself, in one answer of words: no call of a tool, no refusal."""
        ...

    @property
    def text(self) -> str:
        """Its words, or what it would hand to tools."""
        ...

    def response(self) -> ChatResponse:
        """All of it, to a request that has `raw`, is of the wire's dialect and asks for no probabilities."""
        ...


@runtime_checkable
class HasWires(Protocol):
    """A provider with a short way."""

    def wire(self, deployment: Deployment) -> Wire | None:
        """`None` where every request to it needs a closer look."""
        ...


# --- The gateway ------------------------------------------------------------------------------------------------


class Asker(Protocol):
    """Who asked the short way. One of the first three is called, once, and not before `Shortcut.take` has returned."""

    def passed_on(self, call: str, deployment: str, cost_nano_usd: int, body: bytes) -> None:
        """A full answer, as its vendor wrote it, of a call that needed one try."""
        ...

    def answered(self, reply: ChatReply) -> None: ...

    def refused(self, error: Exception) -> None: ...

    def whole(self) -> ChatRequest:
        """The request with everything that it says; the long way needs that."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs the rest in a task; one that is cancelled when the client goes."""
        ...


class Listener(Asker, Protocol):
    """Who asked for a stream: `piece` and `tap` take what comes, then `ended`, `answered` or `refused` ends it, or `goes_on` takes over."""

    @property
    def tap(self) -> Tap:
        """Takes plain pieces."""
        ...

    def piece(self, chunk: Chunk) -> bool:
        """False: taken, but no more until it has caught up."""
        ...

    def ended(self, call: str, deployment: str, cost_nano_usd: int, usage: Usage) -> None:
        """The answer has ended, and the call has settled; it needed one try."""
        ...

    def goes_on(self, pieces: AsyncGenerator[Chunk | ChatReply, Tap | None]) -> None:
        """What is left of the answer, as `ports.ChatGateway.stream` has it, to be read in a task."""
        ...


class Ride(Protocol):
    """A call that goes the short way."""

    async def left(self) -> None:
        """The client is gone: hangs up, and settles with what is known."""
        ...


class Shortcut(Protocol):
    """The gateway's short way."""

    def take(self, caller: Caller, request: ChatRequest, messages: Sequence[Words], asker: Asker) -> Ride | None:
        """The call, under way; `None`, and nothing done, where it has to go the long way.

        `request` lacks its messages, which come beside it; it names no user, tools or schema.
        """
        ...

    def stream(
        self, caller: Caller, request: ChatRequest, messages: Sequence[Words], listener: Listener
    ) -> Ride | None:
        """The same of an answer that is streamed."""
        ...


# --- The ledger -------------------------------------------------------------------------------------------------


@runtime_checkable
class QuickLedger(Protocol):
    """A ledger that takes calls of a form as the few numbers that are their own."""

    def note_open(self, form: Form, opened: Opened) -> int:
        """As `ports.Ledger.open`. The events of `form` take at most `OPEN_MOST` and `SETTLED_MOST` bytes."""
        ...

    def note_settled(self, slot: int, form: Form, brief: Brief) -> None:
        """The call as it ended stands in the journal from here on, and survives a kill -9; `hand_over` is owed."""
        ...

    def hand_over(self, form: Form, briefs: list[Brief], slots: list[int]) -> None:
        """Calls that were noted as settled, to be written."""
        ...


OPEN_MOST = 960
"""Bytes of an event in the journal's first half, and below in its second."""
SETTLED_MOST = 3_000


@runtime_checkable
class HasShortcut(Protocol):
    """A gateway with a short way."""

    @property
    def shortcut(self) -> Shortcut: ...
