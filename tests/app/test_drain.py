"""A server that is told to stop: what is under way ends, nothing new begins, and what may wait goes on at the next start."""

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import pytest

from interlock.core.events import Settled
from interlock.testing.upstream import Answer, Asked, Upstream
from tests.crash.test_batch_kill import server as batch_server
from tests.crash.test_batch_kill import submitted
from tests.ledger.kit import records_in

from .test_reload import files, started, stopped
from .test_workers import INTERLOCK

LINES = 40
FLOOD = 30
ROOM = 3


@pytest.mark.requirement("OP-06")
async def test_open_streams_and_calls_end_whole_when_a_server_with_several_workers_is_told_to_stop(tmp_path: Path):
    async with Upstream(Answer(delay_s=0.3, piece_delay_s=0.15)) as vendor:
        files(tmp_path, 0, vendor.base_url)
        house = await started(tmp_path, vendor, workers=2)
        body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
        asks = [json.dumps(body | {"stream": number % 2 == 0}).encode() for number in range(8)]
        waiting = [asyncio.create_task(house.send(body=ask)) for ask in asks]
        await house.until(lambda: vendor.served.requests == len(asks))
        house.process.send_signal(signal.SIGTERM)
        replies = await asyncio.gather(*waiting)
        told = await stopped(house)
    assert [status for status, _, _ in replies] == [200] * len(asks)
    assert all(b"[DONE]" in body for _, _, body in replies[::2])
    assert "every call under way has ended" in told
    events = [each.event for each in records_in(tmp_path / ".interlock" / "interlock.db")]
    assert [each.status for each in events if isinstance(each, Settled)] == ["ok"] * len(asks)
    assert not list((tmp_path / ".interlock").glob("*.flight.*")), "nothing is left for the next start"


@pytest.mark.requirement("OP-06")
async def test_a_batch_under_way_goes_on_at_the_next_start_and_no_line_is_asked_twice(tmp_path: Path):
    asked: list[str] = []

    def answer(said: Asked) -> Answer:
        asked.append(said.body["messages"][-1]["content"])
        return Answer(text="yes", delay_s=0.1)

    async with Upstream(answer) as vendor:
        (tmp_path / "interlock.yaml").write_text(
            "workspace: shop\ntenant: acme\nstore: interlock.db\n"
            f"providers: {{mine: {{dialect: openai, base_url: '{vendor.base_url}', api_key: sk-vendor}}}}\n"
            "models: {support: [mine/small]}\nbatches: {concurrency: 4}\nserver: {api_key: il-test}\n"
        )
        async with batch_server(tmp_path) as (process, client):
            batch = await submitted(client, LINES)
            async with asyncio.timeout(60):
                while len(asked) < LINES // 4:
                    await asyncio.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            await process.wait()
        assert process.returncode == 0
        assert len(asked) < LINES, "it did not wait for the whole batch"
        async with batch_server(tmp_path) as (process, client):
            async with asyncio.timeout(60):
                while (found := await client.batches.retrieve(batch)).status != "completed":
                    await asyncio.sleep(0.05)
            assert found.request_counts is not None
            assert (found.request_counts.completed, found.request_counts.failed) == (LINES, 0)
    assert sorted(asked) == sorted(f"question {number}" for number in range(1, LINES + 1))


@pytest.mark.requirement("OP-04")
async def test_a_tenant_that_floods_a_server_does_not_make_another_one_wait_for_its_line(tmp_path: Path):
    seen: list[str] = []
    going_on = [asyncio.Event()]

    def answer(said: Asked) -> Answer:
        seen.append(said.body["messages"][-1]["content"])
        return Answer(until=going_on[-1])

    async with Upstream(answer) as vendor:
        files(
            tmp_path, 0, vendor.base_url, f"resilience: {{admission: {{max_concurrent: {ROOM}, max_waiting: 500}}}}\n"
        )
        made = await asyncio.to_thread(
            subprocess.run,
            [INTERLOCK, "keys", "create", "-w", str(tmp_path), "--tenant", "small", "--json"],
            capture_output=True,
            check=True,
        )
        small = json.loads(made.stdout)["secret"]
        house = await started(tmp_path, vendor, workers=1)
        ending = asyncio.Event()

        async def flood(number: int) -> None:
            body = {"model": "chat", "messages": [{"role": "user", "content": f"flood {number}"}]}
            while not ending.is_set():
                assert (await house.send(body=json.dumps(body).encode()))[0] == 200

        async def in_line(calls: int) -> None:
            """Returns when so many wait to be let in; the vendor holds those before them."""
            async with asyncio.timeout(60):
                while f"interlock_calls_waiting {calls}".encode() not in (await house.send("GET", "/metrics"))[2]:
                    await asyncio.sleep(0.02)

        flooding = [asyncio.create_task(flood(number)) for number in range(FLOOD)]
        waits = []
        for number in range(10):
            await in_line(FLOOD - ROOM)
            before = len(seen)
            body = {"model": "chat", "messages": [{"role": "user", "content": f"small {number}"}]}
            asking = asyncio.create_task(house.send(body=json.dumps(body).encode(), key=small))
            await in_line(FLOOD - ROOM + 1)
            going_on[-1].set()
            assert (await asking)[0] == 200
            waits.append(seen.index(f"small {number}") - before)
            going_on.append(asyncio.Event())
        ending.set()
        going_on[-1].set()
        await asyncio.gather(*flooding)
        await stopped(house)
    assert sorted(waits)[len(waits) // 2] <= 2 * ROOM, f"others that went before each of its calls: {waits}"
