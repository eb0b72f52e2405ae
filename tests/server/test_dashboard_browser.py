"""The dashboard in a real browser, where one is installed: it draws, obeys its own policy, and its keys work."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from interlock.app import Interlock
from interlock.core.circuits import CircuitChange
from interlock.core.time import SystemClock
from interlock.storage import SqliteStore
from interlock.testing.upstream import Answer, Upstream, in_turn
from tests.app.conftest import Folder, contract_folder

from .chromium import CHROMIUM, browsing
from .dashboard_kit import TENANT, long_task, waiting_task, workspace, write

__all__ = ["contract_folder"]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")
ENTRANCE = re.compile(rb"(http://[\d.:]+)(/ui/enter\?once=\S+)")
LONG = "tsk_long01"
MORE = ("/ui/incidents", "/ui/pnl?span=7d", f"/ui/tasks/{LONG}/compare", "/ui/models?span=7d", "/ui/quality")


@asynccontextmanager
async def serving(root: Path) -> AsyncGenerator[tuple[str, str]]:
    """The address of a server process, and the path that opens its dashboard once."""
    command = [str(Path(sys.executable).with_name("interlock")), "serve", "-w", str(root), "--port", "0"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            while (found := ENTRANCE.search(line := await process.stderr.readline())) is None:
                assert line, "the server ended before it said where the dashboard is"
        yield found[1].decode(), found[2].decode()
    finally:
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await process.communicate()


async def visit(profile: Path, address: str) -> tuple[str, str]:
    """The page as it is after its scripts have run, and what the browser's console said."""
    assert CHROMIUM is not None
    switches = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --enable-logging=stderr"
    )
    wanted = [*switches.split(), f"--user-data-dir={profile}", "--virtual-time-budget=2000", "--dump-dom", address]
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *wanted, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        page, said = await process.communicate()
    return page.decode(), "\n".join(line for line in said.decode(errors="replace").splitlines() if "CONSOLE" in line)


@pytest.mark.requirement("OB-02", "OB-08")
async def test_a_browser_comes_in_and_draws_a_trace_of_eighty_steps_without_breaking_the_policy(tmp_path: Path):
    now = SystemClock().wall_ns()
    root = workspace(tmp_path / "workspace")
    hostile = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    story = long_task(LONG, now - 10**12, lambda own: own + hostile)
    write(root, story, waiting_task("tsk_wait01", now))
    with closing(SqliteStore.open(root / ".interlock" / "interlock.db")) as store:
        store.circuits.add([CircuitChange(now - 10**12, TENANT, f"far{hostile}:b:1:1", 1, "v/m", "open", hostile)])
    async with serving(root) as (address, entrance):
        home, first = await visit(tmp_path / "profile", address + entrance)
        trace, second = await visit(tmp_path / "profile", f"{address}/ui/tasks/{LONG}")
        step, third = await visit(tmp_path / "profile", f"{address}/ui/tasks/{LONG}?step=2")
        more = [await visit(tmp_path / "profile", address + path) for path in MORE]

    assert "Is anything wrong?" in home
    assert trace.count('class="row') > 80
    assert "<title>taken" not in trace
    assert all(words in step for words in ("plan 0", "expected success 0.81", "900 input × $0.15/M", "$0.000223"))
    assert (first, second, third) == ("", "", "")
    assert [said for _, said in more] == [""] * len(MORE)
    assert all("<title>taken" not in page and "</main>" in page for page, _ in more)
    assert more[3][0].count('<svg class="lane"') == 1


@pytest.mark.requirement("OB-08", "AG-08")
async def test_somebody_keeps_a_view_forks_a_task_sees_both_runs_leaves_and_signs_in_with_a_mouse(
    contract_folder: Folder, tmp_path: Path
):
    good = Answer(text=json.dumps({"sku": "A1", "quantity": 2}))
    more = Answer(text=json.dumps({"sku": "A1", "quantity": 7}))
    async with Upstream(in_turn(good, more, more)) as upstream:
        contract_folder.provider("openai", upstream.base_url)
        async with Interlock.from_file(contract_folder.root) as il:
            task = (await il.run("agent_contract", {"text": "two of A1"})).task
        async with serving(contract_folder.root) as (address, entrance), browsing(tmp_path / "profile") as tab:
            await tab.go(address + entrance)
            await tab.go(f"{address}/ui/tasks?kind=task")
            await tab.follow(
                "document.querySelector('.views input[name=name]').value = 'mine'; document.querySelector('.views button').click()"
            )
            views = await tab.run("document.querySelector('.views').innerText")
            await tab.go(f"{address}/ui/tasks/{task}")
            await tab.follow("document.querySelector('a[href*=\"/again\"]').click()")
            replayed = await tab.run("document.querySelector('main').innerText")
            await tab.follow(
                "document.querySelector('textarea[name=prompt]').value = 'Be generous.'; document.querySelector('main form .primary').click()"
            )
            beside = await tab.run("document.querySelector('main').innerText")
            where = await tab.run("location.pathname + location.search")
            await tab.go(f"{address}/ui/audit?action=task.operated")
            noted = await tab.run("document.querySelector('main').innerText")
            await tab.follow("document.querySelector('form[action=\"/ui/logout\"] button').click()")
            outside = await tab.run("location.pathname")
            key = (contract_folder.root / ".interlock" / "server.key").read_text().strip()
            await tab.follow(
                f"document.querySelector('input[name=key]').value = '{key}'; document.querySelector('form button').click()"
            )
            inside = await tab.run("location.pathname")

    assert (outside, inside) == ("/ui/login", "/ui")
    assert "mine" in views
    assert "came out as recorded" in replayed
    assert tab.questions == ["Fork this task? Models are really asked, and cost money."]
    assert where.startswith(f"/ui/tasks/{task}/compare?with=tsk_")
    assert '"quantity": 2' in beside
    assert '"quantity": 7' in beside
    assert "fork at 1, another prompt, effects held back" in noted
    assert tab.complaints == []
