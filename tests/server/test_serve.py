"""Opening the door and closing it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from interlock.core.caller import Caller, Secret
from interlock.core.errors import NotAuthorised
from interlock.server.auth import Keys, load_or_make_key
from interlock.server.door import Door as Behind
from interlock.server.serve import CannotListen, ServerSettings, is_loopback, open_socket, serve_door, served

from .door import ASK, Door, FakeGateway, parts, post


async def start(gateway: FakeGateway, shutdown_s: float = 30) -> tuple[Door, asyncio.Task[None]]:
    opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    settings = ServerSettings(port=0, shutdown_s=shutdown_s)
    task = asyncio.ensure_future(serve_door(Behind(served(parts(gateway))), settings, opened.set_result))
    address = await opened
    return Door(int(address.rsplit(":", 1)[1]), gateway), task


async def refused(port: int) -> bool:
    """Nobody takes new connections there any more."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return True
    writer.transport.abort()
    return False


@pytest.mark.requirement("OP-06")
async def test_a_call_under_way_is_finished_before_the_server_stops_and_the_process_lives_on() -> None:
    gateway = FakeGateway()
    gateway.hold = asyncio.Event()
    door, server = await start(gateway)
    wire = await door.send(post(ASK))
    await gateway.holding.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    while not await refused(door.port):
        pass
    gateway.hold.set()
    status, headers, _ = await wire.reply()
    assert (status, headers["connection"]) == (200, "close")
    await server
    door.close()


async def test_a_call_that_does_not_finish_in_time_is_cancelled_and_settles_before_the_server_is_gone() -> None:
    gateway = FakeGateway()
    gateway.hold = asyncio.Event()
    door, server = await start(gateway, shutdown_s=0.05)
    await door.send(post(ASK))
    await gateway.holding.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await server
    assert gateway.cancelled.is_set()
    door.close()


async def test_a_server_that_is_cancelled_leaves_nothing_that_the_event_loop_looks_at() -> None:
    """The number of a closed socket that a loop goes on looking at makes it deaf to the next connection that bears it."""
    loop: Any = asyncio.get_running_loop()
    before = set(loop._selector.get_map())
    _, server = await start(FakeGateway())
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)
    assert set(loop._selector.get_map()) <= before


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"127\.0\.0\.1:{port} is taken .* --port {port + 1}"):
            open_socket("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no-such-host.invalid", 0), ("127.0.0.1", 99999)])
def test_an_address_that_is_not_ours_is_refused(host: str, port: int) -> None:
    with pytest.raises(CannotListen):
        open_socket(host, port)


@pytest.mark.parametrize(
    ("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_what_only_this_machine_can_reach_is_known(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "server.key"
    key, new = load_or_make_key(path)
    again, new_again = load_or_make_key(path)
    assert (new, new_again) == (True, False)
    assert key == again
    assert len(key.reveal()) > 30
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_key_stands_for_its_caller_and_an_empty_key_for_nobody() -> None:
    keys = Keys({Secret("a"): Caller("one"), Secret("b"): Caller("two"), Secret(""): Caller("nobody")})
    assert keys.caller(b"Bearer a").tenant == "one"
    assert keys.caller(b"bearer  b").tenant == "two"
    for wrong in (b"", b"Bearer", b"Bearer ", b"Basic a", b"Bearer aa", b"a"):
        with pytest.raises(NotAuthorised):
            keys.caller(wrong)
