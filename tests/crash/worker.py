"""The process that is killed: works off a batch on a real store until everything is finished, answering questions like a person would.

A tenth of the orders goes through a flow, another tenth fails and is undone, the rest is a model's with tools in parallel. The models of every second task write for
followers; beside the tasks it streams answers, which are calls of their own. Forked by `nursery`; prints `ready` once it works and `done` at the end.
"""

import asyncio
import json
import random
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from interlock.agents.batch import Line, run_batch
from interlock.agents.contract import Contract, Flow, FlowStep
from interlock.agents.question import Question
from interlock.agents.service import Agents
from interlock.config.templates import Arguments, Template
from interlock.core.budget import Budget
from interlock.core.caller import Caller, Versions
from interlock.core.chat import ChatRequest, ChatResponse, ToolCall
from interlock.core.errors import InvalidRequest, LedgerFull, StoreUnavailable
from interlock.core.events import Attempt, Settled, lone_ids
from interlock.core.ids import SystemIds
from interlock.core.live import Ear
from interlock.core.money import Usage
from interlock.core.ports import ChatReply
from interlock.core.store import Store
from interlock.core.time import Clock, Deadline
from interlock.ledger import Recorder, TaskLog
from interlock.storage import SqliteStore
from interlock.storage.postgres import PostgresStore
from interlock.tools.call import Grant, ToolDesk
from tests.crash.edges import Edged, Edges
from tests.crash.followed import PIECES, Following, pieces
from tests.crash.shop import Shop, read
from tests.crash.stepped import SteppedClock

COST_NANO_USD = 700
PAUSE_S = 0.01
"""Before a line is looked at again that another worker has."""
USED = Usage(input=50, output=10)
FROZEN = "frozen"
"""A file in the folder while some worker stands still: nobody can say yet what it has done."""
OPENING_TRIES = 600


class Told(Struct, frozen=True):
    """What a life is."""

    store: str
    """The folder of the store's file and of the journal of calls."""
    outside: str
    """The folder of the shop's books."""
    orders: tuple[int, ...]
    seed: int
    pause_s: float
    lease_s: float
    address: str = ""
    """A PostgreSQL's."""
    machine: int = 0
    """Whose wall clock it goes by."""
    concurrency: int = 6
    fatal: int = 0
    """The edge of a write at which it ends by itself; then it streams nothing, so that edges come in one order."""


