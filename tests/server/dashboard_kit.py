"""A workspace with a past, and its dashboard without a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from interlock.app import Interlock
from interlock.app.taskdesk import TaskDesk
from interlock.core.caller import Caller, Secret, Versions
from interlock.core.events import (
    ApprovalAsked,
    ApprovalDecided,
    Attempt,
    Escalation,
    Finished,
    Intended,
    Noted,
    Record,
    Settled,
    Started,
)
from interlock.core.ids import SystemIds
from interlock.core.keys import KeyBook
from interlock.core.money import Price, Rates, Usage, cost_of
from interlock.core.time import Clock, SystemClock
from interlock.server.asgi import ColdApp
from interlock.server.auth import Keys
from interlock.server.dashboard import Dashboard
from interlock.storage import SqliteStore
from tests.documents import CONTRACT

KEY, RIVAL = "il-own-key", "il-rival-key"
HOST = "http://127.0.0.1:8787"
TENANT, WORKFLOW = "acme", "agent_contract"
SMALL = Price(
    "openai/small", Rates(input=150_000_000, cache_read=75_000_000, output=600_000_000), "list", "2026-10-01", "p1"
)
LARGE = Price("openai/large", Rates(input=2_500_000_000, output=10_000_000_000), "list", "2026-10-01", "p2")
TOOLS = """\
from interlock import tool

@tool(name="inventory.lookup", effect="none")
def lookup(sku: str) -> dict[str, int]:
    return {"stock": 3}

@tool(name="payments.create_intent", effect="idempotent")
def create_intent(amount_usd: float) -> dict[str, str]:
    return {"intent": "pi_1"}
