"""A small world for the agents' tests: a real store and recorder in a temporary folder, a scripted model, tools that count."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from interlock.agents.contract import Contract, Flow, FlowStep, Slot
from interlock.agents.service import Agents
from interlock.agents.state import State, fold
from interlock.config.conditions import parse_condition
from interlock.config.templates import Arguments, Template
from interlock.core.budget import Budget, Limits, Spend
from interlock.core.caller import Caller, Versions
from interlock.core.chat import ChatRequest, ChatResponse, ToolCall
from interlock.core.errors import Exhausted, InterlockError, LimitReached, Shed
from interlock.core.events import Attempt, Settled
from interlock.core.ids import SystemIds
from interlock.core.money import Usage
from interlock.core.ports import ChatReply
from interlock.core.time import Deadline
from interlock.gateway.retry import worth_again_s
from interlock.ledger import Recorder, TaskLog
from interlock.storage import SqliteStore
from interlock.testing.clock import FakeClock
from interlock.tools.call import Grant, ToolDesk
from interlock.tools.define import Tool, make

Said = ChatResponse | InterlockError | Callable[[ChatRequest], ChatResponse]


def says(text: Any, **fields: Any) -> ChatResponse:
    return ChatResponse(
        "fake-1", text if isinstance(text, str) else json.dumps(text), usage=Usage(input=100, output=20), **fields
    )


def wants(*calls: tuple[str, dict[str, Any] | str], ids: Sequence[str] = (), text: str = "") -> ChatResponse:
    made = tuple(
        ToolCall(ids[i] if ids else f"call_{i}", name, given if isinstance(given, str) else json.dumps(given))
        for i, (name, given) in enumerate(calls)
    )
    return ChatResponse("fake-1", text, tool_calls=made, finish="tool_calls", usage=Usage(input=100, output=20))


def understands(intent: str, *, confidence: float = 0.99, accepted: bool = True, passage: Any = None) -> ChatResponse:
    said = {
        "intent": intent,
        "confidence": confidence,
        "accepted": accepted,
        "threshold": 0.9,
        "runner_up": "",
        "reason": "",
    }
    return ChatResponse(
        "tier0", json.dumps({**said, "passage": passage}), usage=Usage(compute_ms=4), confidence=confidence
    )


NO_MODEL = Exhausted([])


class ScriptedGateway:
    """Gives the scripted answers in turn, reserving and settling as the real walk does."""

    def __init__(self, ledger: Recorder, clock: FakeClock, answers: Sequence[Said], tier0: Sequence[Said] = ()) -> None:
        self.ledger, self.clock = ledger, clock
        self.answers, self.tier0 = list(answers), list(tier0)
        self.requests: list[ChatRequest] = []
        self.cost_nano_usd = 1_000

    async def chat(
        self,
        caller: Caller,
        request: ChatRequest,
        *,
        budget: Budget | None = None,
        deadline: Deadline | None = None,
        fence: int = 0,
    ) -> ChatReply:
        self.requests.append(request)
        opened = Settled("cal", "model", request.model, caller, "crashed", self.clock.wall_ns())
        slot = self.ledger.open(opened)
        ask = Spend(model_calls=1, input_tokens=100, output_tokens=min(20, request.max_output_tokens or 20))
        ask += Spend(cost_nano_usd=0 if request.model.startswith("local/") else self.cost_nano_usd)
        try:
            held = budget.reserve(ask) if budget else Spend()
        except LimitReached as hit:
            self._settle(slot, opened, fence, status="refused", error=hit.code, message=hit.message, limit=hit.limit)
            raise
        queue = self.tier0 if request.model.startswith("local/") else self.answers
        said = queue.pop(0) if queue else NO_MODEL
        said = said(request) if callable(said) else said
        if isinstance(said, InterlockError):
            self._settle(
                slot,
                opened,
                fence,
                status="shed" if isinstance(said, Shed) else "error",
                error=said.code,
                message=said.message,
                retry_after_s=worth_again_s(said),
            )
            if budget:
                budget.settle(held, Spend())
            raise said
        used = replace(said.usage, output=min(said.usage.output, ask.output_tokens))
        cost = 0 if request.model.startswith("local/") else self.cost_nano_usd
        tried = Attempt("fake/m", "ok", self.clock.wall_ns(), 5, "small", used, cost, simulated=said.simulated)
        settled = self._settle(
            slot,
            opened,
            fence,
            content={"response": {"text": said.text, "tool_calls": [
                {"id": c.id, "name": c.name, "arguments": c.arguments} for c in said.tool_calls
            ], "refusal": said.refusal, "finish": said.finish}},
            status="ok",
            deployment="fake/m",
            tier="small",
            attempts=(tried,),
            usage=used,
            cost_nano_usd=cost,
            simulated=said.simulated,
            confidence=said.confidence,
        )  # fmt: skip
        if budget:
            budget.settle(held, Spend(0, 1, 0, used.input_total, used.output_total, cost))
        return ChatReply(said, settled)

    def stream(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def _settle(self, slot: int, opened: Settled, fence: int, content: Any = None, **fields: Any) -> Settled:
        settled = replace(opened, **fields)
        self.ledger.settle(slot, settled, content, fence=fence)
        return settled


class World:
    """Agents over a real store, with what the test script says."""

    def __init__(self, folder: Path, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.path = folder / "interlock.db"
        self.store = SqliteStore.open(self.path, synchronous="normal")
        self.ledger = Recorder(self.store, self.clock, path=self.path)
        self.ledger.start()
        self.log = TaskLog(self.ledger, self.store, self.clock)
        self.desk = ToolDesk(self.ledger, self.clock, SystemIds(self.clock), random.Random(1), folder)
        self.desk.performer.backoff_s = 0.0
        self.gateway = ScriptedGateway(self.ledger, self.clock, ())

    def agents(self, contract: Contract, answers: Sequence[Said] = (), tier0: Sequence[Said] = ()) -> Agents:
        self.gateway = ScriptedGateway(self.ledger, self.clock, answers, tier0)
        return Agents(
            {contract.workflow: contract},
            gateway=self.gateway,
            desk=self.desk,
            journal=self.log,
            clock=self.clock,
            ids=SystemIds(self.clock),
            redact=lambda text: text,
            sleep=self.clock.sleep,
        )

    async def state(self, task: str) -> State:
        return fold(await self.log.records(task))

    async def close(self) -> None:
        await self.ledger.close()
        self.store.close()


def contract(*tools: Tool, undo: Sequence[Tool] = (), **fields: Any) -> Contract:
    """A contract with these tools; `limits={...}` and the other fields as in `Contract`."""
    defaults: dict[str, Any] = {
        "tenant": "acme",
        "model": "support",
        "prompt": "You answer tickets.",
        "versions": Versions(contract="c1"),
        "grants": {tool.name: Grant(tool, timeout_s=2.0) for tool in tools},
        "undo_grants": {tool.name: Grant(tool, timeout_s=2.0) for tool in undo},
        "store_prompts": "full",
    }
    limits = Limits(**fields.pop("limits", {}))
    return Contract("support", limits=limits, **{**defaults, **fields})


def step(**fields: Any) -> FlowStep:
    """A flow's step as the files write it."""
    names = {"call": str, "save_as": str, "cite": tuple}
    made: dict[str, Any] = {k: names[k](v) for k, v in fields.items() if k in names}
    if "when" in fields:
        made["when"] = parse_condition(fields["when"])
    if "answer" in fields:
        made["answer"] = Template(fields["answer"])
    if "given" in fields:
        made["arguments"] = Arguments(fields["given"])
    return FlowStep(**made)


__all__ = ["Flow", "Slot", "World", "contract", "make", "says", "step", "understands", "wants"]
