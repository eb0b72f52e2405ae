"""Which of a tenant's tasks a worker takes first, as whoever begins them says it."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from interlock.app import Interlock
from interlock.app.taskdesk import TaskDesk
from interlock.core.caller import Caller
from interlock.core.errors import InvalidRequest
from interlock.core.store import TaskFilter
from interlock.server.task_forms import NewTask, read
from interlock.testing.upstream import Answer, Upstream

from .conftest import Folder

GOOD = Answer(text=json.dumps({"sku": "A1", "quantity": 2}))
CALLER = Caller("acme")


@pytest.mark.requirement("OP-04")
async def test_a_worker_takes_the_more_urgent_task_first_and_of_equals_the_older(contract_folder: Folder):
    async with Upstream(GOOD) as vendor:
        contract_folder.provider("openai", vendor.base_url)
        async with Interlock.from_file(contract_folder.root) as il:
            desk = TaskDesk(il.agents, il.reader)
            for text, priority in (("one", 0), ("spare", -3), ("two", 0), ("urgent", 9)):
                await desk.create(CALLER, "agent_contract", {"text": f"{text}!"}, "", priority=priority)
            working = asyncio.ensure_future(il.work(concurrency=1))
            async with asyncio.timeout(60):
                while len(await desk.list(CALLER, status="finished")) < 4:
                    await asyncio.sleep(0.01)
            il.agents.stop()
            await working
            with pytest.raises(InvalidRequest, match="priority of 5,000 is out of range"):
                await il.run("agent_contract", {"text": "far too urgent"}, priority=5_000)
            assert len(il.ground.store.tasks.list(TaskFilter(kind="task"))) == 4, (
                "nothing was written of what was refused"
            )
    said = [re.findall(r"(\w+)!", json.dumps(each.body["messages"])) for each in vendor.asked]
    assert said == [["urgent"], ["one"], ["two"], ["spare"]]


def test_what_is_sent_to_the_task_api_says_a_priority_within_its_range():
    assert read(b'{"workflow": "w", "input": {}, "priority": -1000}', NewTask).priority == -1000
    for wrong in (b"1001", b'"high"', b"1.5"):
        with pytest.raises(InvalidRequest, match="priority"):
            read(b'{"workflow": "w", "input": {}, "priority": ' + wrong + b"}", NewTask)
