"""What the runtime's bench stands on: agents over a real store, with a model that does as it is told and costs next to nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from interlock.agents.builtin import awaits_of, waiting_tools
from interlock.agents.contract import Contract
from interlock.agents.service import Agents
from interlock.core.budget import Budget, Limits
from interlock.core.caller import Caller, Versions
from interlock.core.chat import ChatRequest, ChatResponse, ToolCall
from interlock.core.events import Attempt, Settled
from interlock.core.ids import SystemIds
from interlock.core.money import Usage
from interlock.core.ports import ChatReply
from interlock.core.time import Deadline, SystemClock
from interlock.ledger import Recorder, RecorderLimits, TaskLog
from interlock.server.serve import quiet_collector
from interlock.storage import SqliteStore
from interlock.tools.call import Grant, ToolDesk
from interlock.tools.define import make

RESULT = {
    "order": "FO-10231",
    "status": "sent",
    "carrier": "post",
    "note": "left the warehouse on Tuesday, due on Friday",
}
"""About 200 bytes as the log keeps it."""


class Model:
    """Calls `look` until it was asked `turns` times, then answers; or waits for a signal at its first turn."""

    def __init__(self, ledger: Recorder, clock: SystemClock) -> None:
        self._ledger, self._clock = ledger, clock
        self.turns, self.waits = 1, False

    async def chat(
        self,
        caller: Caller,
        request: ChatRequest,
        *,
        budget: Budget | None = None,
        deadline: Deadline | None = None,
        fence: int = 0,
    ) -> ChatReply:
        """As the gateway's: opened, settled, answered."""
        del budget, deadline
        asked = sum(1 for message in request.messages if message.role == "assistant")
        call = ToolCall(f"call_{asked}", "task_wait", '{"name": "go"}') if self.waits else None
        call = call or ToolCall(f"call_{asked}", "look", f'{{"order": "FO-{asked}"}}')
        said = (
            ChatResponse("m", "Done.")
            if asked >= self.turns
            else ChatResponse("m", "", tool_calls=(call,), finish="tool_calls")
        )
        now_ns, usage = self._clock.wall_ns(), Usage(input=600, output=40)
        tried = Attempt("bench/m", "ok", now_ns, 1000, "small", usage, 0)
        settled = Settled("cal", "model", request.model, caller, "crashed", now_ns)
        slot = self._ledger.open(settled)
        settled = replace(settled, status="ok", deployment="bench/m", tier="small", attempts=(tried,), usage=usage)
        calls = [{"id": each.id, "name": each.name, "arguments": each.arguments} for each in said.tool_calls]
        self._ledger.settle(slot, settled, {"response": {"text": said.text, "tool_calls": calls}}, fence=fence)
        return ChatReply(said, settled)

    def stream(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


class Ground:
    """One store with agents over it."""

    def __init__(self, folder: Path, *, crowd: int = 1_024, max_steps: int = 100) -> None:
        self.clock = SystemClock()
        self.path = folder / "interlock.db"
        self.store = SqliteStore.open(self.path, busy_timeout_s=30.0)
        self.ledger = Recorder(self.store, self.clock, path=self.path, limits=RecorderLimits(calls=2 * crowd))
        self.ledger.start()
        self.log = TaskLog(self.ledger, self.store, self.clock)
        self.desk = ToolDesk(self.ledger, self.clock, SystemIds(self.clock), random.Random(1), folder)
        self.model = Model(self.ledger, self.clock)
        self.contract = contract(max_steps)
        self.agents = Agents(
            {"bench": self.contract},
            gateway=self.model,
            desk=self.desk,
            journal=self.log,
            clock=self.clock,
            ids=SystemIds(self.clock),
            redact=str,
        )

    async def tasks(self, count: int, turns: int) -> list[str]:
        """So many tasks at once, each of `turns` tool calls and one more model call; their ids."""
        self.model.turns = turns
        done = await asyncio.gather(*(self.agents.run("bench", {"text": "where is it?"}) for _ in range(count)))
        assert all(each.outcome == "resolved" for each in done), done[0]
        return [each.task for each in done]


@asynccontextmanager
async def ground(folder: Path, *, crowd: int = 1_024, max_steps: int = 100) -> AsyncGenerator[Ground]:
    """Open inside, with the garbage collector as a worker has it."""
    made = Ground(folder, crowd=crowd, max_steps=max_steps)
    try:
        with quiet_collector():
            yield made
    finally:
        await made.ledger.close()
        made.store.close()


def contract(max_steps: int) -> Contract:
    async def look(order: str) -> dict[str, str]:
        return {**RESULT, "asked": order}

    tools = [make(look, effect="none"), *waiting_tools().values()]
    return Contract(
        "bench",
        tenant="bench",
        model="m",
        prompt="You answer tickets.",
        versions=Versions(contract="c1"),
        grants={tool.name: Grant(tool, timeout_s=30.0) for tool in tools},
        awaits=awaits_of(dict.fromkeys((tool.name for tool in tools), 0.5)),
        limits=Limits(max_steps=max_steps),
        store_prompts="full",
    )


def spread(values: Sequence[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]
