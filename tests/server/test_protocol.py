"""The hot protocol against clients that are hasty, slow, huge, rude, or gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from interlock.core.chat import Chunk
from interlock.core.errors import InterlockError
from interlock.server import protocol

from .door import ASK, ASK_STREAM, Door, answered, opened, post

GET_HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as made:
        yield made


async def test_a_request_may_come_byte_by_byte(door: Door) -> None:
    wire = await door.send()
    for byte in post(ASK):
        wire.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    status, _, body = await wire.reply()
    assert (status, json.loads(body)["choices"][0]["message"]["content"]) == (200, "Hello there.")


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("/chat/completions", "Did you mean /v1/chat/completions?"),
        ("/v1/v1/messages", "Did you mean /v1/messages?"),
        ("/v1/messages/", "Did you mean /v1/messages?"),
        ("/v1/images/generations", "Served: /v1/chat/completions, "),
    ],
)
async def test_an_address_that_is_one_v1_off_is_answered_with_the_one_that_was_meant(
    door: Door, asked: str, meant: str
) -> None:
    wire = await door.send(post(ASK).replace(b"/v1/chat/completions", asked.encode(), 1))
    status, _, body = await wire.reply()
    assert status == 404
    assert meant in json.loads(body)["error"]["message"]


async def test_a_chunked_request_is_read(door: Door) -> None:
    head = post(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    wire = await door.send(
        head, b"%x\r\n%b\r\n" % (len(ASK[:9]), ASK[:9]), b"%x\r\n%b\r\n0\r\n\r\n" % (len(ASK[9:]), ASK[9:])
    )
    assert (await wire.reply())[0] == 200
    assert door.gateway.asked[0][1].raw == ASK


async def test_pipelined_requests_hot_and_cold_are_answered_in_order(door: Door) -> None:
    door.gateway.hold = asyncio.Event()
    wrong = post(b"{}")
    wire = await door.send(post(ASK) + GET_HEALTH + post(ASK) + wrong + GET_HEALTH + GET_HEALTH + post(ASK))
    await door.gateway.holding.wait()
    assert len(door.gateway.asked) == 1
    door.gateway.hold.set()
    replies = [await wire.reply() for _ in range(7)]
    assert [status for status, _, _ in replies] == [200, 200, 200, 400, 200, 200, 200]
    assert [b"choices" in body for _, _, body in replies] == [True, False, True, False, False, False, True]


async def test_a_flood_of_pipelined_requests_is_not_queued_without_bound(door: Door) -> None:
    door.gateway.hold = asyncio.Event()
    wire = await door.send(post(ASK))
    await door.gateway.holding.wait()
    for _ in range(300):
        wire.writer.write(post(ASK))
    door.gateway.hold.set()
    replies = [(await wire.reply())[0] for _ in range(301)]
    assert replies == [200] * 301


@pytest.mark.parametrize("ask", [ASK, ASK_STREAM], ids=["whole", "stream"])
async def test_a_client_that_goes_away_cancels_its_call_at_once(door: Door, ask: bytes) -> None:
    door.gateway.hold = asyncio.Event()
    door.gateway.pieces = [Chunk(text="first"), Chunk(text="second"), answered()]
    wire = await door.send(post(ask))
    await door.gateway.holding.wait()
    wire.close()
    async with asyncio.timeout(60):
        await door.gateway.cancelled.wait()
    assert not door.state.tasks


async def test_a_body_above_the_cap_is_refused_and_the_refusal_can_be_read() -> None:
    async with opened(max_body_bytes=1000) as door:
        wire = await door.send(post(b"x" * 3_000_000))
        status, headers, body = await wire.reply()
        assert (status, headers["connection"]) == (413, "close")
        assert json.loads(body)["error"]["code"] == "request_too_large"
        assert await wire.rest() == b""
        assert not door.gateway.asked


async def test_a_chunked_body_above_the_cap_is_refused_as_it_grows() -> None:
    async with opened(max_body_bytes=1000) as door:
        head = post(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
        wire = await door.send(head, b"320\r\n" + b"x" * 800 + b"\r\n", b"320\r\n" + b"x" * 800 + b"\r\n")
        assert (await wire.reply())[0] == 413
        wire.writer.write(b"0\r\n\r\n")
        assert await wire.rest() == b""


async def test_a_body_of_just_the_cap_is_taken() -> None:
    async with opened(max_body_bytes=len(ASK)) as door:
        wire = await door.send(post(ASK))
        assert (await wire.reply())[0] == 200


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(door: Door) -> None:
    whole = post(ASK, headers="expect: 100-continue\r\n")
    head, body = whole[: -len(ASK)], whole[-len(ASK) :]
    wire = await door.send(head)
    assert (await wire.head())[0] == 100
    wire.writer.write(body)
    assert (await wire.reply())[0] == 200


async def test_a_client_that_waits_with_too_large_a_body_is_spared_sending_it() -> None:
    async with opened(max_body_bytes=10) as door:
        whole = post(ASK, headers="expect: 100-continue\r\n")
        wire = await door.send(whole[: -len(ASK)])
        assert (await wire.reply())[0] == 413


async def test_one_request_more_than_allowed_is_told_to_come_back() -> None:
    async with opened(max_concurrent=2) as door:
        door.gateway.hold = asyncio.Event()
        held = [await door.send(post(ASK)) for _ in range(2)]
        while len(door.gateway.asked) < 2:
            await asyncio.sleep(0)
        late = await door.send(post(ASK))
        status, headers, _ = await late.reply()
        assert (status, "retry-after" in headers) == (429, True)
        door.gateway.hold.set()
        assert [(await wire.reply())[0] for wire in held] == [200, 200]


async def test_a_slow_reader_holds_the_stream_back(door: Door) -> None:
    door.gateway.pieces = [
        *(Chunk(raw=b"data: " + b"x" * 65536 + b"\n\n", raw_dialect="openai") for _ in range(400)),
        answered(),
    ]
    wire = await door.send(post(ASK_STREAM))
    assert (await wire.head())[0] == 200
    for _ in range(2000):
        await asyncio.sleep(0)
    (connection,) = door.state.connections
    assert connection.transport.get_write_buffer_size() < 300_000
    text = b""
    while not text.endswith(b"0\r\n\r\n"):
        text = text[-10:] + await wire.reader.read(1_000_000)


async def test_an_old_client_gets_a_plain_body_and_a_closed_connection(door: Door) -> None:
    door.gateway.pieces = [Chunk(text="first"), answered()]
    wire = await door.send(post(ASK_STREAM).replace(b"HTTP/1.1", b"HTTP/1.0"))
    _, headers = await wire.head()
    assert "transfer-encoding" not in headers
    assert (await wire.rest()).endswith(b"data: [DONE]\n\n")


async def test_a_client_that_asks_to_close_is_closed_after_its_answer(door: Door) -> None:
    wire = await door.send(post(ASK, headers="connection: close\r\n"))
    assert (await wire.reply())[1]["connection"] == "close"
    assert await wire.rest() == b""


async def test_a_huge_header_ends_the_connection(door: Door) -> None:
    wire = await door.send(post(ASK, headers="x: " + "y" * 200_000 + "\r\n"))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await wire.reply()
    assert not door.gateway.asked


async def test_garbage_is_refused(door: Door) -> None:
    wire = await door.send(b"\x16\x03\x01 hello\r\n\r\n")
    assert (await wire.reply())[0] == 400


async def test_a_defect_is_a_500_without_its_insides(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    door.gateway.reply = RuntimeError("secret inside")
    wire = await door.send(post(ASK))
    status, _, body = await wire.reply()
    assert status == 500
    assert b"secret inside" not in body
    assert "a defect kept" in caplog.text


async def test_a_header_cannot_be_smuggled_through_a_models_name(door: Door) -> None:
    door.gateway.reply = answered(deployment="evil\r\nset-cookie: a=b")
    wire = await door.send(post(ASK))
    _, headers, _ = await wire.reply()
    assert "set-cookie" not in headers
    assert headers["x-interlock-model"] == "evil%0D%0Aset-cookie: a=b"


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /v1/chat/completions", 405),
        (b"DELETE /v1/models", 405),
        (b"GET /nothing", 404),
        (b"GET /v1/models", 401),
        (b"GET /healthz", 200),
        (b"GET /healthz?x=1", 200),
    ],
)
async def test_other_addresses_are_answered_in_json(door: Door, request_line: bytes, status: int) -> None:
    wire = await door.send(request_line + b" HTTP/1.1\r\nhost: x\r\n\r\n")
    got, headers, body = await wire.reply()
    assert (got, headers["content-type"]) == (status, "application/json")
    assert json.loads(body)


async def test_health_shows_its_parts_only_to_who_has_a_key(door: Door) -> None:
    wire = await door.send(GET_HEALTH, GET_HEALTH.replace(b"\r\n\r\n", b"\r\nauthorization: Bearer il-test\r\n\r\n"))
    stranger, friend = [json.loads((await wire.reply())[2]) for _ in range(2)]
    assert stranger == {"status": "ok"}
    assert friend["ledger"] == "writing"


def test_every_error_of_the_tree_has_a_status_line() -> None:
    from interlock.server.exchange import STATUS_LINES

    kinds = [InterlockError]
    while kinds:
        kind = kinds.pop()
        assert kind.status in STATUS_LINES
        kinds += kind.__subclasses__()


@pytest.mark.parametrize("begun", [b"", b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n", post(ASK)[:-5]])
async def test_a_request_that_never_becomes_whole_loses_its_connection(
    begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "READ_S", 0.1)
    async with opened() as door:
        wire = await door.send(begun)
        async with asyncio.timeout(60):
            said = await wire.rest()
    assert said == b"" or said.startswith(b"HTTP/1.1 408 ")