"""
SCHEMA = '{"type": "object", "properties": {"sku": {"type": "string"}}}'


def workspace(root: Path) -> Path:
    """A folder that loads."""
    texts = {
        "interlock.yaml": f"workspace: documents\ntenant: {TENANT}\n",
        f"agents/{WORKFLOW}.yaml": CONTRACT,
        "schemas/OrderDraft.json": SCHEMA,
        "tools.py": TOOLS,
    }
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


class Past:
    """Records of one task, at the seq and the moment they come to."""

    def __init__(
        self, task: str, at_ns: int, *, tenant: str = TENANT, workflow: str = WORKFLOW, user: str = "u-118"
    ) -> None:
        self.task, self.tenant, self.workflow, self.user = task, tenant, workflow, user
        self.at_ns = at_ns
        self.records: list[Record] = []
        self.versions = Versions("c0ffee", "beef01", "f00d02", "abba03")
        self.fact: Callable[[str], str] = lambda text: text
        """What becomes of every text that models, tools and users wrote."""

    def add(self, event: Any, content: dict[str, Any] | None = None, ms: float = 1) -> int:
        self.at_ns += round(ms * 1e6)
        self.records.append(Record(self.task, len(self.records), self.tenant, self.at_ns, event, content))
        return len(self.records) - 1

    def begin(self, text: str = "two of A1, please") -> None:
        self.add(Started(self.workflow, self.caller(), self.versions), {"input": {"text": self.fact(text)}})

    def caller(self) -> Caller:
        step = len(self.records)
        return Caller(self.tenant, self.user, "server", self.workflow, self.task, step, self.versions)

    def model(
        self, text: str = "plan", *, ms: int = 400, failed: int = 0, escalated: bool = False, **fields: Any
    ) -> None:
        """A model call with so many failed tries before it, and one answer that was not good enough."""
        begun = self.at_ns
        tries = [self._attempt("error", "openai/small", SMALL, Usage(input=90), 120) for _ in range(failed)]
        if escalated:
            tries.append(self._attempt("ok", "openai/small", SMALL, Usage(input=900, output=80), ms // 2))
        price = LARGE if escalated else SMALL
        usage = Usage(input=980, output=112) if escalated else Usage(input=900, cache_read=410, output=96)
        tries.append(self._attempt("ok", self.fact(price.model), price, usage, ms))
        whole = Usage()
        for each in tries:
            whole += each.usage
        because = (Escalation("small", "large", self.fact("confidence < 0.72 (confidence=0.64)")),) if escalated else ()
        settled = Settled(
            call=f"cal_{self.task}_{len(self.records) + 1}",
            kind="model",
            name=self.fact("support"),
            caller=self.caller(),
            status="ok",
            started_ns=begun,
            duration_us=(self.at_ns - begun) // 1000,
            first_token_us=90_000,
            deployment=self.fact(price.model),
            tier="premium" if escalated else "small",
            attempts=tuple(tries),
            usage=whole,
            cost_nano_usd=sum(each.cost_nano_usd for each in tries),
            reserved_nano_usd=20_000_000,
            price=price.version,
            confidence=0.91,
            escalations=because,
            reasons=(self.fact("task agent_contract → tier small, expected success 0.81"),),
            **fields,
        )
        self.add(Intended(len(self.records) + 1, "model", "support", f"{self.task}:{len(self.records) + 1}"), ms=0)
        request = [{"role": "user", "text": self.fact(text)}]
        self.add(settled, {"request": request, "response": {"text": self.fact(f"{text}: done"), "tool_calls": []}})

    def tool(self, name: str = "inventory.lookup", *, ms: int = 60, failed: int = 0) -> None:
        arguments = {"arguments": {"sku": self.fact("A1")}}
        self.add(Intended(len(self.records) + 1, "tool", name, f"{self.task}:{len(self.records)}"), arguments, ms=0)
        begun = self.at_ns
        tries = [self._attempt("timeout", "", None, Usage(), 150) for _ in range(failed)]
        tries.append(self._attempt("ok", "", None, Usage(), ms))
        self.add(
            Settled(
                call=f"cal_{self.task}_{len(self.records)}",
                kind="tool",
                name=name,
                caller=self.caller(),
                status="ok",
                started_ns=begun,
                duration_us=(self.at_ns - begun) // 1000,
                attempts=tuple(tries),
            ),
            {"result": {"stock": 3, "note": self.fact("in the north hall")}},
        )

    def approval(self, minutes: float | None, *, who: str = "mia") -> None:
        """A question, answered after so many minutes or not at all."""
        arguments = {"amount_usd": 80, "reason": self.fact("lost on the way")}
        seq = len(self.records)
        asked = ApprovalAsked(
            seq, "payments.create_intent", "a1b2", self.fact("requires_human_approval"), self.at_ns + 86_400 * 10**9
        )
        self.add(asked, {"arguments": arguments, "why": self.fact("requires_human_approval")})
        if minutes is not None:
            decided = ApprovalDecided(seq, "approve", self.fact(who), "a1b2", self.fact("seen the photo"))
            self.add(decided, ms=minutes * 60_000)

    def note(self) -> None:
        self.add(Noted(self.fact("left_flow"), self.fact("no slot for the order number")))

    def end(self, outcome: Any = "resolved", **fields: Any) -> None:
        self.add(Finished(outcome, "small", 0.91, **fields), {"answer": self.fact("On Friday."), "citations": []})

    def _attempt(self, status: Any, deployment: str, price: Price | None, usage: Usage, ms: int) -> Attempt:
        begun, self.at_ns = self.at_ns, self.at_ns + ms * 1_000_000
        cost = cost_of(price.rates, usage) if price else 0
        wrong: dict[str, Any] = (
            {"error": "upstream_timeout", "message": self.fact("no answer")} if status != "ok" else {}
        )
        version = price.version if price else ""
        return Attempt(deployment, status, begun, ms * 1000, "small", usage, cost, version, **wrong)


def long_task(task: str, at_ns: int, fact: Callable[[str], str] = str) -> Past:
    """54 model calls and 27 tool calls, with retries, escalations, an approval and a note."""
    past = Past(task, at_ns)
    past.fact = fact
    past.begin()
    for turn in range(27):
        past.model(f"plan {turn}", failed=int(turn % 9 == 4), escalated=turn % 7 == 3)
        past.tool(failed=int(turn % 10 == 6))
        past.model(f"judge {turn}", ms=250)
    past.note()
    past.approval(14)
    past.tool("payments.create_intent", ms=300)
    past.end()
    return past


def waiting_task(task: str, at_ns: int, fact: Callable[[str], str] = str) -> Past:
    """One that waits for a person."""
    past = Past(task, at_ns)
    past.fact = fact
    past.begin()
    past.model("pay")
    past.tool()
    past.approval(None)
    return past


def write(root: Path, *pasts: Past) -> None:
    """Puts them into the workspace's ledger."""
    (root / ".interlock").mkdir(exist_ok=True)
    store = SqliteStore.open(root / ".interlock" / "interlock.db")
    try:
        store.write([past.records for past in pasts], [SMALL, LARGE])
    finally:
        store.close()


@asynccontextmanager
async def dashboard(
    root: Path, clock: Clock | None = None, book: KeyBook | None = None
) -> AsyncGenerator[tuple[Interlock, Dashboard, httpx2.AsyncClient]]:
    """The workspace open, its dashboard, and a browser that nobody has let in yet."""
    clock = clock or SystemClock()
    async with Interlock.from_file(root) as il:
        callers = {Secret(KEY): Caller(TENANT, key_id="server"), Secret(RIVAL): Caller("rival", key_id="rival")}
        keys = Keys(callers, book)
        made = Dashboard(il, TaskDesk(il.agents, il.reader), keys, clock)
        app = ColdApp(SystemIds(clock), made.routes(), [])
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=HOST) as browser:
            yield il, made, browser
