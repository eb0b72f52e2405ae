"""The pooled client against every cut and many mutations: an answer is whole and right, or a typed error; never another call's."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from interlock.core.errors import InterlockError
from interlock.net import PooledClient

from .hostile import CHUNKED, Peer, chunk, reply, serving
from .kit import CLOCK, post, soon

BODY = b"All is well. \xf0\x9f\x93\xa6"
TRAILED = CHUNKED + b"3;name=value\r\nAll\r\n" + chunk(BODY[3:]) + b"0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n"
SHAPES = {
    "sized": reply(BODY),
    "chunked": CHUNKED + chunk(BODY[:4]) + chunk(BODY[4:]) + b"0\r\n\r\n",
    "extensions and trailers": TRAILED,
    "after two interim replies": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + reply(BODY),
    "folded in upper case": b"HTTP/1.1 200 FINE\r\nCONTENT-LENGTH:  %d \r\nX-EMPTY:\r\n\r\n" % len(BODY) + BODY,
}
WAYS = pytest.mark.parametrize("way", ["request", "chunks", "pour"])


async def ask(client: PooledClient, url: str, way: str, within_s: float = 30.0) -> bytes:
    if way == "request":
        return (await client.request(post(url), soon(within_s))).body
    taken: list[bytes] = []
    async with client.stream(post(url), soon(within_s), stall_s=within_s) as stream:
        if way == "pour":
            while await stream.pour(
                lambda piece: bool(taken.append(piece))
            ):  # every piece is taken, and refused to go on
                pass
        taken.extend([piece async for piece in stream.chunks()])
    return b"".join(taken)


@WAYS
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_reply_may_be_cut_at_every_byte(shape: str, way: str) -> None:
    wire = SHAPES[shape]
    cuts = iter(range(1, len(wire)))

    async def cut(peer: Peer) -> None:
        while await peer.request():
            at = next(cuts)
            await peer.send(wire[:at])
            await asyncio.sleep(0)
            await peer.send(wire[at:])

    client = PooledClient(CLOCK)
    async with serving(cut) as server:
        for _ in range(1, len(wire)):
            assert await ask(client, server.url, way) == BODY
        assert len(server.peers) == 1, "the connection is good for the next call whatever the cut"
    await client.close()


@WAYS
@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(
            CHUNKED[:-2] + b"content-length: 5\r\n\r\n" + chunk(b"hello") + b"0\r\n\r\n", id="length and chunks"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello", id="a list of lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello", id="a signed length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 0x5\r\n\r\nhello", id="a length in hex"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nhello", id="a blank before the colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 5\r\n\r\nhello", id="a NUL in a header"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n" + chunk(b"hello"), id="chunked not last"
        ),
        pytest.param(CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", id="a blank after a chunk's size"),
        pytest.param(CHUNKED + b"5\r\nhelloXX0\r\n\r\n", id="no line end after a chunk"),
        pytest.param(CHUNKED + chunk(b"hello") + b"0\r\nbad trailer\r\n\r\n", id="a trailer that is none"),
    ],
)
async def test_a_reply_of_two_meanings_never_reaches_the_next_call(wire: bytes, way: str) -> None:
    """Whatever such a reply is taken for, nothing of it may be taken for the answer of the call after it."""

    async def lie(peer: Peer) -> None:
        await peer.request()
        await peer.send(wire + reply(b"smuggled"))
        while await peer.request():
            await peer.send(reply(b"late"))

    async def tell(peer: Peer) -> None:
        if peer.number == 1:
            await lie(peer)
        while await peer.request():
            await peer.send(reply(b"mine"))

    client = PooledClient(CLOCK)
    async with serving(tell) as server:
        with contextlib.suppress(InterlockError):
            assert await ask(client, server.url, way, within_s=0.5) != b"smuggled"
        assert await ask(client, server.url, way) == b"mine"
    await client.close()


@pytest.mark.parametrize("seed", range(6))
async def test_a_mutated_reply_is_whole_or_a_typed_error(seed: int) -> None:
    drawn = random.Random(seed)
    shapes = list(SHAPES.values())

    async def mutate(peer: Peer) -> None:
        if not await peer.request():
            return
        wire = bytearray(drawn.choice(shapes))
        for _ in range(drawn.randint(1, 3)):
            at = drawn.randrange(len(wire))
            wire[at : at + drawn.choice((0, 1, 1, 4))] = drawn.randbytes(drawn.choice((0, 1, 1, 3)))
        await peer.send(bytes(wire))

    client = PooledClient(CLOCK, max_body_bytes=1_000)
    async with serving(mutate) as server:
        for number in range(60):
            try:
                body = await ask(client, server.url, ("request", "chunks", "pour")[number % 3])
            except InterlockError:
                continue
            assert len(body) <= 1_000
    await client.close()
