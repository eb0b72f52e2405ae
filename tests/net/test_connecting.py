"""A connection that does not come about ends within the time that connecting has, whatever the call's own deadline."""

from __future__ import annotations

import socket

import pytest

from interlock.core.errors import ConnectFailed, UpstreamTimeout
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
