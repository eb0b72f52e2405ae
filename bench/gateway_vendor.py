"""The upstream of the gateway bench: answers every chat completion at once with the same bytes, or streams the same events.

`python -m bench.gateway_vendor PORT` listens on loopback. Nothing is rendered per request, so that the machine's time goes to
what is measured. A request with `"stream":true` gets `EVENTS` events, each its own write, `PACE_S` apart.
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


def events() -> list[bytes]:
    """The wire of a stream: one element per write, the last with usage, end mark and last chunk."""
    usage = {"prompt_tokens": 210, "completion_tokens": EVENTS, "total_tokens": 210 + EVENTS}
    last = (
        b"data: " + msgspec.json.encode({**envelope("chat.completion.chunk"), "choices": [], "usage": usage}) + b"\n\n"
    )
    shown = [event({"content": " word"}) for _ in range(EVENTS)]
    return [chunk(one) for one in [*shown, event({}, "stop") + last + b"data: [DONE]\n\n"]]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Wire(asyncio.Protocol):
    """One connection; requests are told apart by their content-length alone."""

    def __init__(self, reply: bytes, stream: list[bytes]) -> None:
        self.reply = reply
        self.stream = stream
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
        size = end + 4 + int(self.buffer[at : self.buffer.find(b"\r", at)])
        if len(self.buffer) < size:
            return
        request, self.buffer = self.buffer[end:size], self.buffer[size:]
        transport = cast(asyncio.Transport, self.transport)
        if b'"stream":true' not in request:
            transport.write(self.reply)
            return
        transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        self.send(0)

    def send(self, number: int) -> None:
        transport = cast(asyncio.Transport, self.transport)
        transport.write(self.stream[number])
        if number + 1 < len(self.stream):
            self.timer = asyncio.get_running_loop().call_later(PACE_S, self.send, number + 1)
        else:
            transport.write(b"0\r\n\r\n")


async def main(port: int) -> None:
    reply, stream = whole(), events()
    server = await asyncio.get_running_loop().create_server(
        lambda: Wire(reply, stream), "127.0.0.1", port, backlog=4096
    )
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
