"""Agents of other frameworks through our gateway: their calls are one task with one budget and one trace, by headers alone."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from interlock.core.events import Settled
from interlock.core.store import TaskFilter
from interlock.storage import SqliteStore
from interlock.testing.upstream import Answer, Asked, Upstream

ROOT = Path(__file__).parents[2]
ENVIRONMENT = Path(os.environ.get("INTERLOCK_FRAMEWORKS", ROOT / "build/frameworks"))
PYTHONS = dict.fromkeys(("langgraph", "openai_agents", "pydantic_ai"), ENVIRONMENT / "bin/python") | {
    "llama_index": ENVIRONMENT / "llama_index/bin/python"
}
"""LlamaIndex has an environment of its own: beside the others only an old version of it fits."""
ADDRESS = re.compile(rb"at (http://[\d.:]+)/v1")
TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {
    "task": {"x-interlock-workflow": "orders", "x-interlock-task": "run-1"},
    "trace": {"x-interlock-workflow": "orders", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
}
FILES = """\
workspace: shop
tenant: acme
store: interlock.db
providers:
  mine: {{dialect: openai, base_url: "{base_url}", api_key: sk-vendor}}
models: {{support: [mine/small]}}
prices:
  mine/small: {{input_mtok_usd: 1.0, output_mtok_usd: 2.0, source: test, since: 2026-01-01}}
server: {{api_key: il-test}}
task_budgets:
  orders: {{max_model_calls: 2}}
"""


def vendor(asked: Asked) -> Answer:
    """Asks for the tool first."""
    if any(message["role"] == "tool" for message in asked.body["messages"]):
        return Answer(text="It is on its way.", input_tokens=30, output_tokens=5)
    return Answer(tool_calls=(("look", '{"order": "A1"}'),), input_tokens=20, output_tokens=4)


@asynccontextmanager
async def serving(folder: Path) -> AsyncGenerator[str]:
    command = [str(Path(sys.executable).with_name("interlock")), "serve", "-w", str(folder), "--port", "0"]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            while (address := ADDRESS.search(line := await process.stderr.readline())) is None:
                assert line, "the server ended before it said where it listens"
        yield f"{address[1].decode()}/v1"
    finally:
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await process.communicate()


async def run(framework: str, address: str, headers: dict[str, str]) -> tuple[int, str]:
    """What the framework's agent said, and how its process ended."""
    command = [str(PYTHONS[framework]), str(ROOT / "tests/interop/frameworks.py"), framework, address, "il-test"]
    process = await asyncio.create_subprocess_exec(
        *command, json.dumps(headers), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(120):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.requirement("AG-13")
@pytest.mark.parametrize("by", HEADERS)
@pytest.mark.parametrize("framework", PYTHONS)
async def test_an_agent_of_another_framework_is_one_task_with_one_budget_and_one_trace(
    tmp_path: Path, framework: str, by: str
):
    if not PYTHONS[framework].exists():
        pytest.skip(f"{PYTHONS[framework]} is not there: make interop-frameworks")
    async with Upstream(vendor) as upstream:
        (tmp_path / "interlock.yaml").write_text(FILES.format(base_url=upstream.base_url))
        async with serving(tmp_path) as address:
            ended, said = await run(framework, address, HEADERS[by])
            assert (ended, said.splitlines()[-1]) == (0, "It is on its way."), said
            ended, said = await run(framework, address, HEADERS[by])
            assert ended != 0, "its two model calls are used up"
            assert "max_model_calls" in said or "limit" in said
    check(tmp_path, by)


@pytest.mark.requirement("AG-13")
@pytest.mark.parametrize("by", HEADERS)
async def test_calls_that_name_one_task_or_trace_are_one_task_with_one_budget(tmp_path: Path, by: str):
    """The same wire, by the vendor's own client."""
    async with Upstream(vendor) as upstream:
        (tmp_path / "interlock.yaml").write_text(FILES.format(base_url=upstream.base_url))
        async with serving(tmp_path) as address:
            async with openai.AsyncOpenAI(
                base_url=address, api_key="il-test", default_headers=HEADERS[by], max_retries=0
            ) as client:
                for role in ("user", "tool"):
                    await client.chat.completions.create(model="support", messages=_turns(role))
                with pytest.raises(openai.APIStatusError, match="max_model_calls"):
                    await client.chat.completions.create(model="support", messages=_turns("user"))
                bad = {"x-interlock-task": "two words"}
                with pytest.raises(openai.BadRequestError, match="x-interlock-task"):
                    await client.chat.completions.create(model="support", messages=_turns("user"), extra_headers=bad)
            other = {"x-interlock-workflow": "orders", "x-interlock-task": "run-2"}
            async with openai.AsyncOpenAI(base_url=address, api_key="il-test", default_headers=other) as client:
                await client.chat.completions.create(model="support", messages=_turns("user"))
    check(tmp_path, by, tasks=2)


def _turns(role: str) -> Any:
    asked = {"role": "user", "content": "Where is order A1?"}
    if role == "user":
        return [asked]
    called = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    return [
        asked,
        {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
    ]


def check(folder: Path, by: str, tasks: int = 1) -> None:
    """One task has its two calls and the one that was refused."""
    store = SqliteStore.open(folder / "interlock.db")
    rows = store.tasks.list(TaskFilter())
    assert len(rows) == tasks
    [row] = [row for row in rows if row.model_calls >= 3]
    calls = [record.event for record in store.records(row.id) if isinstance(record.event, Settled)]
    store.close()
    assert row.workflow == "orders"
    assert [call.status for call in calls] == ["ok", "ok", "refused"]
    assert row.cost_nano_usd == sum(call.cost_nano_usd for call in calls) > 0
    traces = {call.caller.trace.split("-")[1] for call in calls if call.caller.trace}
    assert traces == ({TRACE} if by == "trace" else set())