class Model:
    """Decides by how far the conversation is: look up and reserve at once, then refund and post at once, then the end."""

    def __init__(self, ledger: Recorder, clock: Clock, pause_s: float) -> None:
        self.ledger, self.clock, self.pause_s = ledger, clock, pause_s
        self.following: Following | None = None

    async def chat(
        self,
        caller: Caller,
        request: ChatRequest,
        *,
        budget: Budget | None = None,
        deadline: Deadline | None = None,
        fence: int = 0,
        ear: Ear | None = None,
    ) -> ChatReply:
        started_ns, cost = self.clock.wall_ns(), 0 if request.model.startswith("local/") else COST_NANO_USD
        crashed = Settled("c", "model", request.model, caller, "crashed", started_ns, usage=USED, cost_nano_usd=cost)
        slot = self.ledger.open(crashed)
        said = self._say(request)
        await self._written(said, caller, ear)
        tried = Attempt("own/m", "ok", started_ns, 1, "small", USED, cost)
        settled = replace(crashed, status="ok", deployment="own/m", tier="small", attempts=(tried,))
        calls = [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in said.tool_calls]
        self.ledger.settle(slot, settled, {"response": {"text": said.text, "tool_calls": calls}}, fence=fence)
        return ChatReply(said, settled)

    async def _written(self, said: ChatResponse, caller: Caller, ear: Ear | None) -> None:
        """Takes its time, and where somebody hears it, writes meanwhile."""
        if ear is None or self.following is None:
            await asyncio.sleep(self.pause_s)
            return
        ear.begins("", provisional=False)
        for piece in pieces(said.text):
            await asyncio.sleep(self.pause_s / PIECES)
            ear.text(piece)
        for place, call in enumerate(said.tool_calls):
            ear.call(place, call.name, call.arguments)
            await asyncio.sleep(self.pause_s / PIECES)
        self.following.whole(caller.task, caller.step, said.text)

    def _say(self, request: ChatRequest) -> ChatResponse:
        order = next(m.text for m in request.messages if m.role == "user").split()[0]
        if request.model.startswith("local/"):
            seen = {"intent": "send", "confidence": 0.99, "accepted": order.endswith("3"), "threshold": 0.9}
            return ChatResponse("tier0", json.dumps(seen))
        turn = sum(1 for m in request.messages if m.role == "assistant")
        fails = order.endswith("7")
        plan: list[list[str]] = [
            ["orders.get", "stock.reserve"],
            ["stock.fail"] if fails else ["payments.refund", "letters.post"],
        ]
        if turn >= len(plan):
            return ChatResponse("m", "no answer" if fails else json.dumps({"answer": f"done {order}"}))
        calls = tuple(ToolCall(f"{turn}-{name}", name, json.dumps({"order": order})) for name in plan[turn])
        return ChatResponse("m", tool_calls=calls, finish="tool_calls")

    def stream(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


ORDER = Arguments({"order": "{text}"})
FLOW = (
    FlowStep(call="orders.get", arguments=ORDER),
    FlowStep(call="stock.reserve", arguments=ORDER),
    FlowStep(call="payments.refund", arguments=ORDER, save_as="refund"),
    FlowStep(call="letters.post", arguments=ORDER),
    FlowStep(answer=Template("done {refund.refunded}")),
)
"""What orders that end in 3 go through, without the model."""


class AnswersAreJson:
    """The output schema's checker, in three lines instead of a library."""

    def faults(self, value: Any) -> list[str]:
        return [] if isinstance(value, dict) and "answer" in value else ["answer is missing"]


def contract(shop: Shop) -> Contract:
    from interlock.core.chat import OutputSchema

    grants = {tool.name: Grant(tool, timeout_s=20.0) for tool in shop.tools()}
    return Contract(
        "shop",
        tenant="acme",
        model="m",
        versions=Versions(contract="c1"),
        grants=grants,
        undo_grants={"stock.release": grants["stock.release"]},
        approvals={"payments.refund": True},
        output_schema=OutputSchema("Done", {}),
        output_checker=AnswersAreJson(),
        tier0=True,
        flows={"send": Flow(steps=FLOW)},
        store_prompts="full",
    )


def lines(orders: Iterable[int]) -> list[Line]:
    return [Line(n, {"text": f"o{n}"}) for n in orders]


def opened(folder: Path, address: str) -> Store:
    """The store, as soon as it can be opened: its server may be starting at this moment."""
    for left in range(OPENING_TRIES, -1, -1):
        try:
            if address:
                return PostgresStore.open(address)
            return SqliteStore.open(folder / "interlock.db", synchronous="normal", busy_timeout_s=10)
        except StoreUnavailable:
            if not left:
                raise
        time.sleep(0.05)
    raise AssertionError


async def main(told: Told) -> None:
    clock, outside = SteppedClock(clock_of(told)), Path(told.outside)
    edges = Edges(told.fatal)
    plain = opened(Path(told.store), told.address)
    store: Any = Edged(plain, edges)
    recorder: Any = Recorder(store, clock, path=Path(told.store) / "interlock.db")
    await started(recorder)
    ledger: Any = Edged(recorder, edges)
    shop = Shop(outside, told.pause_s, edges.edge)
    log = TaskLog(ledger, store, clock, lease_s=told.lease_s, lease_now=plain.lease_clock())
    ids, model = SystemIds(clock), Model(ledger, clock, told.pause_s)
    model.following = Following(model.chat, clock, shop)
    desk = ToolDesk(ledger, clock, ids, random.Random(told.seed), outside)
    agents = Agents(
        {"shop": contract(shop)},
        gateway=model,
        desk=desk,
        journal=log,
        clock=clock,
        ids=ids,
        redact=lambda text: text,
        followers=model.following,
    )
    print("ready", flush=True)
    unfinished = set(told.orders)
    streaming = asyncio.ensure_future(stream(ledger, clock, ids, shop, unfinished if told.concurrency > 1 else ()))
    while unfinished:
        try:
            await work(agents, unfinished, told)
        except (StoreUnavailable, LedgerFull):
            await asyncio.sleep(PAUSE_S)  # what was under way goes on where it is
    await streaming
    await recorder.close()
    store.close()
    print(f"passed {edges.passed}\ndone", flush=True)


def clock_of(told: Told) -> Path:
    """The file of the machine's clock."""
    return Path(told.outside) / f"clock-{told.machine}"


async def started(recorder: Recorder) -> None:
    """The ledger, as soon as its disk and its server let it."""
    why = ""
    for _ in range(OPENING_TRIES):
        try:
            recorder.start()
        except StoreUnavailable as away:
            why = away.message
            await asyncio.sleep(0.05)
        else:
            return
    raise SystemExit(f"the ledger could not be started: {why}")


async def stream(ledger: Recorder, clock: Clock, ids: SystemIds, shop: Shop, unfinished: Collection[int]) -> None:
    """One streamed answer after the other while anything is unfinished; each begun one is noted outside before its first piece."""
    while unfinished:
        await asyncio.sleep(shop.pause_s)
        task, call = lone_ids(ids.new("tsk"))
        caller = Caller("acme", workflow="talk", task=task, step=1)
        cut = Settled(call, "model", "m", caller, "crashed", clock.wall_ns(), usage=USED, cost_nano_usd=COST_NANO_USD)
        try:
            slot = ledger.open(cut)
        except LedgerFull:
            continue
        shop.note("streamed", task)
        for _ in range(PIECES):
            await asyncio.sleep(shop.pause_s)
        ledger.settle(slot, replace(cut, status="ok"), {"response": {"text": "piece by piece"}})


async def work(agents: Agents, unfinished: set[int], told: Told) -> None:
    """Once over all lines that are not finished, which `unfinished` loses as they end."""
    left = [line for line in lines(told.orders) if line.number in unfinished]
    async for done in run_batch(agents, "shop", left, batch="b", concurrency=told.concurrency):
        if done.fault.startswith("another worker"):
            await asyncio.sleep(PAUSE_S)
            continue
        if done.result is None:
            raise SystemExit(f"line {done.line.number}: {done.fault}")
        if done.result.outcome != "waiting_approval":
            unfinished.discard(done.line.number)
            continue
        for question in await agents.questions(done.result.task):
            await answer(agents, question, Path(told.outside))


async def answer(agents: Agents, question: Question, folder: Path) -> None:
    """A person: approves refunds, and looks into the shop's own books where an effect is in doubt."""
    decision: Any = "approve"
    result: Any = "posted"
    if question.kind == "doubt":
        if (folder / FROZEN).exists():
            await asyncio.sleep(PAUSE_S)
            return  # whoever began it may still go on with it: first that has to be known
        # A refund comes here too when a busy machine has had it killed again and again before it began.
        book = "refund" if question.tool == "payments.refund" else "post"
        orders = [line.split()[0] for line in read(folder, book)]
        decision = "done" if question.arguments["order"] in orders else "redo"
        result = {"refunded": question.arguments["order"]} if book == "refund" else "posted"
    try:
        await agents.decide(question.task, question.step, decision, who="pat", result=result)
    except InvalidRequest:
        return  # answered a moment before the last crash
