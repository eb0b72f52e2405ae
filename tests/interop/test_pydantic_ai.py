"""Pydantic AI itself, on its public interface for durable engines, killed between steps. Needs an environment of its own: `make interop-frameworks`."""

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from interlock.core.errors import InvalidRequest
from interlock.core.store import TaskFilter
from interlock.plugins.engines.pydantic_ai import durability
from interlock.storage import SqliteStore

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("INTERLOCK_FRAMEWORKS", ROOT / "build/frameworks")) / "bin/python"
STEPS = 7


def run(folder: Path, fatal: int) -> subprocess.CompletedProcess[str]:
    ours = sysconfig.get_paths()["purelib"]
    command = [PYTHON, "-m", "tests.interop.pydantic_agent", str(folder), str(fatal), ours]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.requirement("AG-04", "AG-13")
def test_an_agent_of_pydantic_ai_killed_after_each_of_its_steps_makes_no_call_twice(tmp_path: Path):
    if not PYTHON.exists():
        pytest.skip(f"{PYTHON} is not there: make interop-frameworks")
    for _ in range(STEPS):
        killed = run(tmp_path, 1)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    ended = run(tmp_path, 0)
    assert ended.stdout == "paid for A1\n", ended.stderr
    assert run(tmp_path, 0).stdout == "paid for A1\n", "a task that is over gives its steps again"
    calls = (tmp_path / "calls.log").read_text().split()
    assert calls == ["model", "look", "model", "stock", "model", "pay", "model"]
    store = SqliteStore.open(tmp_path / "interlock.db")
    [row] = store.tasks.list(TaskFilter())
    store.close()
    assert (row.workflow, row.outcome, row.model_calls, row.tool_calls) == ("refunds", "resolved", 4, 3)


@pytest.mark.skipif("pydantic_ai" in sys.modules, reason="it is installed")
def test_without_the_package_it_says_what_to_install():
    with pytest.raises(InvalidRequest, match="not installed"):
        durability()
