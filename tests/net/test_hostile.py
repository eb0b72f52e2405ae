"""The pooled client against servers that break off, stall, dribble and lie: always a typed error, always in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from interlock.core.errors import BadReply, UpstreamCut, UpstreamError, UpstreamStalled, UpstreamTimeout
from interlock.core.ports import HttpRequest
from interlock.core.time import Deadline, SystemClock
from interlock.net import PooledClient

from .hostile import CHUNKED, Peer, chunk, reply, serving

CLOCK = SystemClock()


def soon(seconds: float = 30.0) -> Deadline:
    return Deadline.after(CLOCK, seconds)


@pytest.fixture
async def client() -> AsyncIterator[PooledClient]:
    made = PooledClient(CLOCK, max_body_bytes=100_000)
    yield made
    await made.close()


async def ask(client: PooledClient, url: str, way: str, deadline: Deadline, stall_s: float = 20.0) -> bytes:
    request = HttpRequest("POST", url + "/", (), b"{}")
    if way == "request":
        return (await client.request(request, deadline)).body
    async with client.stream(request, deadline, stall_s=stall_s) as stream:
        return await stream.read()


WAYS = pytest.mark.parametrize("way", ["request", "stream"])


@WAYS
@pytest.mark.parametrize(
    ("wire", "error"),
    [
        pytest.param(b"", UpstreamCut, id="closes without a word"),
        pytest.param(b"HTTP/1.1 20", UpstreamCut, id="ends in the status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-le", UpstreamCut, id="ends in a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345", UpstreamCut, id="half a sized body"),
        pytest.param(CHUNKED + b"5\r\nhel", UpstreamCut, id="half a chunk"),
        pytest.param(CHUNKED + chunk(b"hello"), UpstreamCut, id="no last chunk"),
        pytest.param(b"\x16\x03\x01garbage\r\n\r\n", BadReply, id="not HTTP"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", BadReply, id="another protocol"),
        pytest.param(CHUNKED + b"zz\r\nhello\r\n", BadReply, id="chunk size is no number"),
        pytest.param(CHUNKED + b"-5\r\nhello\r\n", BadReply, id="negative chunk size"),
        pytest.param(CHUNKED + b"fffffffffffffffff\r\nhello\r\n", BadReply, id="chunk size overflows"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nx", BadReply, id="negative length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx", BadReply, id="two lengths"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", BadReply, id="upgrade"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 70_000, BadReply, id="huge header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, BadReply, id="too many headers"),
        pytest.param(reply(b"\x1f\x8b", headers="content-encoding: gzip\r\n"), BadReply, id="compressed unasked"),
        pytest.param(CHUNKED + chunk(b"x" * 60_000) * 10, BadReply, id="larger than the cap"),
    ],
)
async def test_a_broken_answer_is_a_typed_error(
    client: PooledClient, way: str, wire: bytes, error: type[UpstreamError]
) -> None:
    async def break_off(peer: Peer) -> None:
        await peer.request()
        await peer.send(wire)
        if error is BadReply:
            await peer.gone()

    async with serving(break_off) as server:
        with pytest.raises(error, match=r"127\.0\.0\.1"):
            await ask(client, server.url, way, soon())


@WAYS
async def test_a_fresh_connection_that_is_cut_is_not_tried_again(client: PooledClient, way: str) -> None:
    async def cut(peer: Peer) -> None:
        await peer.request()

    async with serving(cut) as server:
        with pytest.raises(UpstreamCut, match="without an answer"):
            await ask(client, server.url, way, soon())
        assert len(server.peers) == 1


@WAYS
async def test_a_used_connection_that_breaks_within_the_answer_is_not_tried_again(
    client: PooledClient, way: str
) -> None:
    async def good_then_half(peer: Peer) -> None:
        await peer.request()
        await peer.send(reply())
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncont")

    async with serving(good_then_half) as server:
        await ask(client, server.url, way, soon())
        with pytest.raises(UpstreamCut):
            await ask(client, server.url, way, soon())
        assert len(server.peers) == 1


@WAYS
async def test_silence_ends_at_the_deadline(client: PooledClient, way: str) -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    async with serving(silent) as server:
        async with asyncio.timeout(60):
            with pytest.raises(UpstreamTimeout, match="did not begin"):
                await ask(client, server.url, way, soon(0.5), stall_s=60)


async def test_the_first_byte_has_a_limit_of_its_own(client: PooledClient) -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    async with serving(silent) as server:
        request = HttpRequest("POST", server.url, (), b"")
        with pytest.raises(UpstreamTimeout):
            async with client.stream(request, soon(30), stall_s=30, first_byte_s=0.03):
                pass


@pytest.mark.requirement("GW-24")
async def test_a_stalled_stream_ends_within_its_stall_timeout_and_what_came_before_is_kept(
    client: PooledClient,
) -> None:
    async def stall(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + chunk(b"data: 1\n\n"))
        await peer.gone()

    async with serving(stall) as server:
        request = HttpRequest("POST", server.url, (), b"")
        async with client.stream(request, soon(60), stall_s=0.05, first_byte_s=30) as stream:
            chunks = stream.chunks()
            assert await anext(chunks) == b"data: 1\n\n"
            with pytest.raises(UpstreamStalled, match=r"0\.05 s"):
                await anext(chunks)


@WAYS
async def test_a_slow_drip_that_never_stalls_still_ends_at_the_deadline(client: PooledClient, way: str) -> None:
    async def drip(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        while not peer.writer.transport.is_closing():
            await peer.send(chunk(b"x"))
            await pause(0.005)

    async with serving(drip) as server:
        async with asyncio.timeout(60):
            with pytest.raises(UpstreamStalled, match="time was up"):
                await ask(client, server.url, way, soon(0.5), stall_s=60)


async def pause(seconds: float) -> None:
    """The hostile server's own pace; the test itself waits for nothing."""
    await asyncio.sleep(seconds)


async def test_more_than_was_asked_for_is_not_taken_for_the_next_answer(client: PooledClient) -> None:
    async def two_for_one(peer: Peer) -> None:
        await peer.request()
        await peer.send(reply(b"mine") + reply(b"poison"))
        await peer.gone()

    async with serving(two_for_one) as server:
        for _ in range(2):
            assert await ask(client, server.url, "request", soon()) == b"mine"
        assert len(server.peers) == 2


async def test_bytes_on_an_idle_connection_close_it(client: PooledClient) -> None:
    closed = asyncio.Event()
    speak = asyncio.Event()

    async def unasked(peer: Peer) -> None:
        await peer.request()
        await peer.send(reply(b"%d" % peer.number))
        if peer.number == 1:
            await speak.wait()
            await peer.send(reply(b"poison"))
            await peer.gone()
            closed.set()
        await peer.gone()

    async with serving(unasked) as server:
        assert await ask(client, server.url, "request", soon()) == b"1"
        speak.set()
        await closed.wait()
        assert await ask(client, server.url, "request", soon()) == b"2"
