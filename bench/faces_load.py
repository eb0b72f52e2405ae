"""The load of the faces bench: as `gateway_load`, in the words of the face that is asked.

`python -m bench.faces_load PORT REQUESTS CLIENTS FACE whole|stream KEY` prints one JSON object: requests answered, content events seen.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import uvloop

from bench.gateway_load import QUESTION, SYSTEM, Client, Load

ADDRESSES = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "responses, kept": "/v1/responses",
    "messages": "/v1/messages",
}


def request(face: str, number: int, streamed: bool, key: str) -> bytes:
    """About 1,000 bytes, every one different, so that no cache can answer it."""
    mark = "".join(chr(97 + int(digit)) for digit in str(number))
    user = {"role": "user", "content": f"{QUESTION} ({mark})"}
    asked: dict[str, Any] = {"model": "support", "temperature": 0.2}
    if face == "messages":
        asked |= {"system": SYSTEM, "messages": [user], "max_tokens": 300}
    elif face == "chat":
        asked |= {"messages": [{"role": "system", "content": SYSTEM}, user], "max_tokens": 300}
    else:
        asked |= {"instructions": SYSTEM, "input": [user], "max_output_tokens": 300, "store": face != "responses"}
    if streamed:
        asked["stream"] = True
    body = json.dumps(asked, separators=(",", ":")).encode()
    head = f"POST {ADDRESSES[face]} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
    return (head + f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode() + body


class FaceClient(Client):
    """Counts the words of every dialect: events may come joined, and some dialects say the whole text again at the end."""

    def on_body(self, body: bytes) -> None:
        self.size += len(body)
        self.load.events += body.count(b" word")


async def main(port: int, count: int, clients: int, face: str, kind: str, key: str) -> None:
    salt = time.time_ns()
    load = Load([request(face, salt + number, kind == "stream", key) for number in range(count)])
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.create_connection(lambda: FaceClient(load), "127.0.0.1", port) for _ in range(clients)))
    await load.finished
    print(json.dumps({"good": load.good, "events": load.events}))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:7]))
