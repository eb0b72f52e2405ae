"""A server with a batch under way is killed with SIGKILL and started again: no line is lost, none is settled or billed twice."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from interlock.core.events import Settled
from interlock.storage import SqliteStore
from interlock.testing.upstream import Answer, Asked, Upstream
from tests.server import vendor as double

LINES = 1000
KILLS = (250, 600)
"""Lines that the vendor had answered when the server was killed."""
ADDRESS = re.compile(rb"at (http://[\d.:]+)/v1")
FILES = """\
workspace: shop
tenant: acme
store: interlock.db
providers:
  mine: {{dialect: openai, base_url: "{base_url}", api_key: sk-vendor{options}}}
models: {{support: [mine/small]}}
prices:
  mine/small: {{input_mtok_usd: 1.0, output_mtok_usd: 2.0, source: test, since: 2026-01-01}}
server: {{api_key: il-test}}
"""


@asynccontextmanager
async def server(folder: Path) -> AsyncGenerator[tuple[asyncio.subprocess.Process, openai.AsyncOpenAI]]:
    """A server process over the folder and a client of it; ended in order unless it is dead already."""
    command = [str(Path(sys.executable).with_name("interlock")), "serve", "-w", str(folder), "--port", "0"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            while (address := ADDRESS.search(line := await process.stderr.readline())) is None:
                assert line, "the server ended before it said where it listens"
        async with openai.AsyncOpenAI(api_key="il-test", base_url=f"{address[1].decode()}/v1", max_retries=0) as client:
            yield process, client
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await process.communicate()


def asks(count: int) -> bytes:
    rows = [
        {
            "custom_id": f"ask-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "support", "messages": [{"role": "user", "content": f"question {number}"}]},
        }
        for number in range(1, count + 1)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def submitted(client: openai.AsyncOpenAI, count: int) -> str:
    file = await client.files.create(file=("in.jsonl", asks(count)), purpose="batch")
    batch = await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    return batch.id


async def finished(client: openai.AsyncOpenAI, batch: str) -> Any:
    async with asyncio.timeout(120):
        while (now := await client.batches.retrieve(batch)).status != "completed":
            assert now.status in ("validating", "in_progress", "finalizing"), now
            await asyncio.sleep(0.05)
    return now


def events(folder: Path, batch: str) -> dict[int, Settled]:
    """What the ledger holds of the batch, by line: there is nothing else."""
    store = SqliteStore.open(folder / "interlock.db")
    records = store.records(batch)
    totals = store.totals()
    store.close()
    settled = {record.seq: record.event for record in records if isinstance(record.event, Settled)}
    assert len(settled) == len(records)
    assert totals.events_nano_usd == totals.tasks_nano_usd == totals.rolls_nano_usd
    assert totals.events_nano_usd == sum(event.cost_nano_usd for event in settled.values())
    return settled


@pytest.mark.requirement("GW-05")
async def test_a_thousand_lines_survive_sigkill_without_one_lost_or_billed_twice(tmp_path: Path) -> None:
    keys: defaultdict[str, Counter[str]] = defaultdict(Counter)
    reached = asyncio.Event()
    wanted = 0

    def script(asked: Asked) -> Answer:
        keys[asked.body["messages"][-1]["content"]][asked.headers["idempotency-key"]] += 1
        if wanted and len(keys) >= wanted:
            reached.set()
        return Answer(text="Good.", input_tokens=7, output_tokens=3, delay_s=0.005)

    async with Upstream(script) as upstream:
        (tmp_path / "interlock.yaml").write_text(FILES.format(base_url=upstream.base_url, options=""))
        batch = ""
        for kill_at in KILLS:
            wanted = kill_at
            reached.clear()
            async with server(tmp_path) as (process, client):
                batch = batch or await submitted(client, LINES)
                async with asyncio.timeout(60):
                    await reached.wait()
                process.kill()
                await process.wait()
        wanted = 0
        async with server(tmp_path) as (_, client):
            done = await finished(client, batch)
            text = (await client.files.content(done.output_file_id)).text
    rows = [json.loads(row) for row in text.splitlines()]
    assert [row["custom_id"] for row in rows] == [f"ask-{number}" for number in range(1, LINES + 1)]
    assert all(row["response"]["body"]["choices"][0]["message"]["content"] == "Good." for row in rows)
    assert (done.request_counts.completed, done.request_counts.failed) == (LINES, 0)
    # A vendor that honours idempotency keys bills each line once: no line was ever sent under two.
    assert len(keys) == LINES
    assert {len(each) for each in keys.values()} == {1}
    repeated = sum(sum(each.values()) - 1 for each in keys.values())
    settled = events(tmp_path, batch)
    assert sorted(settled) == list(range(1, LINES + 1))
    assert repeated <= len(KILLS) * 8 * 2, "what was under way at a kill, whether or not the vendor had got it"
    # Those lines too settled with what their answer said, not with an upper estimate.
    assert {event.status for event in settled.values()} == {"ok"}
    assert {(event.usage.input, event.usage.output, event.cost_nano_usd) for event in settled.values()} == {
        (7, 3, 13_000)
    }


@pytest.mark.requirement("GW-05", "OP-06")
async def test_an_orderly_restart_asks_no_line_twice(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    reached = asyncio.Event()

    def script(asked: Asked) -> Answer:
        seen[asked.body["messages"][-1]["content"]] += 1
        if len(seen) >= 60:
            reached.set()
        return Answer(text="Good.", input_tokens=7, output_tokens=3, delay_s=0.02)

    async with Upstream(script) as upstream:
        (tmp_path / "interlock.yaml").write_text(FILES.format(base_url=upstream.base_url, options=""))
        async with server(tmp_path) as (_, client):
            batch = await submitted(client, 200)
            async with asyncio.timeout(60):
                await reached.wait()
        halfway = len(seen)
        async with server(tmp_path) as (_, client):
            done = await finished(client, batch)
    assert halfway < 200
    assert (len(seen), set(seen.values())) == (200, {1})
    assert done.request_counts.completed == 200
    assert {(event.status, event.cost_nano_usd) for event in events(tmp_path, batch).values()} == {("ok", 13_000)}


class Vendor:
    """A batch API that kills whoever submits a batch, before it has answered."""

    def __init__(self, kills: int) -> None:
        self.kills = kills
        self.victim: asyncio.subprocess.Process | None = None
        self.files: dict[str, bytes] = {}
        self.batches: list[dict[str, Any]] = []
        self.fetched = 0

    def answer(self, asked: double.Asked) -> double.Said:
        path, _, query = asked.path.removeprefix("/v1").partition("?")
        if (asked.method, path) == ("POST", "/files"):
            name = f"file-{len(self.files)}"
            self.files[name] = asked.raw.split(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
            return double.said({"id": name})
        if (asked.method, path) == ("POST", "/batches"):
            self.batches.append(
                {**asked.body, "id": f"batch_v{len(self.batches)}", "status": "completed", "created_at": 0}
            )
            if len(self.batches) <= self.kills and self.victim is not None:
                self.victim.kill()
            return double.said(self.batches[-1])
        if path == "/batches":
            assert "limit=100" in query
            return double.said({"object": "list", "data": self.batches, "has_more": False})
        if path.startswith("/batches/"):
            return double.said({**self.batches[0], "output_file_id": "out"})
        assert path == "/files/out/content", path
        self.fetched += 1
        return 200, "application/octet-stream", self._output()

    def _output(self) -> bytes:
        lines = map(json.loads, self.files[self.batches[0]["input_file_id"]].splitlines())
        return b"".join(
            json.dumps(
                {
                    "custom_id": line["custom_id"],
                    "response": {
                        "status_code": 200,
                        "body": {
                            "id": "chatcmpl-1",
                            "model": line["body"]["model"],
                            "choices": [{"index": 0, "message": {"content": "Good."}, "finish_reason": "stop"}],
                            "usage": {"prompt_tokens": 7, "completion_tokens": 3},
                        },
                    },
                    "error": None,
                }
            ).encode()
            + b"\n"
            for line in reversed(list(lines))
        )


@pytest.mark.requirement("GW-05", "EC-02")
async def test_a_vendors_batch_is_submitted_once_although_its_submitter_is_killed_in_the_middle(tmp_path: Path) -> None:
    there = Vendor(kills=1)
    async with double.vendor(there.answer) as upstream:
        text = FILES.format(base_url=upstream.base_url, options=", options: {batches: true}")
        (tmp_path / "interlock.yaml").write_text(text.replace("source: test", "tier: batch, source: test"))
        async with server(tmp_path) as (process, client):
            there.victim = process
            batch = await submitted(client, 300)
            async with asyncio.timeout(60):
                await process.wait()
        async with server(tmp_path) as (_, client):
            done = await finished(client, batch)
            rows = [json.loads(row) for row in (await client.files.content(done.output_file_id)).text.splitlines()]
    assert len(there.batches) == 1
    assert there.batches[0]["metadata"] == {"interlock_batch": batch}
    assert [row["custom_id"] for row in rows] == [f"ask-{number}" for number in range(1, 301)]
    assert rows[0]["response"]["body"]["id"] == "chatcmpl-1"
    settled = events(tmp_path, batch)
    assert sorted(settled) == list(range(1, 301))
    assert {
        (event.status, event.usage.input, event.usage.output, event.cost_nano_usd) for event in settled.values()
    } == {("ok", 7, 3, 13_000)}
    assert "batch API" in settled[1].reasons[0]
