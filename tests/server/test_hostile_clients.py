"""The server's protocol against clients that read nothing, send without end, or leave at the worst moment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from interlock.core.chat import Chunk
from interlock.core.ids import SystemIds
from interlock.core.time import SystemClock
from interlock.server import asgi, taking

from .door import ASK, ASK_STREAM, KEY, Door, FakeGateway, answered, opened, post

GET_HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as made:
        yield made


async def until(true: Callable[[], bool]) -> None:
    """Returns when something has become true."""
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


async def test_fields_behind_a_chunked_body_are_no_headers(door: Door) -> None:
    wire = await door.send(
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        b"0\r\nauthorization: Bearer " + KEY.encode() + b"\r\n\r\n"
    )
    assert (await wire.reply())[0] == 401


async def test_fields_behind_a_chunked_body_may_come_without_end_and_take_no_memory(door: Door) -> None:
    head = post(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    wire = await door.send(head, b"%x\r\n%b\r\n0\r\n" % (len(ASK), ASK))
    for _ in range(200):
        wire.writer.write(b"x-more: yes\r\n" * 100)
        await wire.writer.drain()
    (connection,) = door.state.connections
    wire.writer.write(b"\r\n")
    assert (await wire.reply())[0] == 200
    assert len(connection.headers) < 10  # type: ignore[union-attr]


async def test_a_client_that_takes_nothing_of_its_answer_is_cut_off_and_its_call_ends(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "TAKE_S", 0.05)
    door.gateway.pieces = [Chunk(text="x" * 1_000_000) for _ in range(200)]
    await door.send(post(ASK_STREAM))
    await until(lambda: bool(door.gateway.asked))
    await until(lambda: not door.state.tasks and not door.state.connections)


class Held:
    """A connection and its loop, as `Taking` sees them."""

    def __init__(self, *left_bytes: int) -> None:
        self.left_bytes = list(left_bytes)
        self.aborted = False
        self.due: list[Callable[[], None]] = []

    def get_write_buffer_size(self) -> int:
        return self.left_bytes.pop(0)

    def abort(self) -> None:
        self.aborted = True

    def call_later(self, _seconds: float, look: Callable[[], None]) -> Any:
        self.due.append(look)
        return self

    def cancel(self) -> None:
        self.due.clear()


def test_a_client_that_takes_little_by_little_is_waited_for_and_one_that_stops_is_not() -> None:
    held: Any = Held(900, 899, 500, 500)
    watched = taking.Taking(held, held)
    watched.watch()
    for aborted in (False, False, True):
        held.due.pop()()
        assert held.aborted is aborted


async def test_answers_that_nobody_takes_do_not_pile_up(door: Door) -> None:
    door.gateway.reply = answered("x" * 500_000)
    wire = await door.send(*([post(ASK)] * 200))
    (connection,) = door.state.connections
    await until(lambda: connection.flow.write_paused)  # type: ignore[union-attr]
    for _ in range(2_000):
        await asyncio.sleep(0)
    assert len(door.gateway.asked) < 120
    replies = [(await wire.reply())[0] for _ in range(200)]
    assert replies == [200] * 200


async def test_a_body_that_does_not_come_is_not_waited_for_at_cold_addresses_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asgi, "READ_S", 0.05)
    monkeypatch.setattr(asgi, "LINGER_S", 0.01)
    sent: list[Any] = []

    async def whole(request: Request) -> Response:
        return Response(await request.body())

    async def never() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    app = asgi.ColdApp(SystemIds(SystemClock()), [Route("/x", whole, methods=["POST"])], [])
    headers = [(b"content-length", b"10")]
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": headers, "query_string": b""}
    async with asyncio.timeout(60):
        await app(scope, never, send)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


class Riding:
    """A short way that takes every call and leaves the rest to the test."""

    def take(self, _caller: Any, _request: Any, _messages: Any, asker: Any) -> Any:
        self.asker = asker
        return self


class Broken:
    """A short way with a defect."""

    def take(self, *_: Any) -> Any:
        raise RuntimeError("a defect")

    stream = take


class RidingGateway(FakeGateway):
    def __init__(self, shortcut: Any = None) -> None:
        super().__init__()
        self.shortcut = shortcut or Riding()


async def test_what_a_call_has_left_to_settle_is_begun_even_if_its_client_goes_at_that_moment() -> None:
    gateway, ended = RidingGateway(), asyncio.Event()

    async def rest() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with opened(gateway=gateway) as door:
        await door.send(post(ASK))
        await until(lambda: hasattr(gateway.shortcut, "asker"))
        (connection,) = door.state.connections
        gateway.shortcut.asker.spawn(rest())  # its first try has failed
        connection.leave()  # type: ignore[union-attr]
        async with asyncio.timeout(60):
            await ended.wait()


@pytest.mark.parametrize("ask", [ASK, ASK_STREAM], ids=["whole", "stream"])
async def test_a_defect_on_the_short_way_is_answered_and_the_next_request_is_served(ask: bytes) -> None:
    gateway = RidingGateway(Broken())
    async with opened(gateway=gateway) as door:
        wire = await door.send(post(ask))
        async with asyncio.timeout(60):
            status, _, body = await wire.reply()
            assert (status, json.loads(body)["error"]["code"]) == (500, "internal_error")
            wire.writer.write(GET_HEALTH)
            assert (await wire.reply())[0] == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"])
@pytest.mark.parametrize("depth", [300, 900, 50_000])
async def test_a_body_that_is_nested_deep_is_the_clients_fault(door: Door, path: str, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    for body in (deep, b'{"model":"m","messages":%b,"input":%b}' % (deep, deep)):
        assert (await (await door.send(post(body, path))).reply())[0] == 400
    tool = b'{"name":"f","input_schema":{"x":%b},"type":"function","function":{"name":"f","parameters":{"x":%b}}}'
    for more in (b'"metadata":{"a":%b}' % deep, b'"tools":[%b]' % (tool % (deep, deep)), b'"stop":%b' % deep):
        wire = await door.send(post(b'%b,"max_tokens":9,"input":"hi",%b}' % (ASK[:-1], more), path))
        assert (await wire.reply())[0] in (200, 400)
