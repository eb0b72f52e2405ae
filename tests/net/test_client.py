"""The pooled client against servers that behave."""

from __future__ import annotations

import asyncio
import random
import ssl
import subprocess
from pathlib import Path

import pytest

from interlock.core.errors import ConnectFailed, InvalidRequest, UpstreamTimeout
from interlock.core.ports import HttpClient, HttpRequest
from interlock.net import PooledClient

from .hostile import CHUNKED, Peer, chunk, reply, serving
from .kit import CLOCK, echo, post, soon


def test_it_is_the_port_that_the_rooms_know() -> None:
    port: HttpClient = PooledClient(CLOCK)
    assert port


async def test_a_request_arrives_as_it_was_given_and_the_reply_comes_back_whole(client: PooledClient) -> None:
    async with serving(echo) as server:
        got = await client.request(post(server.url, b'{"n":1}', authorization="Bearer k"), soon())
    host = server.url.removeprefix("http://")
    assert got.status == 200
    assert got.headers["x-one"] == "b"
    assert (
        got.body
        == (
            f"POST /v1/x?a=1 HTTP/1.1\r\nhost: {host}\r\naccept-encoding: identity\r\n"
            'authorization: Bearer k\r\ncontent-length: 7\r\n\r\n{"n":1}'
        ).encode()
    )


async def test_large_bodies_survive_both_ways(client: PooledClient) -> None:
    body = random.Random(1).randbytes(3_000_000)
    async with serving(echo) as server:
        got = await client.request(post(server.url, body), soon())
    assert got.body.endswith(body)


@pytest.mark.parametrize("seed", range(5))
async def test_a_chunked_body_comes_out_the_same_however_it_is_cut_on_the_wire(client: PooledClient, seed: int) -> None:
    rng = random.Random(seed)
    parts = [rng.randbytes(rng.randint(1, 50)) for _ in range(20)]
    wire = CHUNKED + b"".join(chunk(part) for part in parts) + b"0\r\n\r\n"

    async def dribble(peer: Peer) -> None:
        while await peer.request():
            at = 0
            while at < len(wire):
                step = rng.randint(1, 40)
                await peer.send(wire[at : at + step])
                at += step

    async with serving(dribble) as server:
        assert (await client.request(post(server.url), soon())).body == b"".join(parts)
        async with client.stream(post(server.url), soon(), stall_s=20) as stream:
            assert stream.status == 200
            assert b"".join([piece async for piece in stream.chunks()]) == b"".join(parts)
        assert len(server.peers) == 1


async def test_pieces_that_arrived_together_are_joined(client: PooledClient) -> None:
    async def burst(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + b"".join(chunk(b"data: %d\n\n" % n) for n in range(50)) + b"0\r\n\r\n")
        await peer.gone()

    async with serving(burst) as server, client.stream(post(server.url), soon(), stall_s=20) as stream:
        pieces = [piece async for piece in stream.chunks()]
    assert len(pieces) < 5
    assert b"".join(pieces).count(b"data: ") == 50


async def test_an_interim_reply_is_passed_over(client: PooledClient) -> None:
    async def early(peer: Peer) -> None:
        while await peer.request():
            await peer.send(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + reply(b"real", 201))

    async with serving(early) as server:
        for _ in range(2):
            got = await client.request(post(server.url), soon())
            assert (got.status, got.body, got.headers.get("link")) == (201, b"real", None)


