"""Embeddings on the walk: whose turn it is, and what tells one upstream call from another."""

import asyncio
from typing import Any

import pytest

from interlock.core.caller import Caller
from interlock.core.embed import EmbedRequest, EmbedResponse
from interlock.core.errors import Shed, UpstreamRejected
from interlock.core.money import Usage
from interlock.gateway.settings import Admission, Settings
from tests.gateway.kit import Bench, Scripted


class Embedder(Scripted):
    """Makes a vector of each text, once it may; refuses requests with a bad one."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.may = asyncio.Event()
        self.may.set()

    async def embed(self, _deployment: Any, request: EmbedRequest, _deadline: Any, key: str) -> EmbedResponse:
        self.asked.append((key, request.inputs))
        await self.may.wait()
        if "bad" in request.inputs:
            raise UpstreamRejected("no such input.", upstream_status=400)
        return EmbedResponse("small", (b"1234",) * len(request.inputs), Usage(input=3 * len(request.inputs)))


def embedding(bench: Bench, tenant: str, text: str) -> asyncio.Task[Any]:
    return asyncio.create_task(bench.gateway.embeddings.embed(Caller(tenant), EmbedRequest("fake/small", (text,))))


@pytest.mark.requirement("GW-28")
async def test_a_flood_of_one_tenants_embeddings_takes_no_place_in_line_from_another_tenant() -> None:
    provider = Embedder()
    provider.may.clear()
    bench = Bench(provider, Settings(admission=Admission(max_concurrent=1, max_waiting=2)))
    flood = [embedding(bench, "flood", f"text {number}") for number in range(3)]
    while bench.gateway.load() != (1, 2):
        await asyncio.sleep(0)
    other = embedding(bench, "other", "one text")
    while not flood[2].done():
        await asyncio.sleep(0)
    provider.may.set()
    ends = await asyncio.gather(*flood, other, return_exceptions=True)
    assert [isinstance(end, Shed) for end in ends] == [False, False, True, False]


@pytest.mark.requirement("GW-04")
async def test_no_two_bodies_bear_one_idempotency_key() -> None:
    provider = Embedder()
    bench = Bench(provider)
    ends = await asyncio.gather(
        *(embedding(bench, "acme", text) for text in ("one", "bad", "two")), return_exceptions=True
    )
    assert [isinstance(end, Exception) for end in ends] == [False, True, False]
    assert provider.asked[0][1] == ("one", "bad", "two")
    assert len({key for key, _ in provider.asked}) == len(provider.asked) == 4
