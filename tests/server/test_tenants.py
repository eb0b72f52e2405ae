"""One tenant's key against everything of another's, at every address that the router has: it gets what an id gets that nobody has."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import conninfo_to_dict
from starlette.routing import Route

from interlock.core.events import Settled, Started
from tests.postgres import Postgres
from tests.servers import postgres_programs

from .tenants_kit import CANARY, Things, Town, town

SMUGGLED = {
    "x-interlock-tenant": "acme",
    "x-tenant-id": "acme",
    "x-interlock-key-id": "server",
    "x-interlock-user": "mia",
    "x-forwarded-user": "admin",
    "x-forwarded-for": "127.0.0.1",
    "x-real-ip": "127.0.0.1",
    "x-original-url": "/api/tasks",
    "x-http-method-override": "GET",
    "forwarded": "for=127.0.0.1;host=acme",
    "openai-organization": "acme",
    "openai-project": "acme",
    "x-interlock-task": "{task}",
}
QUERY = {"tenant": "acme", "limit": "100", "tenant_id": "acme", "key_id": "server"}
BODIES: dict[str, Any] = {
    "/signals": {"name": "go", "payload": {}},
    "/outcome": {"success": True, "source": "person", "who": "mia"},
    "/close": {"success": True},
    "/rotate": {"overlap_s": 60},
    "/approvals/{task}/{step:int}": {"decision": "approve", "who": "mia", "tenant": None},
}
OWN_NAMESPACE = {"session"}
"""Names that every tenant chooses by itself: asking for another's is asking for one's own of that name."""
SHARED = {"name", "incident", "rest"}
"""Of models, pictures and incidents; no tenant owns them."""
PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory):
    async with town(tmp_path_factory.mktemp("town")) as made:
        yield made


def aimed(route: Route, things: Things) -> dict[str, str]:
    return {name: things.of(name, route.path) for name in PARAMETER.findall(route.path) if name not in SHARED}


def unknown(value: str) -> str:
    """An id of the same shape that nobody has."""
    if value.isdigit():
        return value
    head, mark, tail = value.rpartition("_") if "_" in value else value.rpartition("-")
    return head + mark + tail[:-6] + "".join("z" if each != "z" else "y" for each in tail[-6:])


def filled(path: str, values: dict[str, str]) -> str:
    return PARAMETER.sub(lambda found: values.get(found[1], "nothing"), path)


def body_of(route: Route) -> Any:
    found = next((body for end, body in BODIES.items() if route.path.endswith(end)), {})
    return {key: value for key, value in found.items() if value is not None}


async def answer(client: httpx2.AsyncClient, method: str, path: str, **sent: Any) -> tuple[int, str, dict[str, str]]:
    """(status, body as far as it comes within a moment, headers) of a request."""
    async with client.stream(method, path, **sent) as response:
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(0.4 if "events" in path or path.startswith("/mcp/") else 20):
                async for piece in response.aiter_bytes():
                    pieces.append(piece)  # noqa: PERF401 - what came before the time is up counts
        except TimeoutError:
            pass
        except httpx2.HTTPError as broken:
            raise AssertionError(f"{method} {path} broke off after {response.status_code}, {pieces!r}") from broken
        return response.status_code, b"".join(pieces).decode(errors="replace"), dict(response.headers)


def alike(told: tuple[int, str, dict[str, str]], values: dict[str, str]) -> tuple[int, str, Any]:
    """An answer without what differs from request to request, and without the ids that were asked for."""
    status, text, headers = told
    for name, value in values.items():
        if name != "step":
            text = text.replace(value, f"<{name}>")
    text = re.sub(r"(req|call)[-_][0-9a-zA-Z]{10,}", "<request>", text)
    text = re.sub(r"\b\d{10}\b|\d\d:\d\d(:\d\d)?", "<time>", text)
    volatile = ("date", "content-length", "x-request-id", "request-id", "x-interlock-call-id")
    return status, text, {name: value for name, value in headers.items() if name not in volatile}


def targets(place: Town) -> list[tuple[str, Route]]:
    return [
        (method, route)
        for route in place.routes
        if aimed(route, place.things)
        for method in sorted((route.methods or {"POST", "GET"}) - {"HEAD"})
    ]


@pytest.mark.requirement("SG-05")
async def test_another_tenants_ids_are_ids_that_nobody_has(place: Town):
    """Every address with an id in it, every method, with and without headers that claim to be somebody else."""
    await nobody_has_them(place)


@pytest.mark.requirement("SG-05")
async def test_so_they_are_on_postgres_whose_rows_are_under_the_tenant_of_each_request(tmp_path: Path):
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with Postgres() as server:
        async with town(tmp_path, owned(server)) as place:
            await nobody_has_them(place)
            async with place.client("il-server") as everybodys:
                tasks = (await everybodys.get("/api/tasks")).json()["tasks"]
                assert place.things.task in {each["task"] for each in tasks}


def owned(server: Postgres) -> str:
    """The address of a schema whose owner is no superuser, and so held by the policies on its own tables."""
    address = server.fresh()
    schema = str(conninfo_to_dict(address)["options"]).rpartition("=")[2]
    with psycopg.connect(address) as db:
        db.execute(f"CREATE ROLE owner_{schema} LOGIN".encode())
        db.execute(f"ALTER SCHEMA {schema} OWNER TO owner_{schema}".encode())
    return address.replace("postgres@", f"owner_{schema}@")


async def nobody_has_them(place: Town) -> None:
    _, rival = await place.key_of("rival")
    before = await seen(place, place.owner)
    tried = targets(place)
    assert len(tried) > 35
    for smuggled in ({}, {name: value.format(task=place.things.task) for name, value in SMUGGLED.items()}):
        async with place.client(rival, **smuggled) as client:
            for method, route in tried:
                theirs = aimed(route, place.things)
                both = ({**theirs, "task": place.things.call},) if "task" in theirs and not smuggled else ()
                for values in (theirs, *both):
                    nobodys = {name: unknown(value) for name, value in values.items()}
                    form = {"decision": "approve", "arguments": "null", "who": "mia"}
                    body = {"data": form} if route.path.startswith("/ui/") else {"json": body_of(route)}
                    sent = {**body, "params": QUERY if smuggled else {}}
                    real = await answer(client, method, filled(route.path, values), **sent)
                    none = await answer(client, method, filled(route.path, nobodys), **sent)
                    assert alike(real, values) == alike(none, nobodys), f"{method} {route.path}"
                    assert CANARY not in real[1], f"{method} {route.path}"
                    if not OWN_NAMESPACE & set(values):
                        nobody = (403, 404) if "/api/keys/" not in route.path else (400, 403)
                        assert real[0] in nobody, f"{method} {route.path} answers {real[0]}: {real[1][:200]}"
    assert await seen(place, place.owner) == before, "nothing of the other tenant's has changed"


async def seen(place: Town, key: str) -> dict[str, Any]:
    """Everything of the first tenant's, as its own key reads it; no address is a wrong one."""
    found: dict[str, Any] = {}
    async with place.client(key) as client:
        for method, route in targets(place):
            if method != "GET" or "events" in route.path or "/ui/" in route.path:
                continue
            path = filled(route.path, aimed(route, place.things))
            status, text, _ = await answer(client, "GET", path)
            assert status == 200 or path.endswith("/result"), f"{path} answers its owner {status}: {text[:200]}"
            found[path] = json.loads(text) if text.startswith("{") else text
    return found


