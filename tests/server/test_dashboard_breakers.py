"""A vendor fails, is left alone, is asked again: what became of its breakers stands on the pages and in the metrics, after a restart and of other processes too."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from interlock.app import Interlock
from interlock.app.taskdesk import TaskDesk
from interlock.config.load import load
from interlock.core.caller import Caller, Secret
from interlock.core.circuits import CircuitChange
from interlock.core.errors import CircuitOpen, InterlockError
from interlock.core.ids import SystemIds
from interlock.server.asgi import ColdApp
from interlock.server.auth import Keys
from interlock.server.dashboard import Dashboard
from interlock.testing.clock import FakeClock
from interlock.testing.upstream import Answer, Upstream, in_turn

from .dashboard_kit import HOST, KEY, RIVAL, TENANT

FILES = """\
tenant: {tenant}
providers: {{one: {{dialect: openai, base_url: "{url}", api_key: k}}}}
models: {{support: one/m}}
resilience:
  retries: {{max_tries: 1}}
  circuit: {{consecutive: 2, cool_s: 60, cool_max_s: 60}}
"""
DOWN = Answer(status=503, text="overloaded, said the vendor with a secret in it")
ELSEWHERE = """\
import asyncio, contextlib, sys
from interlock import Interlock
from interlock.core.errors import InterlockError

async def main():
    async with Interlock.from_file(sys.argv[1]) as il:
        for _ in range(2):
            with contextlib.suppress(InterlockError):
                await il.chat("support", "Where is it?")

asyncio.run(main())
"""
Pages = tuple[Interlock, httpx2.AsyncClient]


@asynccontextmanager
async def served(root: Path, clock: FakeClock) -> AsyncGenerator[Pages]:
    async with Interlock(load(root, {}), clock=clock) as il:
        callers = {Secret(KEY): Caller(TENANT, key_id="server"), Secret(RIVAL): Caller("rival", key_id="rival")}
        made = Dashboard(il, TaskDesk(il.agents, il.reader), Keys(callers, None), clock)
        app = ColdApp(SystemIds(clock), made.routes(), [])
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=HOST) as browser:
            yield il, browser


async def seen(pages: Pages, path: str, key: str = KEY) -> Any:
    """The twin, once everything that waits is on record."""
    il, browser = pages
    await il.ground.recorder.run(lambda _: None)
    return (await browser.get(path, headers={"authorization": f"Bearer {key}"})).json()


async def outage(pages: Pages, clock: FakeClock) -> None:
    """Two calls fail, one is not even tried, and a minute later the vendor answers."""
    il, _ = pages
    for _ in range(2):
        with pytest.raises(InterlockError):
            await il.chat("support", "Where is it?")
    with pytest.raises(CircuitOpen):
        await il.chat("support", "Where is it?")
    clock.advance(60)
    await il.chat("support", "Where is it?")


def counted(il: Interlock) -> dict[tuple[str, ...], float]:
    families = {each.name: each for each in il.watching().instruments.collect()}
    return dict(families["interlock_breaker_changes"].samples)  # pyright: ignore[reportReturnType]


@pytest.mark.requirement("OB-04", "OB-08", "GW-26")
async def test_an_outage_stands_on_the_pages_with_its_reasons_and_is_there_after_a_restart(tmp_path: Path):
    clock = FakeClock()
    async with Upstream(in_turn(DOWN, DOWN, Answer())) as vendor:
        (tmp_path / "interlock.yaml").write_text(FILES.format(url=vendor.base_url, tenant=TENANT))
        async with served(tmp_path, clock) as pages:
            await outage(pages, clock)
            clock.advance(600)
            first = (await seen(pages, "/ui/models.json?span=24h"))["breakers"]
            home = await seen(pages, "/ui/home.json")
            html = (await pages[1].get("/ui/models?span=24h", headers={"authorization": f"Bearer {KEY}"})).text
            theirs = await seen(pages, "/ui/models.json", RIVAL)
        async with served(tmp_path, clock) as pages:
            again = (await seen(pages, "/ui/models.json?span=24h"))["breakers"]
            counts = await asyncio.to_thread(counted, pages[0])

    reasons = [(each["state"], each["reason"]) for each in reversed(first["changes"])]
    assert reasons == [
        ("open", "2 failures in a row, the last: upstream_refused"),
        ("half_open", "cooled down for 60 s; one probe goes out"),
        ("closed", "its probe was answered"),
    ]
    (lane,) = first["lanes"]
    assert (lane["deployment"], lane["state"], lane["opened"], lane["away_s"]) == ("one/m", "closed", 1, 60.0)
    assert {bar["state"] for bar in lane["bars"]} == {"open"}
    assert (home["away"]["n"], home["elsewhere"]) == (3, [])
    assert f"one/m in {lane['process']}: opened 1 time, 60.0 s in all; closed now" in html
    assert html.count("its probe was answered") == 1
    assert "secret" not in str(first)
    assert theirs["breakers"]["lanes"] == theirs["breakers"]["changes"] == []
    assert (again["lanes"], again["changes"]) == (first["lanes"], first["changes"])
    assert counts == {(TENANT, "one/m", state): 1 for state in ("open", "half_open", "closed")}


@pytest.mark.requirement("OB-08", "GW-26")
async def test_what_other_processes_saw_stands_beside_it_and_on_home_while_it_lasts(tmp_path: Path):
    clock = FakeClock()
    async with Upstream(in_turn(DOWN, DOWN, Answer(), DOWN)) as vendor:
        (tmp_path / "interlock.yaml").write_text(FILES.format(url=vendor.base_url, tenant=TENANT))
        async with served(tmp_path, clock) as pages:
            await outage(pages, clock)
            await seen(pages, "/ui/home.json")
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", ELSEWHERE, str(tmp_path))
        assert await child.wait() == 0
        async with served(tmp_path, clock) as pages:
            page = (await seen(pages, "/ui/models.json?span=all"))["breakers"]
            far = CircuitChange(clock.wall_ns(), TENANT, "far:b:7:1", 1, "one/m", "open", "8 failures in a row")
            await pages[0].ground.recorder.run(lambda store: store.circuits.add([far]))
            now = await seen(pages, "/ui/home.json")
            text = (await pages[1].get("/ui", headers={"authorization": f"Bearer {KEY}"})).text
            clock.advance(2 * 3600)
            later = await seen(pages, "/ui/home.json")

    here, there = (next(lane for lane in page["lanes"] if lane["state"] == state) for state in ("closed", "gone"))
    assert here["process"] != there["process"]
    assert there["process"].endswith(f":{child.pid}")
    assert [each["state"] for each in page["changes"] if each["process"] == there["process"]] == ["gone", "open"]
    assert (now["elsewhere"], later["elsewhere"]) == (["one/m is open in far:7"], [])
    assert '<div class="bad">one/m is open in far:7</div>' in text
