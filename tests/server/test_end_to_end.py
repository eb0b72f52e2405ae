"""The official client, the server, the whole gateway, the pooled client and a vendor, in one process and over real sockets.

The vendor counts what it bills; the ledger has to say the same.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from uvicorn.server import ServerState

from interlock.app import Interlock, open_reading
from interlock.core.caller import Caller, Secret
from interlock.core.ids import SystemIds
from interlock.core.store import TaskFilter
from interlock.core.time import SystemClock
from interlock.gateway.shortcut import Shortcut
from interlock.server.auth import Keys
from interlock.server.batching import waiting_of
from interlock.server.door import Door as Behind
from interlock.server.health import health_of
from interlock.server.serve import Parts, ServerSettings, _config, served
from interlock.testing.upstream import Answer, Upstream

from .door import ASK, ASK_STREAM, KEY, Door, FakeGateway, post

FILES = """\
workspace: shop
tenant: acme
store: interlock.db
providers:
  mine: {{dialect: openai, base_url: "{base_url}", api_key: sk-vendor}}
models:
  support:
    small: [mine/small]
prices:
  mine/small: {{input_mtok_usd: 1.0, output_mtok_usd: 2.0, source: test, since: 2026-01-01}}
"""
GOVERNED = """\
caching:
  exact_cache: {{enabled: true, ttl_seconds: 3600}}
limits:
  - {{per: key, period: minute, requests: 10000000, tokens: 100000000000}}
  - {{per: tenant, period: day, usd: 1000000}}
pii: {{}}
guards: {{injection: {{classifier: false}}}}
resilience:
  admission: {{max_concurrent: 100}}
"""
MESSAGES: Any = [{"role": "user", "content": "Where is my order?"}]


class House:
    """Everything that is up."""

    def __init__(self, folder: Path, upstream: Upstream, door: Door, il: Interlock) -> None:
        self.folder = folder
        self.upstream = upstream
        self.door = door
        self.il = il

    def client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(api_key=KEY, base_url=f"{self.door.url}/v1", max_retries=0)


@asynccontextmanager
async def house(folder: Path, answer: Answer | None = None, files: str = FILES) -> AsyncGenerator[House, None]:
    """`files`: the workspace's text, `{base_url}` in it stands for the vendor that answers with `answer`."""
    clock = SystemClock()
    async with Upstream(answer, api_key="sk-vendor") as upstream:
        (folder / "interlock.yaml").write_text(files.format(base_url=upstream.base_url))
        async with Interlock.from_file(folder) as il:
            caller = Caller("acme", key_id="server", versions=il.workspace.versions)
            keys = Keys({Secret(KEY): caller, Secret("il-other"): Caller("globex", key_id="other")})
            waiting = waiting_of(il, keys, clock)
            parts = Parts(
                il.gateway,
                keys,
                SystemIds(clock),
                clock,
                lambda: health_of(il),
                il.served_models,
                il.gateway.embeddings,
                il.kept_responses,
                more=waiting.faces,
            )
            working = asyncio.create_task(waiting.worker.keep_working())
            config = _config(Behind(served(parts)), ServerSettings())
            config.load()
            loop, state = asyncio.get_running_loop(), ServerState()
            make: Any = config.http_protocol_class
            server = await loop.create_server(lambda: make(config, state, {}, loop), "127.0.0.1", 0)
            door = Door(server.sockets[0].getsockname()[1], FakeGateway(), state)
            try:
                yield House(folder, upstream, door, il)
            finally:
                server.close()
                door.close()
                for connection in tuple(state.connections):
                    connection.transport.abort()
                await server.wait_closed()
                await asyncio.gather(
                    *state.tasks, return_exceptions=True
                )  # as the server does: what it cut off settles
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)


def booked(folder: Path) -> tuple[int, int, int]:
    """What the ledger says in all: input tokens, output tokens, nano-dollars."""
    with open_reading(folder) as reading:
        tasks = reading.tasks(TaskFilter(limit=1000))
    return (
        sum(task.input_tokens for task in tasks),
        sum(task.output_tokens for task in tasks),
        sum(task.cost_nano_usd for task in tasks),
    )


async def test_whole_and_streamed_answers_reach_the_client_and_the_ledger_says_what_the_vendor_billed(
    tmp_path: Path,
) -> None:
    async with (
        house(tmp_path, Answer(text="It has shipped.", input_tokens=11, output_tokens=4)) as up,
        up.client() as client,
    ):
        whole: Any = await client.chat.completions.with_raw_response.create(model="support", messages=MESSAGES)
        assert whole.parse().choices[0].message.content == "It has shipped."
        assert whole.headers["x-interlock-model"] == "mine/small"
        assert whole.headers["x-interlock-cost-nano-usd"] == str(11 * 1000 + 4 * 2000)
        other: Any = [{"role": "user", "content": "And now?"}]
        stream: Any = await client.chat.completions.create(model="support", messages=other, stream=True)
        pieces = [piece async for piece in stream]
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "It has shipped."
        served = up.upstream.served
    assert (served.input_tokens, served.output_tokens) == (22, 8)
    assert booked(tmp_path) == (22, 8, 22 * 1000 + 8 * 2000)


