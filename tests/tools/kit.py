"""A tool desk with a ledger in memory."""

import asyncio
import random
from pathlib import Path
from typing import Any

from interlock.core.caller import Caller
from interlock.core.ids import SystemIds
from interlock.testing.clock import FakeClock
from interlock.testing.ledger import MemoryLedger
from interlock.tools.call import Grant, ToolDesk, ToolReply, ToolRequest
from interlock.tools.credentials import Broker
from interlock.tools.define import Tool
from interlock.tools.perform import Sleep

CALLER = Caller("acme", workflow="support", task="tsk_1", step=4)


class Bench:
    """One desk; `call` makes a call of a tool under a grant of its own."""

    def __init__(self, max_threads: int = 8, sleep: Sleep = asyncio.sleep, broker: Broker | None = None) -> None:
        self.ledger, self.clock = MemoryLedger(), FakeClock()
        ids = SystemIds(self.clock)
        self.desk = ToolDesk(
            self.ledger,
            self.clock,
            ids,
            random.Random(1),
            Path("/shop"),
            max_threads=max_threads,
            sleep=sleep,
            broker=broker,
        )
        self.desk.performer.backoff_s = 0.0

    async def call(self, tool: Tool, arguments: Any = None, *, ask_first: bool = False, **grant: Any) -> ToolReply:
        given: dict[str, Any] = {"timeout_s": 5.0, **grant}
        granted = {tool.name: Grant(tool, **given)}
        request = ToolRequest(tool.name, arguments if arguments is not None else {}, "tsk_1:4", ask_first=ask_first)
        return await self.desk.call(CALLER, request, granted)
