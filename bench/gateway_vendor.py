"""The upstream of the gateway bench: answers every chat completion with the same bytes, or streams the same events.

`python -m bench.gateway_vendor PORT [DELAY_S [PACE_S [EVENTS]]]` listens on loopback. Nothing is rendered per request, so that the machine's
time goes to what is measured. A request with `"stream":true` gets EVENTS events, each its own write, PACE_S apart; every answer begins after
DELAY_S.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

import msgspec
import uvloop

EVENTS = 200
PACE_S = 0.004
TEXT = "Your order AB-12345 left our warehouse on Tuesday and should reach you by Friday. " * 3


def whole() -> bytes:
    """A reply of about 700 bytes, as a vendor writes it."""
    message: dict[str, Any] = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    choice: dict[str, Any] = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    details = {"cached_tokens": 0, "audio_tokens": 0}
    usage = {"prompt_tokens": 210, "completion_tokens": 60, "total_tokens": 270, "prompt_tokens_details": details}
    body = msgspec.json.encode({**envelope("chat.completion"), "choices": [choice], "usage": usage})
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def envelope(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-BxF2aQ9", "object": kind, "created": 1_790_000_000, "model": "gpt-4o-mini-2024-07-18"}


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    shown = {**envelope("chat.completion.chunk"), "service_tier": "default", "system_fingerprint": "fp_560af6e559"}
    return b"data: " + msgspec.json.encode({**shown, "choices": [choice], "usage": None}) + b"\n\n"


def events() -> tuple[bytes, bytes]:
    """A content event as it is written, and the end: finish, usage, end mark."""
    usage = {"prompt_tokens": 210, "completion_tokens": EVENTS, "total_tokens": 210 + EVENTS}
    last = (
        b"data: " + msgspec.json.encode({**envelope("chat.completion.chunk"), "choices": [], "usage": usage}) + b"\n\n"
    )
    return chunk(event({"content": " word"})), chunk(event({}, "stop") + last + b"data: [DONE]\n\n")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Manner:
    """How every request is answered."""

    def __init__(self, delay_s: float, pace_s: float, count: int) -> None:
        self.delay_s = delay_s
        self.pace_s = pace_s
        self.count = count
        self.reply = whole()
        self.piece, self.end = events()


class Wire(asyncio.Protocol):
    """One connection; requests are told apart by their content-length alone."""

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.buffer = b""
        self.transport: asyncio.Transport | None = None
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.buffer.lower().find(b"content-length: ") + 16
        size = end + 4 + (int(self.buffer[at : self.buffer.find(b"\r", at)]) if at > 15 else 0)
        if len(self.buffer) < size:
            return
        request, self.buffer = self.buffer[end:size], self.buffer[size:]
        streamed = b'"stream":true' in request
        if self.manner.delay_s:
            self.timer = asyncio.get_running_loop().call_later(self.manner.delay_s, self.answer, streamed)
        else:
            self.answer(streamed)

    def answer(self, streamed: bool) -> None:
        transport = cast(asyncio.Transport, self.transport)
        if not streamed:
            transport.write(self.manner.reply)
            return
        transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        self.send(self.manner.count)

    def send(self, left: int) -> None:
        transport = cast(asyncio.Transport, self.transport)
        if left:
            transport.write(self.manner.piece)
            self.timer = asyncio.get_running_loop().call_later(self.manner.pace_s, self.send, left - 1)
        else:
            transport.write(self.manner.end)
            transport.write(b"0\r\n\r\n")


async def main(port: int, delay_s: float = 0.0, pace_s: float = PACE_S, count: int = EVENTS) -> None:
    manner = Manner(delay_s, pace_s, count)
    server = await asyncio.get_running_loop().create_server(lambda: Wire(manner), "127.0.0.1", port, backlog=20_000)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    port, *rest = sys.argv[1:]
    delay_s, pace_s, count = (*rest, *("0", str(PACE_S), str(EVENTS))[len(rest) :])
    uvloop.run(main(int(port), float(delay_s), float(pace_s), int(count)))