@pytest.mark.requirement("SG-05")
async def test_no_list_page_stream_or_figure_shows_another_tenant(place: Town):
    _, rival = await place.key_of("neighbour")
    plain = [
        route for route in place.routes if not PARAMETER.search(route.path) and "GET" in (route.methods or {"GET"})
    ]
    assert len(plain) > 25
    shown = 0
    for smuggled in ({}, {name: value.format(task=place.things.task) for name, value in SMUGGLED.items()}):
        async with place.client(rival, **smuggled) as client, place.client(place.owner) as owner:
            for route in plain:
                _, text, _ = await answer(client, "GET", route.path, params=QUERY if smuggled else {})
                leaked = [each for each in (CANARY, "acme_nightly", *place.things.ids()) if each in text]
                assert leaked == [], f"GET {route.path} shows {leaked}"
                _, own, _ = await answer(owner, "GET", route.path)
                shown += any(each in own for each in (CANARY, *place.things.ids()))
    assert shown >= 12, "its owner does see it"


@pytest.mark.requirement("SG-05")
async def test_what_one_tenant_was_told_is_never_told_to_another_out_of_a_cache(place: Town):
    _, rival = await place.key_of("rival")
    ask = {"model": "support", "messages": [{"role": "user", "content": f"Where is {CANARY}?"}], "max_tokens": 50}
    before = len(place.vendor.asked)
    async with place.client(rival, **{"x-interlock-workflow": "agent_contract"}) as client:
        for path, body in (
            ("/v1/chat/completions", ask),
            ("/v1/responses", {"model": "support", "input": ask["messages"]}),
        ):
            told = await client.post(path, json=body)
            assert told.status_code == 200
        assert len(place.vendor.asked) == before + 2, "the vendor was asked anew"
        continued = {"model": "support", "input": "and?", "previous_response_id": place.things.response}
        assert (await client.post("/v1/responses", json=continued)).status_code in (400, 404)
        batch = {"input_file_id": place.things.file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        assert (await client.post("/v1/batches", json=batch)).status_code in (400, 404)


@pytest.mark.requirement("SG-05", "SG-09")
async def test_a_workflow_and_its_tools_belong_to_its_tenant(place: Town):
    _, rival = await place.key_of("rival")
    hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accepts = {"accept": "application/json, text/event-stream"}
    async with place.client(rival, **accepts) as client, place.client(place.owner, **accepts) as owner:
        new = {"workflow": "agent_contract", "input": {"text": "two"}}
        assert (await client.post("/api/tasks", json=new)).status_code == 400
        theirs, nobodys = (
            await client.post("/mcp/agent_contract", json=hello),
            await client.post("/mcp/nobody", json=hello),
        )
        assert (theirs.status_code, nobodys.status_code) == (404, 404)
        assert "payments_create_intent" in (await owner.post("/mcp/agent_contract", json=hello)).text


@pytest.mark.requirement("SG-02", "SG-06")
async def test_what_a_request_says_it_bears_stands_in_the_ledger(place: Town):
    _, acme = await place.key_of("acme")
    ask = {"model": "support", "messages": [{"role": "user", "content": "Of whom?"}]}
    async with place.client(acme, **{"x-interlock-labels": "secret, phi"}) as client:
        said = await client.post("/v1/chat/completions", json=ask)
        call = said.headers["x-interlock-call-id"].replace("cal_", "tsk_")
        task = (await client.post("/api/tasks", json={"workflow": "agent_contract", "input": {"text": "two"}})).json()
        wrong = await client.post("/v1/chat/completions", json=ask, headers={"x-interlock-labels": "a b"})
    assert (wrong.status_code, "x-interlock-labels" in wrong.text) == (400, True)
    for each in (call, task["task"]):
        async with asyncio.timeout(60):
            while not (records := await asyncio.to_thread(place.il._store.records, each)):
                await asyncio.sleep(0.02)
        event = records[0].event
        assert isinstance(event, (Settled, Started))
        assert event.caller.labels == ("phi", "secret")


@pytest.mark.requirement("SG-05")
async def test_a_key_of_one_tenant_makes_no_key_for_another(place: Town):
    _, rival = await place.key_of("rival")
    async with place.client(rival) as client:
        assert (await client.post("/api/keys", json={"tenant": "acme"})).status_code == 403
        assert (await client.post("/api/keys", json={})).json()["tenant"] == "rival"
        assert (await client.get("/metrics")).status_code == 403
        assert (await client.get("/api/limits")).status_code == 403


NO_KEYS = (
    b"",
    b"Bearer",
    b"Bearer il-serve",
    b"Bearer il-server\t1",
    b"Bearer il-server il-server",
    b"Basic aWwtc2VydmVyOg==",
    b"Bearer null",
    b"bearer undefined",
)
PUBLIC = {"/healthz", "/ui/static/{name}", "/ui/enter", "/ui/login"}
"""What anybody may see; a new address is closed, or has to be added."""


@pytest.mark.requirement("SG-05", "SG-09")
async def test_no_address_opens_without_a_key(place: Town):
    async with httpx2.AsyncClient(base_url=place.url, timeout=120) as client:
        for at, route in enumerate(place.routes):
            values = {**aimed(route, place.things), "name": "nothing.css"}
            for method in sorted((route.methods or {"POST"}) - {"HEAD"}):
                presented = NO_KEYS[at % len(NO_KEYS)]
                for own in {presented, b""}:
                    headers = [(b"authorization", own)] if own else []
                    status, text, _ = await answer(client, method, filled(route.path, values), json={}, headers=headers)
                    assert CANARY not in text
                    if route.path not in PUBLIC:
                        to_door = status == 303 and route.path.startswith("/ui")
                        assert status in (401, 403) or to_door, (
                            f"{method} {route.path} answers {status} to {own!r}: {text[:200]}"
                        )
