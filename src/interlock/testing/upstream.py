"""A vendor on this machine: a local server that answers like OpenAI's chat completions and misbehaves on demand.

It counts what it would have billed, so that a test can hold the ledger against it. `await Upstream(script).start()`, point a
provider's `base_url` at `.base_url`, and read `.served` afterwards. `script` decides how each request is answered.

Above: tests and benches, the project's own and its users'. Below: the standard library and msgspec.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, cast

import msgspec
from msgspec import Struct

from .openai_rules import openai_fault
from .openai_wire import openai_error, openai_events, openai_whole

OVERLOADED = "The engine is overloaded."
"""What the error event of a stream that fails in its middle says."""


class Answer(Struct, frozen=True, omit_defaults=True):
    """How one request is answered. The default is a short, correct answer at once."""

    text: str = "Your order has shipped and arrives on Friday."
    tool_calls: tuple[tuple[str, str], ...] = ()
    """(name, arguments as JSON text) of each call that is asked for instead of a text."""
    finish: str = ""
    """Default: `tool_calls` where there are any, else `stop`."""
    logprob: float | None = None
    """Natural-log probability given for every token, when the request asks for logprobs."""
    model: str = ""
    """Default: the model that was asked for."""
    input_tokens: int | None = None
    """Default: a quarter of the request's characters."""
    output_tokens: int | None = None
    """Default: one per piece of a stream."""
    cached_tokens: int = 0
    """The part of the input that came from the vendor's cache."""
    image_tokens: int = 0
    """The part of the input that was pictures, for vendors that tell."""
    audio_tokens: int = 0
    """The part of the input that was sound."""
    spoken_tokens: int = 0
    """The part of the output that was sound."""
    reasoning_tokens: int = 0
    """The part of the output that was reasoning."""
    thought: str = "let me see"
    """What is shown of the reasoning, where there is any."""
    signature: str = "c2ln"
    """The seal on it, in dialects that seal."""
    refusal: str = ""
    """Said instead of an answer, the way the vendor refuses."""
    stop_hit: str = ""
    """The stop sequence that ended the answer, in dialects that name it."""
    pieces: int | None = None
    """Into how many events a streamed text is cut; default: one per word."""
    status: int = 200
    error_code: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0
    """Before the first byte."""
    until: asyncio.Event | None = None
    """Not one byte before this is set: what a test does meanwhile falls into the middle of the call, however quick the machine."""
    held_after: int | None = None
    """With `until`: so many events of a stream are sent at once, and the others when it is set."""
    piece_delay_s: float = 0.0
    """Before each later event of a stream."""
    cut_after: int | None = None
    """Close the connection after so many events of a stream, or bytes of a whole reply."""
    stall_after: int | None = None
    """Send nothing more after so many events or bytes, until the client has gone."""
    error_after: int | None = None
    """Send an error event after so many events of a stream, and end it there."""
    raw: bytes = b""
    """These bytes instead of any reply, then the connection is closed."""
    raw_billed: bool = False
    """The answer that `raw` stands for was made, and is charged."""


class Asked(Struct, frozen=True):
    """One request as the script sees it."""

    number: int
    """Counted from 1 over the server's life."""
    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream"))


LAST_CHARGES = 4
Script = Callable[[Asked], Answer]


def in_turn(*answers: Answer) -> Script:
    """Each answer once, in this order; the last one for every further request."""
    left = deque(answers)

    def script(_asked: Asked) -> Answer:
        return left.popleft() if len(left) > 1 else left[0]

    return script


class Served(Struct):
    """What happened, counted on the vendor's side of the wire."""

    requests: int = 0
    completed: int = 0
    aborted: int = 0
    """Requests whose client went away before the reply was complete."""
    refused: int = 0
    """Answered with an error status."""
    input_tokens: int = 0
    """Billed: of every request that is not refused, from when it was accepted, even if the client leaves before the answer."""
    output_tokens: int = 0
    """Billed: what had been produced when the reply ended or the client left."""
    connections: int = 0
    open_connections: int = 0


