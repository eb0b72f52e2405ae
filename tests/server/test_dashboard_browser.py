"""The dashboard in a real browser, where one is installed: it draws, obeys its own policy, and its keys work."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from interlock.core.time import SystemClock

from .dashboard_kit import long_task, waiting_task, workspace, write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")
ENTRANCE = re.compile(rb"(http://[\d.:]+)(/ui/enter\?once=\S+)")
LONG = "tsk_long01"
MORE = ("/ui/incidents", "/ui/pnl?span=7d", f"/ui/tasks/{LONG}/compare")


@asynccontextmanager
async def serving(root: Path) -> AsyncGenerator[tuple[str, str]]:
    """The address of a server process, and the path that opens its dashboard once."""
    command = [str(Path(sys.executable).with_name("interlock")), "serve", "-w", str(root), "--port", "0"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while (found := ENTRANCE.search(line := await process.stderr.readline())) is None:
                assert line, "the server ended before it said where the dashboard is"
        yield found[1].decode(), found[2].decode()
    finally:
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
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
    async with serving(root) as (address, entrance):
        home, first = await visit(tmp_path / "profile", address + entrance)
        trace, second = await visit(tmp_path / "profile", f"{address}/ui/tasks/{LONG}")
        more = [await visit(tmp_path / "profile", address + path) for path in MORE]

    assert "Is anything wrong?" in home
    assert trace.count('class="row') > 80
    assert "<title>taken" not in trace
    assert (first, second) == ("", "")
    assert [said for _, said in more] == [""] * len(MORE)
    assert all("<title>taken" not in page and "</main>" in page for page, _ in more)
