"""The load of the gateway bench: a closed loop of so many clients, each asking again when it has been answered.

`python -m bench.gateway_load PORT REQUESTS CLIENTS whole|stream KEY` prints one JSON object: requests answered as they should
have been, content events seen, and latency percentiles in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, cast

import httptools
import uvloop

SYSTEM = "You are the support assistant of a small shop. Answer in two sentences, politely, and cite the article. " * 6
QUESTION = "My order AB-12345 should have been here on Monday. Where is it, and can I still change the address? " * 3


def request(number: int, streamed: bool, key: str) -> bytes:
    """About 1,000 bytes, every one different, so that no cache can answer it."""
    mark = "".join(chr(97 + int(digit)) for digit in str(number))
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"{QUESTION} ({mark})"}]
    asked: dict[str, Any] = {"model": "support", "messages": messages, "max_tokens": 300, "temperature": 0}
    if streamed:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    body = json.dumps(asked, separators=(",", ":")).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
    return (head + f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body


class Load:
    """What all clients share."""

    def __init__(self, requests: list[bytes]) -> None:
        self.left = requests
        self.good = 0
        self.events = 0
        self.seconds: list[float] = []
        self.open = 0
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Client(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self.load = load
        self.parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
        self.size = 0
        self.began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.load.open += 1
        self.next()

    def next(self) -> None:
        self.size = 0
        self.began = time.perf_counter()
        transport = cast(asyncio.Transport, self.transport)
        if self.load.left:
            transport.write(self.load.left.pop())
        else:
            transport.close()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.size += len(body)
        self.load.events += body.count(b'"content":" word"')

    def on_message_complete(self) -> None:
        self.load.seconds.append(time.perf_counter() - self.began)
        self.load.good += self.parser.get_status_code() == 200 and self.size > 400
        asyncio.get_running_loop().call_soon(self.next)

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.open -= 1
        if not self.load.open and not self.load.finished.done():
            self.load.finished.set_result(None)


async def main(port: int, count: int, clients: int, kind: str, key: str) -> None:
    salt = time.time_ns()
    load = Load([request(salt + number, kind == "stream", key) for number in range(count)])
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.create_connection(lambda: Client(load), "127.0.0.1", port) for _ in range(clients)))
    await load.finished
    ordered = sorted(load.seconds)
    shown = {f"p{share}_ms": ordered[min(len(ordered) - 1, len(ordered) * share // 100)] * 1000 for share in (50, 99)}
    print(json.dumps({"good": load.good, "events": load.events, **shown}))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]))
