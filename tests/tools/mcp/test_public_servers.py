"""MCP servers that others published, in the sandbox and through the tool walk. `make interop-mcp` installs them, pinned, and runs this."""

import os
import subprocess
from pathlib import Path

import pytest

from interlock.app import Interlock
from interlock.app.mcp import pin
from interlock.config.load import load
from interlock.core.caller import Caller
from interlock.tools.call import ToolRequest
from tests.sandbox import kit

FOLDER = os.environ.get("INTERLOCK_MCP_SERVERS", "")
pytestmark = [
    pytest.mark.requirement("TL-02"),
    pytest.mark.skipif(not FOLDER, reason="public MCP servers are installed by `make interop-mcp`"),
]
CONTRACT = "agent: {name: a, model: simulated/mid, tools: [{name: clock.get_current_time}, {name: git.git_log}, {name: git.git_show}]}"


def workspace(root: Path, repository: Path) -> Path:
    programs = Path(FOLDER).resolve() / "bin"
    given = '{GIT_CONFIG_COUNT: "1", GIT_CONFIG_KEY_0: safe.directory, GIT_CONFIG_VALUE_0: "*"}'
    (root / "interlock.yaml").write_text(
        "mcp:\n  servers:\n"
        f"    clock: {{command: [{programs}/mcp-server-time], effects: {{get_current_time: none}}}}\n"
        f"    git: {{command: [{programs}/mcp-server-git], env: {given}, reads: [{repository}], effects: {{git_log: none}}}}\n"
    )
    (root / "agents").mkdir()
    (root / "agents" / "a.yaml").write_text(CONTRACT)
    return root


async def test_two_servers_of_the_package_index_are_pinned_and_called_and_see_only_what_they_are_shown(tmp_path: Path):
    kit.require_namespaces()
    shown, hidden = tmp_path / "shown", tmp_path / "hidden"
    for repository in (shown, hidden):
        named = ["git", "-c", "user.name=mia", "-c", "user.email=mia@example.com"]
        subprocess.run(["git", "init", "-q", repository], check=True)
        subprocess.run([*named, "commit", "-q", "--allow-empty", "-m", "first of all"], cwd=repository, check=True)
    (tmp_path / "w").mkdir()
    root = workspace(tmp_path / "w", shown)
    changes = await pin(load(root), [])
    async with Interlock.from_file(root) as il:

        async def ask(name: str, **arguments: str):
            request = ToolRequest(name, dict(arguments), f"k-{name}-{arguments}")
            return await il.desk.call(Caller("default", task="tsk_1"), request, il.contracts["a"].grants)

        time = await ask("clock.get_current_time", timezone="Europe/Berlin")
        log = await ask("git.git_log", repo_path=str(shown))
        none = await ask("git.git_log", repo_path=str(hidden))

    assert {"get_current_time: new"} <= set(changes["clock"])
    assert time.content["result"]["timezone"] == "Europe/Berlin"
    assert "first of all" in str(log.content["result"])
    assert none.settled.status == "error"
    assert "first of all" not in str(none.content)
    assert time.settled.reasons[0].startswith("sandbox: level namespaces")
