"""The pool: connections are shared, capped, waited for, and replaced when they have gone stale."""

from __future__ import annotations

import asyncio

import pytest

from interlock.core.errors import ConnectFailed, Shed, UpstreamCut, UpstreamTimeout
from interlock.net import PooledClient
from interlock.net.pool import PoolLimits

from .hostile import Peer, reply, serving
from .kit import CLOCK, echo, post, soon


async def test_calls_one_after_another_share_a_connection_and_calls_at_once_do_not(client: PooledClient) -> None:
    async with serving(echo) as server:
        for _ in range(3):
            await client.request(post(server.url), soon())
        assert len(server.peers) == 1
        await asyncio.gather(*(client.request(post(server.url), soon()) for _ in range(3)))
        assert len(server.peers) == 3


async def test_a_kept_connection_that_went_stale_is_replaced_without_the_caller_noticing() -> None:
    client = PooledClient(CLOCK, limits=PoolLimits(stale_after_s=0.0))

    async def one_each(peer: Peer) -> None:
        await peer.request()
        await peer.send(reply(b"%d" % peer.number))
        if peer.number < 3:
            await peer.request()  # The next request arrives, and the connection is closed on it without a word.

    async with serving(one_each) as server:
        assert (await client.request(post(server.url), soon())).body == b"1"
        assert (await client.request(post(server.url), soon())).body == b"2"
        async with client.stream(post(server.url), soon(), stall_s=20) as stream:
            assert await stream.read() == b"3"
    await client.close()


async def test_a_request_on_a_connection_that_was_in_use_a_moment_ago_was_cut_and_is_not_sent_again(
    client: PooledClient,
) -> None:
    asked = 0

    async def taken(peer: Peer) -> None:
        nonlocal asked
        await peer.request()
        await peer.send(reply(b"1"))
        await peer.request()
        asked += 1

    async with serving(taken) as server:
        await client.request(post(server.url), soon())
        with pytest.raises(UpstreamCut, match="without an answer"):
            await client.request(post(server.url), soon())
    assert asked == 1, "it may have been billed: whether it is asked again is not for the wire to decide"


async def test_a_connection_that_the_server_wants_closed_is_not_used_again(client: PooledClient) -> None:
    async def last(peer: Peer) -> None:
        await peer.request()
        await peer.send(reply(b"bye", headers="connection: close\r\n"))
        await peer.gone()

    async with serving(last) as server:
        for _ in range(2):
            await client.request(post(server.url), soon())
        assert len(server.peers) == 2


async def test_idle_connections_are_closed_after_their_time() -> None:
    client = PooledClient(CLOCK, limits=PoolLimits(keepalive_s=0.02))
    closed = asyncio.Event()

    async def watch(peer: Peer) -> None:
        await peer.request()
        await peer.send(reply())
        await peer.gone()
        closed.set()

    async with serving(watch) as server:
        await client.request(post(server.url), soon())
        async with asyncio.timeout(60):
            await closed.wait()
    await client.close()


async def test_calls_beyond_the_cap_wait_their_turn_and_calls_beyond_the_queue_are_shed() -> None:
    client = PooledClient(CLOCK, limits=PoolLimits(connections=2, waiting=3))
    go = asyncio.Event()

    async def hold(peer: Peer) -> None:
        while await peer.request():
            await go.wait()
            await peer.send(reply())

    async with serving(hold) as server:
        calls = [asyncio.ensure_future(client.request(post(server.url), soon())) for _ in range(5)]
        while len(server.peers) < 2 or not all(peer.requests for peer in server.peers):
            await asyncio.sleep(0)
        with pytest.raises(Shed, match="2 connections"):
            await client.request(post(server.url), soon())
        calls[3].cancel()
        go.set()
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(not isinstance(one, BaseException) for one in done) == 4
        assert len(server.peers) == 2
    await client.close()


async def test_waiting_for_a_connection_ends_with_the_deadline_and_loses_no_place() -> None:
    client = PooledClient(CLOCK, limits=PoolLimits(connections=1))
    go = asyncio.Event()

    async def hold(peer: Peer) -> None:
        while await peer.request():
            await go.wait()
            await peer.send(reply())

    async with serving(hold) as server:
        first = asyncio.ensure_future(client.request(post(server.url), soon()))
        while not server.peers:
            await asyncio.sleep(0)
        with pytest.raises(UpstreamTimeout, match="came free"):
            await client.request(post(server.url), soon(0.02))
        go.set()
        await first
        assert (await client.request(post(server.url), soon())).status == 200
    await client.close()


async def test_closing_the_client_ends_calls_under_way(client: PooledClient) -> None:
    asked = asyncio.Event()

    async def silent(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.gone()

    async with serving(silent) as server:
        task = asyncio.ensure_future(client.request(post(server.url), soon()))
        await asked.wait()
        await client.close()
        with pytest.raises(Exception, match="client was closed"):
            await task
        with pytest.raises(ConnectFailed, match="client was closed"):
            await client.request(post(server.url), soon())