@pytest.mark.parametrize("more", ["", GOVERNED], ids=["plain", "governed"])
async def test_ordinary_calls_of_a_whole_workspace_go_the_short_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    """A new setting or part closes it until it says that it is of no concern there, and this is where that is seen."""
    ways: list[bool] = []
    take = Shortcut.take

    def told(self: Shortcut, *asked: Any) -> Any:
        ride = take(self, *asked)
        ways.append(ride is not None)
        return ride

    monkeypatch.setattr(Shortcut, "take", told)
    async with house(tmp_path, Answer(text="It has shipped.", input_tokens=11, output_tokens=4), FILES + more) as up:
        wire = await up.door.send(post(ASK))
        for n in range(3):
            assert (await wire.reply())[0] == 200
            wire.writer.write(post(ASK.replace(b"hi", b"hello %d" % n)))
        assert (await wire.reply())[0] == 200
    assert ways == [False, True, True, True], "the first call to a deployment goes the long way"


@pytest.mark.parametrize("ask", [ASK, ASK_STREAM], ids=["whole", "stream"])
async def test_ordinary_calls_leave_nothing_for_the_collector_to_find(tmp_path: Path, ask: bytes) -> None:
    """A cycle would keep the memory of a call from the next one until the collector comes by."""
    async with house(tmp_path, Answer(text="It has shipped.", input_tokens=11, output_tokens=4)) as up:

        async def asked(times: int) -> None:
            wire = await up.door.send(post(ask))
            for n in range(times):
                assert await answered(wire) == 200
                wire.writer.write(post(ask.replace(b"hi", b"hello %d" % n)))
            assert await answered(wire) == 200

        async def answered(wire: Any) -> int:
            if ask is ASK:
                return int((await wire.reply())[0])
            status, _ = await wire.head()
            await wire.reader.readuntil(b"\r\n0\r\n\r\n")
            return int(status)

        await asked(3)  # the first call to a deployment goes the long way
        gc.collect()
        gc.disable()
        try:
            await asked(20)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            found = Counter(type(each).__name__ for each in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    ours = {
        "Ride",
        "Told",
        "_Turn",
        "Exchange",
        "Read",
        "Flow",
        "Flowing",
        "StreamTurn",
        "Through",
        "Gate",
        "StreamWriter",
    }
    assert not ours & found.keys(), found


@pytest.mark.parametrize("ask", [ASK, ASK_STREAM], ids=["whole", "stream"])
async def test_a_client_that_goes_away_frees_the_vendor_at_once_and_the_call_settles(
    tmp_path: Path, ask: bytes
) -> None:
    async with house(tmp_path, Answer(text="one two three four", stall_after=3)) as up:
        wire = await up.door.send(post(ask))
        if ask is ASK_STREAM:
            await wire.head()
        else:
            while not up.upstream.served.requests:
                await asyncio.sleep(0)
        wire.close()
        async with asyncio.timeout(60):
            while not up.upstream.served.aborted:
                await asyncio.sleep(0)
    with open_reading(tmp_path) as reading:
        (task,) = reading.tasks(TaskFilter(limit=10))
        trace = reading.trace(task.task)
    assert trace is not None
    assert [step.call.status for step in trace.steps if step.call] == ["client_gone"]


async def test_a_vendor_that_refuses_is_told_in_the_clients_own_kind_of_error(tmp_path: Path) -> None:
    answer = Answer(status=400, text="This model does not see images.", error_code="no_images")
    async with house(tmp_path, answer) as up, up.client() as client:
        with pytest.raises(openai.BadRequestError, match="does not see images"):
            await client.chat.completions.create(model="support", messages=MESSAGES)
        with pytest.raises(openai.NotFoundError) as seen:
            await client.chat.completions.create(model="suport", messages=MESSAGES)
    assert "support" in str(seen.value)
    assert up.upstream.served.requests == 1


async def test_nothing_is_imported_within_a_call_once_it_is_warm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    asked: list[str] = []

    class Watch:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            asked.append(name)

    async with house(tmp_path) as up:
        for number in range(3):
            if number == 2:
                monkeypatch.setattr(sys, "meta_path", [Watch(), *sys.meta_path])
            for ask in (ASK, ASK_STREAM):
                unlike = ask.replace(b"hi", b"hi %d" % number)
                wire = await up.door.send(post(unlike, headers="connection: close\r\n"))
                assert b"200" in (await wire.rest())[:20]
    assert asked == []
