"""The process that is killed, of tasks that wait: each parent begins two children, sleeps, and waits for a signal, in one turn; each child reserves something.

Run from the checkout as `python -m tests.crash.family FOLDER PARENTS PAUSE_S [ADDRESS]`, where ADDRESS is a PostgreSQL's; prints `ready` once it works and `done` when every task has finished.
"""

import asyncio
import hashlib
import json
import random
import sys
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from interlock.agents.builtin import awaits_of, child_tool, waiting_tools
from interlock.agents.contract import Contract, Input
from interlock.agents.service import Agents
from interlock.agents.shift import Terms
from interlock.app.telling import Telling
from interlock.config.webhooks import Webhook
from interlock.core.budget import Budget, Limits
from interlock.core.caller import Caller, Versions
from interlock.core.chat import ChatRequest, ChatResponse, ToolCall
from interlock.core.events import Attempt, Settled
from interlock.core.ids import SystemIds
from interlock.core.money import Usage
from interlock.core.ports import ChatReply
from interlock.core.store import TaskFilter
from interlock.core.time import Deadline, SystemClock
from interlock.ledger import Beside, Recorder, TaskLog
from interlock.tools.call import Grant, ToolDesk
from tests.crash.shop import Shop
from tests.crash.worker import opened

COST_NANO_USD = 700
HOOK = Webhook.model_validate({"url": "http://hook.invalid/", "secret": "s" * 24, "events": ["task_finished"]})


class Model:
    """A parent asks for everything at once and then answers; a child reserves and answers."""

    def __init__(self, ledger: Recorder, clock: SystemClock, pause_s: float) -> None:
        self.ledger, self.clock, self.pause_s = ledger, clock, pause_s

    async def chat(
        self,
        caller: Caller,
        request: ChatRequest,
        *,
        budget: Budget | None = None,
        deadline: Deadline | None = None,
        fence: int = 0,
    ) -> ChatReply:
        now_ns, used = self.clock.wall_ns(), Usage(input=50, output=10)
        cut = Settled("c", "model", request.model, caller, "crashed", now_ns, usage=used, cost_nano_usd=COST_NANO_USD)
        slot = self.ledger.open(cut)
        await asyncio.sleep(self.pause_s)
        said = self._say(caller.workflow, request)
        tried = Attempt("own/m", "ok", now_ns, 1, "small", used, COST_NANO_USD)
        settled = replace(cut, status="ok", deployment="own/m", tier="small", attempts=(tried,))
        calls = [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in said.tool_calls]
        self.ledger.settle(slot, settled, {"response": {"text": said.text, "tool_calls": calls}}, fence=fence)
        return ChatReply(said, settled)

    def stream(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def _say(self, workflow: str, request: ChatRequest) -> ChatResponse:
        if any(message.role == "assistant" for message in request.messages):
            return ChatResponse("m", "done")
        order = next(m.text for m in request.messages if m.role == "user").split()[0]
        plan: list[tuple[str, Any]] = [("stock_reserve", {"order": order})]
        if workflow == "parent":
            plan = [("agent_child", {"text": f"{order}-{n}"}) for n in (1, 2)]
            plan += [("task_sleep", {"seconds": 0.03}), ("task_wait", {"name": "go"})]
        calls = tuple(ToolCall(f"call_{at}", name, json.dumps(given)) for at, (name, given) in enumerate(plan))
        return ChatResponse("m", tool_calls=calls, finish="tool_calls")


def contracts(shop: Shop) -> dict[str, Contract]:
    tools = {tool.name: tool for tool in shop.tools()} | waiting_tools()
    tools["agent.child"] = child_tool("child", {"text": Input()})

    def made(name: str, *listed: str) -> Contract:
        return Contract(
            name,
            tenant="acme",
            model="m",
            versions=Versions(contract="c1"),
            grants={each: Grant(tools[each], timeout_s=20.0) for each in listed},
            awaits=awaits_of(dict.fromkeys(listed, 0.4)),
            limits=Limits(max_cost_nano_usd=100 * COST_NANO_USD),
            store_prompts="full",
        )

    return {
        "parent": made("parent", "agent.child", "task.sleep", "task.wait"),
        "child": made("child", "stock.reserve"),
    }


async def main(folder: Path, parents: int, pause_s: float, address: str) -> None:
    clock = SystemClock()
    store = opened(folder, address)
    ledger = Recorder(store, clock, path=folder / "interlock.db")
    ledger.start()
    log, ids = TaskLog(ledger, store, clock, lease_s=0.8), SystemIds(clock)
    agents = Agents(
        contracts(Shop(folder, pause_s)),
        gateway=Model(ledger, clock, pause_s),
        desk=ToolDesk(ledger, clock, ids, random.Random(1), folder),
        journal=log,
        clock=clock,
        ids=ids,
        redact=lambda text: text,
    )
    agents.tell = Telling([HOOK], Beside(ledger, store, clock).tell, lambda: None)
    print("ready", flush=True)
    tasks: list[str] = []
    for number in range(parents):
        digest = hashlib.sha256(f"p{number}".encode()).hexdigest()
        tasks.append((await agents.submit("parent", {"text": f"p{number}"}, caller=Caller("acme"), digest=digest))[0])
    working = asyncio.ensure_future(agents.shift(Terms(concurrency=6, every_s=0.05)).run())
    for task in tasks:
        await agents.signal(task, "go", None, who="pat", key=f"go-{task}")
    while any(row.status != "finished" for row in store.tasks.list(TaskFilter(limit=1_000))):
        await asyncio.sleep(0.02)
    agents.stop()
    await working
    await ledger.close()
    store.close()
    print("done", flush=True)


if __name__ == "__main__":
    place, count, pause, *server = sys.argv[1:]
    asyncio.run(main(Path(place), int(count), float(pause), server[0] if server else ""))
