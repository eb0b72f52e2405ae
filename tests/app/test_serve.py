"""`interlock serve` as a process: the official client against it, and tasks that become due while it runs."""

from __future__ import annotations

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

from interlock.app import Interlock, open_reading
from interlock.core.store import TaskFilter
from interlock.testing.upstream import Answer, Upstream, in_turn

from .conftest import Folder

ADDRESS = re.compile(rb"at (http://[\d.:]+)/v1")


@asynccontextmanager
async def serving(folder: Folder) -> AsyncGenerator[str]:
    """The address of a server process over the folder; it must end in order on SIGINT."""
    command = [str(Path(sys.executable).with_name("interlock")), "serve", "-w", str(folder.root), "--port", "0"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            while (address := ADDRESS.search(line := await process.stderr.readline())) is None:
                assert line, "the server ended before it said where it listens"
        yield address[1].decode()
    finally:
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await process.communicate()
    assert process.returncode == 0


@pytest.mark.requirement("GW-01")
async def test_the_official_client_talks_to_it_and_the_call_is_in_the_ledger(policy_folder):
    async with Upstream(Answer(text="On Friday.", input_tokens=1_000, output_tokens=100)) as upstream:
        policy_folder.provider("openai", upstream.base_url)
        async with serving(policy_folder) as address:
            key = (policy_folder.root / ".interlock" / "server.key").read_text().strip()
            async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=key) as client:
                messages: list[Any] = [{"role": "user", "content": "When does it arrive?"}]
                whole = await client.chat.completions.create(model="gpt-4o-mini", messages=messages)
                pieces = await client.chat.completions.create(model="gpt-4o", messages=messages, stream=True)
                text = "".join([p.choices[0].delta.content or "" async for p in pieces if p.choices])
    assert whole.choices[0].message.content == text == "On Friday."
    with open_reading(policy_folder.root) as reading:
        rows = reading.tasks(TaskFilter(kind="call"))
    assert [row.cost_nano_usd for row in rows] == [1_000 * 2_500 + 100 * 10_000, 1_000 * 150 + 100 * 600]


@pytest.mark.requirement("AG-06")
async def test_a_task_that_a_person_has_decided_on_goes_on_in_the_server(contract_folder):
    pay = Answer(tool_calls=(("payments.create_intent", '{"amount_usd": 10}'),))
    good = Answer(text=json.dumps({"sku": "A1", "quantity": 2}))
    async with Upstream(in_turn(pay, good)) as upstream:
        contract_folder.provider("openai", upstream.base_url)
        async with Interlock.from_file(contract_folder.root) as il:
            result = await il.run("agent_contract", {"text": "two of A1"})
            (question,) = await il.questions(result.task)
            await il.decide(result.task, question.step, "approve", "ada@acme.example")
        async with serving(contract_folder):
            with open_reading(contract_folder.root) as reading:
                async with asyncio.timeout(60):
                    while reading.tasks(TaskFilter())[0].outcome != "resolved":
                        await asyncio.sleep(0.05)
    assert contract_folder.calls() == ["pay 10.0"]