async def test_a_body_without_a_length_ends_with_the_connection(client: PooledClient) -> None:
    async def until_close(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    async with serving(until_close) as server:
        assert (await client.request(post(server.url), soon())).body == b"all of it"


@pytest.mark.parametrize("status", [204, 301, 400, 401, 404, 429, 500, 503])
async def test_a_status_is_an_answer_and_a_redirect_is_not_followed(client: PooledClient, status: int) -> None:
    async def answer(peer: Peer) -> None:
        while await peer.request():
            body = b"" if status == 204 else b"why"
            await peer.send(reply(body, status, "location: http://127.0.0.1:1/\r\n"))

    async with serving(answer) as server:
        assert (await client.request(post(server.url), soon())).status == status
        async with client.stream(post(server.url), soon(), stall_s=20) as stream:
            assert stream.status == status
            assert await stream.read() == (b"" if status == 204 else b"why")
        assert len(server.peers) == 1


@pytest.mark.parametrize("way", ["request", "stream"])
async def test_cancelling_a_call_closes_its_connection_at_once(client: PooledClient, way: str) -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def silent(peer: Peer) -> None:
        await peer.request()
        if way == "stream":
            await peer.send(CHUNKED + chunk(b"first"))
        asked.set()
        await peer.gone()
        closed.set()

    async def call() -> None:
        if way == "request":
            await client.request(post(server.url), soon())
            return
        async with client.stream(post(server.url), soon(), stall_s=20) as stream:
            async for _ in stream.chunks():
                pass

    async with serving(silent) as server:
        task = asyncio.ensure_future(call())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(60):
            await closed.wait()


async def test_leaving_a_stream_early_closes_its_connection(client: PooledClient) -> None:
    closed = asyncio.Event()

    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + chunk(b"first"))
        await peer.gone()
        closed.set()

    async with serving(endless) as server:
        async with client.stream(post(server.url), soon(), stall_s=20) as stream:
            assert await anext(stream.chunks()) == b"first"
        async with asyncio.timeout(60):
            await closed.wait()


async def test_a_slow_reader_holds_the_server_back(client: PooledClient) -> None:
    sent = 0
    done = asyncio.Event()

    async def flood(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(CHUNKED)
        for _ in range(400):
            await peer.send(chunk(b"x" * 65536))
            sent += 65536
        await peer.send(b"0\r\n\r\n")
        done.set()
        await peer.gone()

    async with serving(flood) as server, client.stream(post(server.url), soon(60), stall_s=20) as stream:
        chunks = stream.chunks()
        got = len(await anext(chunks))
        before = -1
        while sent != before:  # The server writes until the kernel's buffers are full, then stands still.
            before = sent
            for _ in range(200):
                await asyncio.sleep(0)
        assert not done.is_set()
        async for piece in chunks:
            got += len(piece)
    assert got == 400 * 65536


@pytest.mark.parametrize(
    ("header", "value", "said"),
    [
        ("authorization", "Bearer sk-secret\r\nx-admin: 1", "authorization"),
        ("authorization", "Bearer sk-secret\n", "authorization"),
        ("authorization", "Bearer sk-secret…", "authorization"),
        ("x\r\ny", "sk-secret", "name"),
        ("x y", "sk-secret", "name"),
        ("content-length", "sk-secret", "client itself"),
        ("transfer-encoding", "sk-secret", "client itself"),
    ],
)
async def test_a_header_that_breaks_out_is_refused_and_its_value_is_not_repeated(
    client: PooledClient, header: str, value: str, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        await client.request(HttpRequest("POST", "http://127.0.0.1:1", ((header, value),)), soon())
    assert "sk-secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/",
        "x/y",
        "http://",
        "http://u:p@x/",
        "http://x/\r\ny: z",
        "http://x/a b",
        "http://x:99999/",
        "http://x/ü",
    ],
)
async def test_an_address_that_cannot_be_asked_is_refused(client: PooledClient, url: str) -> None:
    with pytest.raises(InvalidRequest):
        await client.request(HttpRequest("GET", url), soon())


async def test_nobody_listening_says_so(client: PooledClient) -> None:
    async with serving(echo) as server:
        pass
    with pytest.raises(ConnectFailed, match="nothing listens there"):
        await client.request(post(server.url), soon())


async def test_an_unknown_name_says_so(client: PooledClient) -> None:
    with pytest.raises(ConnectFailed, match="cannot be looked up"):
        await client.request(post("http://no-such-host.invalid"), soon())


async def test_no_time_left_means_that_nothing_is_sent(client: PooledClient) -> None:
    async with serving(echo) as server:
        with pytest.raises(UpstreamTimeout, match="nothing was sent"):
            await client.request(post(server.url), soon(0))
        assert not server.peers


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return cert, key


async def test_tls_works_with_a_given_authority_and_is_refused_without(certificate: tuple[Path, Path]) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    trusting, wary = PooledClient(CLOCK, ca_file=str(certificate[0])), PooledClient(CLOCK)
    async with serving(echo, tls) as server:
        for _ in range(2):
            assert (await trusting.request(post(server.url, b"over tls"), soon())).body.endswith(b"over tls")
        assert len(server.peers) == 1
        with pytest.raises(ConnectFailed, match="not trusted"):
            await wary.request(post(server.url), soon())
        await trusting.close()
        await wary.close()
