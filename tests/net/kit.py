"""What the tests of the client share: the clock, a deadline, a request, a server that answers everything."""

from __future__ import annotations

from interlock.core.ports import HttpRequest
from interlock.core.time import Deadline, SystemClock

from .hostile import Peer, reply

CLOCK = SystemClock()


def soon(seconds: float = 30.0) -> Deadline:
    return Deadline.after(CLOCK, seconds)


def post(url: str, body: bytes = b"{}", **headers: str) -> HttpRequest:
    return HttpRequest("POST", f"{url}/v1/x?a=1", tuple(headers.items()), body)


async def echo(peer: Peer) -> None:
    while request := await peer.request():
        await peer.send(reply(request, headers="X-One: a\r\nx-one: b\r\n"))
