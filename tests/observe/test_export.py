"""What is in the ledger reaches a receiver: at least once, in order, through its failures and ours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from interlock.core.caller import Caller, Versions
from interlock.core.events import Finished, OutcomeSeen, Record, Settled, Started
from interlock.core.ids import span_id, trace_id
from interlock.core.time import SystemClock
from interlock.net.client import PooledClient
from interlock.observe.export import Exporter
from interlock.observe.otlp import Otlp
from interlock.observe.post import Post
from interlock.observe.post import Receiver as Address
from interlock.observe.semconv import words
from interlock.storage import SqliteStore
from tests.servers import free_port

from .receiver import attributes, partial, receiving

T0 = 1_790_000_000_000_000_000


def lone(n: int) -> list[Record]:
    caller = Caller("acme", task=f"tsk_{n:04}", step=1)
    event = Settled(f"cal_{n:04}", "model", "m", caller, "ok", T0 + n, 7, deployment="p/m")
    return [Record(f"tsk_{n:04}", 1, "acme", T0 + n, event)]


def task(name: str) -> list[list[Record]]:
    caller = Caller("acme", workflow="support", task=name)
    return [
        [Record(name, 0, "acme", T0, Started("support", caller, Versions()))],
        [Record(name, 1, "acme", T0 + 9, Finished("resolved"))],
        [Record(name, 2, "acme", T0 + 20, OutcomeSeen(True, "user"))],
    ]


@asynccontextmanager
async def exporting(store: SqliteStore, endpoint: str, *, batch: int = 512) -> AsyncGenerator[Exporter]:
    clock = SystemClock()
    http = PooledClient(clock)
    try:
        otlp = Otlp({"service.name": "interlock"}, version="1")
        address = Address(endpoint, (("x-token", "hush"),), every_s=0.01, batch=batch)

        async def soon(_seconds: float) -> None:
            await asyncio.sleep(0.01)

        post = Post(address, otlp, http, clock, random.Random(7), sleep=soon)
        yield Exporter(post, tail=store.tail, log_of=store.records, otlp=otlp, words=words("latest"), sleep=soon)
    finally:
        await http.close()


@pytest.fixture
def store(tmp_path: Path):
    opened = SqliteStore.open(tmp_path / "il.db")
    yield opened
    opened.close()


async def until_empty(exporter: Exporter) -> None:
    async with asyncio.timeout(60):
        while await exporter.step():
            pass


def names(spans: Sequence[object]) -> list[str]:
    return [bytes(span.span_id).hex() for span in spans]  # type: ignore[attr-defined]


@pytest.mark.requirement("OB-01")
async def test_what_is_committed_after_the_first_start_arrives_once_and_in_order(store: SqliteStore):
    store.write([lone(1)])
    async with receiving() as receiver, exporting(store, receiver.endpoint, batch=3) as exporter:
        await until_empty(exporter)
        store.write([lone(n) for n in range(2, 10)])
        for group in task("tsk_t"):
            store.write([group])
        await until_empty(exporter)

    expected = [span_id(f"tsk_{n:04}", 1) for n in range(2, 10)]
    assert names(receiver.spans) == [*expected, span_id("tsk_t")]
    assert [attributes(each)["gen_ai.evaluation.score.label"] for each in receiver.logs] == ["success"]
    assert attributes(receiver.resources[0]) == {"service.name": "interlock"}
    assert receiver.headers[0]["x-token"] == "hush"
    assert (exporter.sent.spans, exporter.sent.events, exporter.sent.behind) == (9, 1, 0)


@pytest.mark.requirement("OB-01")
async def test_a_receiver_that_was_away_gets_what_it_missed_after_a_restart_of_ours_too(
    store: SqliteStore,
):
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    async with exporting(store, endpoint) as exporter:
        await until_empty(exporter)
        store.write([lone(n) for n in range(5)])
        trying = asyncio.create_task(exporter.step())
        async with asyncio.timeout(60):
            while not exporter.sent.away:
                await asyncio.sleep(0.01)
        assert not trying.done()
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
        exporter.look()
        assert exporter.sent.behind > 0
    async with receiving(port) as receiver, exporting(store, endpoint) as exporter:
        store.write([lone(5)])
        await until_empty(exporter)

    assert names(receiver.spans) == [span_id(f"tsk_{n:04}", 1) for n in range(6)]
    assert trace_id("tsk_0000") == bytes(receiver.spans[0].trace_id).hex()


@pytest.mark.requirement("OB-01")
@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_a_receiver_asks_to_have_again_is_sent_again(store: SqliteStore, status: int):
    async with receiving() as receiver, exporting(store, receiver.endpoint) as exporter:
        await until_empty(exporter)
        receiver.answers = [(status, b"")] * 3
        store.write([lone(1)])
        await until_empty(exporter)

    assert len(receiver.spans) == 1
    assert exporter.sent.resent == 3
    assert exporter.sent.away == ""


@pytest.mark.requirement("OB-01")
async def test_what_is_refused_for_good_is_counted_and_does_not_hold_up_the_rest(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
):
    async with receiving() as receiver, exporting(store, receiver.endpoint) as exporter:
        await until_empty(exporter)
        receiver.answers = [(400, b"no such tenant"), (200, partial(2, "too old"))]
        store.write([lone(1)])
        await until_empty(exporter)
        store.write([lone(n) for n in range(2, 6)])
        await until_empty(exporter)

    assert exporter.sent.refused == 1 + 2
    assert exporter.sent.spans == 2
    assert [line.split("refuses ")[1] for line in caplog.messages] == [
        "1 traces for good: it answered 400: b'no such tenant'",
        "2 traces for good: too old",
    ]


@pytest.mark.requirement("OB-01")
async def test_a_message_that_is_too_large_is_sent_in_halves(store: SqliteStore):
    async with receiving() as receiver, exporting(store, receiver.endpoint) as exporter:
        await until_empty(exporter)
        receiver.answers = [(413, b""), (413, b"")]
        store.write([lone(n) for n in range(8)])
        await until_empty(exporter)

    assert names(receiver.spans) == [span_id(f"tsk_{n:04}", 1) for n in range(8)]
    assert exporter.sent.refused == 0


@pytest.mark.requirement("OB-01")
async def test_two_exporters_of_one_store_may_send_twice_but_pass_over_nothing(store: SqliteStore):
    async with (
        receiving() as receiver,
        exporting(store, receiver.endpoint, batch=2) as one,
        exporting(store, receiver.endpoint, batch=3) as other,
    ):
        await until_empty(one)
        store.write([lone(n) for n in range(20)])
        await asyncio.gather(until_empty(one), until_empty(other))

    assert set(names(receiver.spans)) == {span_id(f"tsk_{n:04}", 1) for n in range(20)}


def test_the_token_of_a_receiver_is_not_shown():
    assert "hush" not in repr(Address("http://x", (("x-token", "hush"),)))
