"""A caller that leaves: the vendor is told at once, and what it had sent by then is heard."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from interlock.core.errors import UpstreamStalled
from interlock.core.ports import HttpResponse
from interlock.net import PooledClient, leaving
from interlock.net import client as pooled
from interlock.net.authority import Authority

from .hostile import CHUNKED, Handler, Hostile, Peer, chunk, reply, serving
from .kit import CLOCK, post, soon

ONE, TWO = chunk(b"one "), chunk(b"two")


class Vendor:
    """Sends what it is told to, and says when it has heard that nobody listens any more."""

    def __init__(self) -> None:
        self.peer: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()
        self.left = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        self.peer.set_result(peer)
        await peer.gone()
        self.left.set()


@asynccontextmanager
async def vendor_of(kind: str, folder: Path, handler: Handler) -> AsyncGenerator[tuple[PooledClient, Hostile]]:
    authority = Authority(dt.datetime.now(dt.UTC))
    trusted = folder / "authority.pem"
    trusted.write_text(authority.pem)
    client = PooledClient(CLOCK, ca_file=str(trusted))
    try:
        async with serving(handler, authority.context("localhost") if kind == "tls" else None) as server:
            yield client, server
    finally:
        await client.close()


async def heard_of(
    client: PooledClient, url: str, heard: list[bytes], first: asyncio.Event, stall_s: float = 30.0
) -> None:
    async with client.stream(post(url), soon(), stall_s=stall_s) as stream:
        async for piece in stream.chunks():
            heard.append(piece)
            first.set()


@pytest.mark.requirement("OB-03")
@pytest.mark.parametrize("kind", ["plain", "tls"])
@pytest.mark.parametrize("within_s", [30.0, 0.0], ids=["in time", "after the event loop stood still"])
@pytest.mark.parametrize("told", [1, 2], ids=["told once", "told twice"])
async def test_what_a_vendor_sent_before_it_heard_that_its_reader_left_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, within_s: float, told: int
) -> None:
    monkeypatch.setattr(pooled, "HANG_UP_S", within_s)
    vendor = Vendor()
    async with vendor_of(kind, tmp_path, vendor) as (client, server):
        heard: list[bytes] = []
        first = asyncio.Event()
        reading = asyncio.get_running_loop().create_task(heard_of(client, server.url, heard, first))
        peer = await vendor.peer
        await peer.send(CHUNKED + ONE)
        await first.wait()
        peer.writer.write(TWO)  # on its way, in nobody's hands yet
        reading.cancel()
        if told == 2:
            await asyncio.sleep(0)
            reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(vendor.left.wait(), 30)
    assert b"".join(heard) == b"one two"


@pytest.mark.requirement("OB-03")
@pytest.mark.parametrize("kind", ["plain", "tls"])
async def test_a_whole_reply_that_was_on_its_way_is_handed_out_though_its_reader_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(leaving, "HANG_UP_S", 0.0)
    vendor = Vendor()
    async with vendor_of(kind, tmp_path, vendor) as (client, server):
        asking: asyncio.Task[HttpResponse] = asyncio.get_running_loop().create_task(
            client.request(post(server.url), soon())
        )
        peer = await vendor.peer
        peer.writer.write(reply(b"all of it"))
        asking.cancel()
        assert (await asking).body == b"all of it", "it is billed, so whoever settles has to see it"


@pytest.mark.parametrize("kind", ["plain", "tls"])
async def test_a_vendor_that_goes_on_though_nobody_listens_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """It is deaf to the end of our direction, and sends without a pause."""
    monkeypatch.setattr(pooled, "HANG_UP_S", 0.0)
    began, cut = asyncio.Event(), asyncio.Event()

    async def deaf(peer: Peer) -> None:
        await peer.request()
        try:
            await peer.send(CHUNKED)
            while True:
                began.set()
                await peer.send(ONE * 200)
                await asyncio.sleep(0)
        except OSError:
            cut.set()

    async with vendor_of(kind, tmp_path, deaf) as (client, server):
        heard: list[bytes] = []
        reading = asyncio.get_running_loop().create_task(heard_of(client, server.url, heard, asyncio.Event()))
        await began.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(reading, 30)
        await asyncio.wait_for(cut.wait(), 30)


@pytest.mark.requirement("OB-03", "GW-24")
async def test_what_a_vendor_sent_when_it_was_given_up_for_its_silence_is_heard(client: PooledClient) -> None:
    async def late(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + ONE)
        await peer.gone()
        await peer.send(TWO)

    async with serving(late) as server:
        heard: list[bytes] = []
        with pytest.raises(UpstreamStalled, match="sent nothing"):
            await heard_of(client, server.url, heard, asyncio.Event(), stall_s=0.02)
    assert b"".join(heard) == b"one two"
