"""A real Pydantic AI agent whose steps stand in our log; ends itself by SIGKILL when so many steps are recorded. Run by the Python of another environment.

    python -m tests.interop.pydantic_agent FOLDER FATAL OURS

OURS is where our own packages lie. Each model and tool call that is really made appends a line to FOLDER/calls.log; prints the answer.
"""

# pyright: basic

import asyncio
import os
import signal
import sys
from pathlib import Path

FOLDER, FATAL = Path(sys.argv[1]), int(sys.argv[2])
sys.path.append(sys.argv[3])


def called(name: str) -> None:
    with (FOLDER / "calls.log").open("a") as log:
        log.write(f"{name}\n")


async def main() -> None:
    from pydantic_ai import Agent  # pyright: ignore[reportMissingImports]
    from pydantic_ai.messages import (  # pyright: ignore[reportMissingImports]
        ModelResponse,
        TextPart,
        ToolCallPart,
        ToolReturnPart,
    )
    from pydantic_ai.models.function import FunctionModel  # pyright: ignore[reportMissingImports]
    from pydantic_ai.toolsets import FunctionToolset  # pyright: ignore[reportMissingImports]

    from interlock.agents.steps import logged_steps
    from interlock.core.events import Settled
    from interlock.core.ids import SystemIds
    from interlock.core.time import SystemClock
    from interlock.ledger import Recorder, TaskLog
    from interlock.plugins.engines.pydantic_ai import durability, within
    from interlock.storage import SqliteStore

    def answer(messages, _info):
        called("model")
        returned = [p for m in messages for p in m.parts if isinstance(p, ToolReturnPart)]
        if len(returned) < 3:
            return ModelResponse([ToolCallPart(("look", "stock", "pay")[len(returned)], {"order": "A1"})])
        return ModelResponse([TextPart(f"paid {returned[-1].content}")])

    tools = FunctionToolset(id="shop")

    @tools.tool_plain(metadata={"interlock": {"effect": "idempotent"}})
    async def look(order: str) -> str:
        called("look")
        return f"order {order}"

    @tools.tool_plain(metadata={"interlock": {"effect": "none"}})
    async def stock(order: str) -> str:
        called("stock")
        return f"stock of {order}"

    @tools.tool_plain
    async def pay(order: str) -> str:
        called("pay")
        return f"for {order}"

    class Dying(TaskLog):
        """Ends the process between a step's record and whatever comes next."""

        left = FATAL

        async def append(self, records):
            await super().append(records)
            self.left -= sum(isinstance(record.event, Settled) for record in records)
            if FATAL and self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    agent = Agent(FunctionModel(answer), name="refunds", toolsets=[tools], capabilities=[durability()])
    clock, store = SystemClock(), SqliteStore.open(FOLDER / "interlock.db")
    ledger = Recorder(store, clock, path=FOLDER / "interlock.db")
    ledger.start()
    log, ids = Dying(ledger, store, clock), SystemIds(clock)
    try:
        async with logged_steps(log, clock, ids, tenant="acme", workflow="refunds", key="A1") as steps:
            with within(steps):
                print((await agent.run("Refund order A1")).output)
    finally:
        await ledger.close()
        store.close()


if __name__ == "__main__":
    asyncio.run(main())
