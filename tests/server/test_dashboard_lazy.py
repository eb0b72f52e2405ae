"""The pages are made for their first visitor."""

import asyncio

import pytest
from httpx2 import ASGITransport, AsyncClient
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from interlock.server.dashboard import Pages


async def _page(_request: Request) -> Response:
    return Response("a page")


async def test_first_visitors_who_come_together_get_the_same_pages():
    made: list[int] = []

    def routes() -> list[BaseRoute]:
        made.append(1)
        return [Route("/ui", _page)]

    async with AsyncClient(transport=ASGITransport(app=Pages(routes)), base_url="http://here") as browser:
        seen = await asyncio.gather(*(browser.get("/ui") for _ in range(5)))
        lost = await browser.get("/ui/nowhere")

    assert ([each.text for each in seen], lost.status_code, made) == (["a page"] * 5, 404, [1])


async def test_pages_that_could_not_be_made_are_tried_again_for_the_next_visitor():
    failures = [RuntimeError("the disk is away")]

    def routes() -> list[BaseRoute]:
        if failures:
            raise failures.pop()
        return [Route("/ui", _page)]

    async with AsyncClient(transport=ASGITransport(app=Pages(routes)), base_url="http://here") as browser:
        with pytest.raises(RuntimeError, match="disk"):
            await browser.get("/ui")
        assert (await browser.get("/ui")).text == "a page"
