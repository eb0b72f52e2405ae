"""Whoever is shown what was said stands in the audit, whichever address shows it: each one is read from the router."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest
from starlette.routing import Route

from .tenants_kit import CANARY, town
from .test_tenants import aimed, answer, filled

NO_PROMPTS = {
    "/api/sessions/{session}",  # values that callers keep for themselves
    "/v1/files",  # names of files
    "/v1/files/{file}",
    "/ui/config",  # the workspace's own files: a schedule's input
    "/ui/config.json",
    "/ui/metrics.json",
}
"""Addresses that show the word, and are no reading of a prompt or an answer."""
OWN = ("/v1/responses", "/mcp")
"""What a key is shown of its own calls, and of nobody else's."""


@pytest.mark.requirement("SG-07")
async def test_every_address_that_shows_what_was_said_writes_down_who_reads_it(tmp_path: Path):
    async with town(tmp_path) as place, place.client("il-server") as server:
        routes = [each for each in place.routes if "GET" in (each.methods or {"GET"})]
        routes = [each for each in routes if not each.path.startswith(OWN) and each.path not in NO_PROMPTS]

        async def showing(client: httpx2.AsyncClient, route: Route) -> bool:
            _, text, _ = await answer(client, "GET", filled(route.path, aimed(route, place.things)))
            return CANARY in text

        async def written_down(route: Route) -> None:
            key, secret = await place.key_of("acme")  # a fresh one: the same reader is written down once an hour
            async with place.client(secret) as reader:
                await reader.post("/ui/login", data={"key": secret})
                assert await showing(reader, route)
            entries = (await server.get("/api/audit", params={"limit": "500"})).json()["entries"]
            deeds = [each["deed"] for each in entries if each["deed"]["who"] == key]
            assert "content.read" in [deed["action"] for deed in deeds], route.path

        async with place.client(place.owner) as owner:
            await owner.post("/ui/login", data={"key": place.owner})
            found = await asyncio.gather(*(showing(owner, each) for each in routes))
        shown = [route for route, shows in zip(routes, found, strict=True) if shows]
        await asyncio.gather(*(written_down(each) for each in shown))
    assert len(shown) > 8, "somebody was shown something"
    assert {"/v1/files/{file}/content", "/v1/messages/batches/{batch}/results"} <= {each.path for each in shown}
