"""A served workspace in which two tenants have keys, and one of them has left something behind every address there is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from msgspec import Struct
from starlette.routing import Route

from interlock.app import Interlock
from interlock.server import serve as serving
from interlock.server.asgi import ColdApp
from interlock.server.dashboard import Pages
from interlock.server.serve import ServerSettings
from interlock.server.workspace import Opened, serve_workspace
from interlock.testing.upstream import Answer, Asked, Upstream
from tests.documents import CONTRACT

CANARY = "the-parcel-of-Mrs-Quill"
"""Stands in whatever the first tenant says and is told."""
FILES = """\
workspace: two-tenants
tenant: acme
store: "{store}"
server: {{api_key: il-server}}
providers:
  mine: {{dialect: openai, base_url: "{base_url}", api_key: sk-vendor}}
models: {{support: mine/small}}
caching: {{exact_cache: {{enabled: true}}, semantic_cache: {{enabled: true, similarity_threshold: 0.5}}}}
logging: {{store_prompts: full}}
mcp: {{offer: [agent_contract]}}
schedules: [{{name: acme_nightly, workflow: agent_contract, cron: "0 3 * * *", input: {{text: {canary}}}}}]
webhooks: [{{url: "http://127.0.0.1:9/hooks", secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}]
"""
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


class Things(Struct, frozen=True):
    """What the first tenant has, by the name of the path's parameter."""

    task: str
    """Waits for a person."""
    call: str
    """A lone call, as a task."""
    step: str
    response: str
    file: str
    batch: str
    message_batch: str
    session: str
    key: str
    visit: str

    def of(self, parameter: str, path: str) -> str:
        """What stands for a parameter of a path."""
        if parameter == "batch" and "messages" in path:
            return self.message_batch
        return {"response_id": self.response, "key": self.key}.get(parameter) or getattr(self, parameter)

    def ids(self) -> Iterator[str]:
        """What nobody else may ever be shown."""
        yield from (
            self.task,
            self.call,
            self.response,
            self.file,
            self.batch,
            self.message_batch,
            self.session,
            self.key,
            self.visit,
        )


class Town:
    """Everything that is up, with a client for each tenant's admin."""

    def __init__(self, url: str, il: Interlock, routes: list[Route], vendor: Upstream) -> None:
        self.url, self.il, self.vendor = url, il, vendor
        self.routes = tuple(routes)
        """Of the first version that is served: each one that follows it has the same."""
        self.things: Things
        self.owner = ""
        """The key with which the first tenant did it all."""

    def client(self, key: str, **headers: str) -> httpx2.AsyncClient:
        both = {"authorization": f"Bearer {key}", "x-api-key": key, "anthropic-version": "2023-06-01", **headers}
        return httpx2.AsyncClient(base_url=self.url, headers=both, timeout=120)

    async def key_of(self, tenant: str, role: str = "admin") -> tuple[str, str]:
        """(id, secret) of a fresh key."""
        async with self.client("il-server") as server:
            made = (
                await server.post("/api/keys", json={"tenant": tenant, "role": role, "name": f"of {tenant}"})
            ).json()
        return made["id"], made["secret"]


def _says(asked: Asked) -> Answer:
    """An agent wants to pay; whoever asks else is told of the parcel."""
    if asked.body.get("tools"):
        return Answer(tool_calls=(("payments.create_intent", '{"amount_usd": 80}'),))
    return Answer(text=f"It is {CANARY}." if CANARY in str(asked.body) else "It is on its way.")


@asynccontextmanager
async def town(folder: Path, store: str = ".interlock/interlock.db") -> AsyncGenerator[Town]:
    """The workspace as `interlock serve` serves it, its routes as its router has them."""
    routes: list[Route] = []

    class Noted(ColdApp):
        def __init__(self, ids: Any, cold: Any, hot: Any, tenant_of: Any) -> None:
            super().__init__(ids, cold, hot, tenant_of)
            seen = [each for each in cold if isinstance(each, Route)]
            behind = {each.endpoint for each in seen if isinstance(each.endpoint, Pages)}
            routes.extend(each for each in seen if each.endpoint not in behind)
            routes.extend(each for pages in behind for each in pages.routes() if isinstance(each, Route))
            routes.extend(Route(path, _never, methods=["POST"]) for path in hot)

    async with Upstream(_says, api_key="sk-vendor") as vendor:
        _write(folder, vendor.base_url, store)
        usual, serving.ColdApp = serving.ColdApp, Noted
        opened: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        try:
            async with Interlock.from_file(folder) as il:
                up = asyncio.create_task(serve_workspace(il, ServerSettings(port=0, shutdown_s=1.0), opened.set_result))
                try:
                    await asyncio.wait((up, opened), return_when=asyncio.FIRST_COMPLETED)
                    made = Town((await opened).url, il, routes, vendor)
                    made.things = await _filled(made)
                    yield made
                finally:
                    up.cancel()
                    await asyncio.gather(up, return_exceptions=True)
        finally:
            serving.ColdApp = usual


def _write(folder: Path, base_url: str, store: str) -> None:
    texts = {
        "interlock.yaml": FILES.format(base_url=base_url, canary=CANARY, store=store),
        "agents/agent_contract.yaml": CONTRACT.replace("gpt-4.1", "mine/small").replace("redacted", "full"),
        "schemas/OrderDraft.json": SCHEMA,
        "tools.py": TOOLS,
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


async def _never(_request: Any) -> Any:
    raise NotImplementedError


async def _filled(town: Town) -> Things:
    """The first tenant does a day's work."""
    key, secret = await town.key_of("acme")
    ask = {"model": "support", "messages": [{"role": "user", "content": f"Where is {CANARY}?"}], "max_tokens": 50}
    town.owner = secret
    async with town.client(secret) as acme:
        lone = await acme.post("/v1/chat/completions", json=ask)
        assert CANARY in lone.text, lone.text
        response = (await acme.post("/v1/responses", json={"model": "support", "input": f"Where is {CANARY}?"})).json()
        new = {"workflow": "agent_contract", "input": {"text": f"two of {CANARY}"}}
        task = (await acme.post("/api/tasks", json=new)).json()["task"]
        row = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": ask}
        upload = {"file": (f"{CANARY}.jsonl", json.dumps(row).encode()), "purpose": (None, "batch")}
        file = (await acme.post("/v1/files", files=upload)).json()["id"]
        wanted = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = (await acme.post("/v1/batches", json=wanted)).json()["id"]
        requests = {"requests": [{"custom_id": CANARY, "params": ask}]}
        messages = (await acme.post("/v1/messages/batches", json=requests)).json()["id"]
        await acme.patch("/api/sessions/cart-of-mrs-quill", json={"values": {"note": CANARY}})
        step = await _settled(acme, task, batch, messages)
        await acme.post("/ui/login", data={"key": secret})
        (visit,) = (await acme.get("/api/visits")).json()["visits"]
    call = lone.headers["x-interlock-call-id"].replace("cal_", "tsk_")
    return Things(task, call, step, response["id"], file, batch, messages, "cart-of-mrs-quill", key, visit["visit"])


async def _settled(acme: httpx2.AsyncClient, task: str, batch: str, messages: str) -> str:
    """Waits until the batches are answered and a person is asked; returns the step that is asked about."""
    async with asyncio.timeout(60):
        while True:
            asked = (await acme.get(f"/api/approvals/{task}")).json().get("questions", ())
            one = (await acme.get(f"/v1/batches/{batch}")).json()
            other = (await acme.get(f"/v1/messages/batches/{messages}")).json()
            if asked and one["status"] == "completed" and other["processing_status"] == "ended":
                return str(asked[0]["step"])
            await asyncio.sleep(0.05)