class Billed(Struct):
    """What one request cost, in the vendor's own books."""

    number: int
    key: str
    """Its idempotency key: whose try it was."""
    streamed: bool
    input_tokens: int = 0
    output_tokens: int = 0
    status: int = 0
    """Zero while nothing was answered."""
    over: bool = False
    """The vendor was done with it, well or badly, before its client left."""
    gone_s: float = 0.0
    """When its client was seen to have left before that, by the event loop's clock."""
    last: tuple[tuple[float, int], ...] = ()
    """Its last charges of output, at most `LAST_CHARGES`: (when, by the event loop's clock; tokens)."""


class Upstream:
    """The server. One event loop, loopback only, no state but counters and the last requests."""

    def __init__(
        self,
        script: Script | Answer | None = None,
        *,
        api_key: str = "",
        keep_requests: int = 1000,
        strict: bool = False,
    ) -> None:
        """`api_key`: when given, anything else is answered with 401. `strict`: requests that the vendor refuses are refused here too."""
        fixed = script if isinstance(script, Answer) else Answer()
        self.script: Script = script if callable(script) else lambda _asked: fixed
        self.api_key = api_key
        self.strict = strict
        self.served = Served()
        self.asked: deque[Asked] = deque(maxlen=keep_requests)
        self.bills: deque[Billed] = deque(maxlen=keep_requests)
        self.port = 0
        self._server: asyncio.Server | None = None
        self._wires: set[_Wire] = set()

    @property
    def base_url(self) -> str:
        """What a provider of the OpenAI dialect takes as its `base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self, port: int = 0) -> Self:
        """Listens on loopback; port 0 takes a free one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Wire(self, self._wires), "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        """Stops listening and ends every connection."""
        if self._server is not None:
            self._server.close()
        tasks = [task for wire in tuple(self._wires) if (task := wire.end()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def answer(self, asked: Asked) -> Answer:
        """What the script, or the check of the key, says to this request."""
        if self.api_key and asked.headers.get("authorization") != f"Bearer {self.api_key}":
            return Answer(status=401, text="Incorrect API key provided.", error_code="invalid_api_key")
        if not asked.path.endswith("/chat/completions"):
            return Answer(
                status=404, text=f"Unknown request URL: {asked.method} {asked.path}.", error_code="unknown_url"
            )
        if self.strict and (fault := openai_fault(asked.body)):
            return Answer(status=400, text=fault, error_code="invalid_request")
        return self.script(asked)


class _Wire(asyncio.Protocol):
    """One connection: requests are taken apart here and answered one after another."""

    def __init__(self, upstream: Upstream, wires: set[_Wire]) -> None:
        self._upstream = upstream
        self._wires = wires
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._bill = Billed(0, "", streamed=False)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._wires.add(self)
        self._upstream.served.connections += 1
        self._upstream.served.open_connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._wires.discard(self)
        self._upstream.served.open_connections -= 1
        if self._task is not None and not self._task.done():
            self._upstream.served.aborted += 1
            self._bill.gone_s = asyncio.get_running_loop().time()
            self._task.cancel()

    def end(self) -> asyncio.Task[None] | None:
        """Closes at once; the task that was answering, if there was one."""
        if self._transport is not None:
            self._transport.abort()
        return self._task

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None:
            self._next()

    def _next(self) -> None:
        """Takes one whole request off the buffer and answers it in a task of its own."""
        self._task = None
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = end + 4 + int(headers.get("content-length", "0"))
        if len(self._buffer) < size:
            return
        method, path, _ = first.split(" ", 2)
        body = bytes(self._buffer[end + 4 : size])
        del self._buffer[:size]
        served = self._upstream.served
        served.requests += 1
        asked = Asked(served.requests, method, path, headers, msgspec.json.decode(body) if body else {})
        self._upstream.asked.append(asked)
        self._bill = Billed(asked.number, headers.get("idempotency-key", ""), asked.streamed)
        self._upstream.bills.append(self._bill)
        answer = self._upstream.answer(asked)
        if answer.status == 200 and (answer.raw_billed or not answer.raw):
            self._charge(openai_whole(answer, asked.body, asked.number)[1].input_tokens, 0)
        self._task = asyncio.get_running_loop().create_task(self._serve(asked, answer))

    async def _serve(self, asked: Asked, answer: Answer) -> None:
        transport, served = self._transport, self._upstream.served
        assert transport is not None
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.until is not None and not (asked.streamed and answer.held_after is not None):
            await answer.until.wait()
        self._bill.status = answer.status
        if answer.raw:
            transport.write(answer.raw)
            if answer.raw_billed:
                bill = openai_whole(answer, asked.body, asked.number)[1]
                self._charge(0, bill.output_tokens)
        elif answer.status != 200:
            served.refused += 1
            transport.write(_reply(answer.status, openai_error(answer), answer.headers))
        elif asked.streamed:
            await self._stream(transport, asked, answer)
        else:
            await self._whole(transport, asked, answer)
        self._bill.over = True
        served.completed += answer.cut_after is None and not answer.raw
        if answer.raw or answer.cut_after is not None:
            transport.close()
        else:
            self._next()

    async def _whole(self, transport: asyncio.Transport, asked: Asked, answer: Answer) -> None:
        body, bill = openai_whole(answer, asked.body, asked.number)
        self._charge(0, bill.output_tokens)
        wire = _reply(200, body, answer.headers)
        limit = answer.cut_after if answer.cut_after is not None else answer.stall_after
        transport.write(wire if limit is None else wire[:limit])
        if answer.stall_after is not None:
            await _until_the_client_leaves()

    async def _stream(self, transport: asyncio.Transport, asked: Asked, answer: Answer) -> None:
        events, bill = openai_events(answer, asked.body, asked.number)
        options: dict[str, Any] = asked.body.get("stream_options") or {}
        free_end = 3 if options.get("include_usage") else 2
        paid = max(1, len(events) - 1 - free_end)
        """Events that hold a part of the answer: all but the first, and those from the finish on."""
        head = [b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"]
        head += [f"{name}: {value}\r\n".encode() for name, value in answer.headers]
        transport.write(b"".join([*head, b"\r\n"]))
        sent = 0
        for number, event in enumerate(events):
            if number == answer.stall_after:
                await _until_the_client_leaves()
            if number == answer.held_after and answer.until is not None:
                await answer.until.wait()
            if number == answer.cut_after:
                return
            if number == answer.error_after:
                broken = b"data: %b\n\n" % openai_error(Answer(status=503, text=OVERLOADED))
                transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(broken), broken))
                return
            if number and answer.piece_delay_s:
                await asyncio.sleep(answer.piece_delay_s)
            if transport.is_closing():
                return
            transport.write(b"%x\r\n%b\r\n" % (len(event), event))
            due = bill.output_tokens * min(number, paid) // paid
            self._charge(0, due - sent)
            sent = due
        transport.write(b"0\r\n\r\n")

    def _charge(self, input_tokens: int, output_tokens: int) -> None:
        for book in (self._upstream.served, self._bill):
            book.input_tokens += input_tokens
            book.output_tokens += output_tokens
        if output_tokens:
            self._bill.last = (*self._bill.last, (asyncio.get_running_loop().time(), output_tokens))[-LAST_CHARGES:]


async def _until_the_client_leaves() -> None:
    """Never returns: the loss of the connection cancels the task."""
    await asyncio.get_running_loop().create_future()


def _reply(status: int, body: bytes, headers: Sequence[tuple[str, str]]) -> bytes:
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{extra}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body
