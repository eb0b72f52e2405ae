"""A connection that does not come about ends within the time that connecting has, whatever the call's own deadline."""

from __future__ import annotations

import asyncio
import socket

import pytest

from interlock.core.errors import ConnectFailed, UpstreamTimeout
from interlock.core.ports import HttpResponse
from interlock.net import PooledClient
from interlock.net.pool import PoolLimits

from .kit import CLOCK, post, soon


def deaf() -> tuple[socket.socket, list[socket.socket]]:
    """A listener whose queue is full, so that the system answers nobody else who comes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting: list[socket.socket] = []
    for _ in range(4):
        each = socket.socket()
        each.setblocking(False)
        each.connect_ex(listener.getsockname())
        waiting.append(each)
    return listener, waiting


@pytest.mark.requirement("GW-24")
@pytest.mark.parametrize(("connect_s", "deadline_s"), [(0.1, 60.0), (60.0, 0.1)], ids=["its own time", "the call's"])
async def test_a_server_that_accepts_nobody_is_given_up_in_time(connect_s: float, deadline_s: float) -> None:
    listener, waiting = deaf()
    client = PooledClient(CLOCK, limits=PoolLimits(connect_timeout_s=connect_s))
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises((ConnectFailed, UpstreamTimeout), match="in time"):
            await client.request(post(url), soon(deadline_s))
    finally:
        await client.close()
        for each in (listener, *waiting):
            each.close()


class Told:
    """The reader of a request that goes the short way."""

    def __init__(self) -> None:
        self.with_what: asyncio.Future[HttpResponse | Exception] = asyncio.get_running_loop().create_future()

    def came(self, response: HttpResponse) -> None:
        self.with_what.set_result(response)

    def failed(self, error: Exception) -> None:
        self.with_what.set_result(error)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"], ids=["an empty label", "a long label"])
async def test_a_host_that_is_no_name_is_told_on_both_ways(host: str) -> None:
    client = PooledClient(CLOCK)
    request, told = post(f"http://{host}"), Told()
    with pytest.raises(ConnectFailed, match="no name that can be looked up"):
        await client.request(request, soon())
    client.line(request, "").post("", b"{}", soon(), told)
    assert isinstance(await asyncio.wait_for(told.with_what, 60), ConnectFailed)
    await client.close()
