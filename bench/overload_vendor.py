"""Vendors that are out of breath, for `bench/overload.py`: `python -m bench.overload_vendor PORT SERVERS SECONDS`.

`/limited/v1/…` works on SERVERS calls at once for SECONDS each and lets the rest wait unseen; `/tail/…` and `/tail2/…` take a quarter of SECONDS, and one call in fifty twenty times
that; `/down/…` and `/down2/…` answer 503. `GET /count` says how many calls each has had.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter

ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "It ships tomorrow."}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26},
}


class Vendor:
    """All of them, told apart by the first part of the path."""

    def __init__(self, servers: int, seconds: float) -> None:
        self.room = asyncio.Semaphore(servers)
        self.seconds = seconds
        self.luck = random.Random(7)
        self.count: Counter[str] = Counter()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a call after the other."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                sizes = [
                    line.split(":")[1] for line in head.split("\r\n") if line.lower().startswith("content-length:")
                ]
                await reader.readexactly(int(sizes[0]) if sizes else 0)
                status, body = await self.answer(head.split(" ")[1].strip("/").split("/")[0])
                data = json.dumps(body).encode()
                kind = "content-type: application/json"
                writer.write(f"HTTP/1.1 {status} X\r\n{kind}\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def answer(self, who: str) -> tuple[int, object]:
        """(status, body) of one call."""
        if who == "count":
            return 200, dict(self.count)
        self.count[who] += 1
        if who.startswith("down"):
            await asyncio.sleep(0.05)
            return 503, {"error": {"message": "overloaded", "type": "server_error"}}
        if who.startswith("tail"):
            await asyncio.sleep(self.seconds / 4 * (20 if self.luck.random() < 0.02 else self.luck.uniform(0.8, 1.2)))
            return 200, ANSWER
        async with self.room:
            await asyncio.sleep(self.seconds)
        return 200, ANSWER


async def main(port: int, servers: int, seconds: float) -> None:
    """Serves until it is ended."""
    vendor = Vendor(servers, seconds)
    server = await asyncio.start_server(vendor.connected, "127.0.0.1", port, backlog=2_000)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
