"""Real processes are killed with sealed work under way: nothing of it can be read where it lies, and another process goes on with it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from asyncio import run
from pathlib import Path

import pytest

from interlock.app import Interlock
from interlock.cli.main import main
from interlock.core.store import TaskFilter
from interlock.testing.upstream import Answer, Upstream, in_turn
from tests.words import places_of

WORD = "canary-kill-31f0"
KEY, NEW = "00" * 31 + "07", "00" * 31 + "08"
TOOLS = """
import sys, time
from pathlib import Path
from interlock import ToolContext, tool

@tool(name="pay", effect="idempotent")
def pay(to: str, ctx: ToolContext) -> dict:
    if Path(ctx.workspace, "hang").exists():
        print("paying", flush=True)
        time.sleep(60)  # killed long before: it hangs as a vendor does
    return {"paid": to}
"""
CONTRACT = """
agent:
  name: helper
  model: openai/gpt-4o-mini
  logging: {store_prompts: encrypted}
  tools: [{name: pay, timeout_ms: 100000}]
"""
WORKS = """
import asyncio, sys
from interlock.app import Interlock
from interlock.core.store import TaskFilter

async def work():
    async with Interlock.from_file(sys.argv[1]) as il:
        if sys.argv[2] == "task":
            await il.run("helper", {"text": sys.argv[3]}, user="ada")
        elif sys.argv[2] == "resume":
            await il.resume(il.reader.tasks(TaskFilter(kind="task"))[0].task)
        else:
            print("open", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            await il.chat("gpt-4o-mini", sys.argv[3])
            print("answered", flush=True)
            await asyncio.sleep(60)

asyncio.run(work())
"""


def write(root: Path, base_url: str, keys: str = f"master_key: '{KEY}'") -> None:
    (root / "agents").mkdir(exist_ok=True)
    (root / "agents" / "helper.yaml").write_text(CONTRACT)
    (root / "tools.py").write_text(TOOLS)
    (root / "interlock.yaml").write_text(
        f"tenant: acme\nencryption: {{{keys}}}\nlogging: {{store_prompts: encrypted}}\n"
        f"providers: {{openai: {{base_url: '{base_url}', api_key: k}}}}\n"
    )


async def killed(root: Path, what: str, until: str, *answers: Answer, locked: bool = False) -> None:
    """Another process works until it says `until`, and is killed then. `locked`: it can write nothing into the store once it has started."""
    async with Upstream(in_turn(*answers)) as upstream:
        write(root, upstream.base_url)
        command = [sys.executable, "-c", WORKS, str(root), what, f"Pay {WORD}."]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        assert process.stdout is not None
        assert process.stdin is not None
        lock: sqlite3.Connection | None = None
        if locked:
            await said_by(process.stdout, "open")
            lock = sqlite3.connect(root / ".interlock" / "interlock.db", isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
        process.stdin.write(b"go on\n")
        await said_by(process.stdout, until)
        process.kill()
        await process.wait()
        if lock is not None:
            lock.close()


async def said_by(out: asyncio.StreamReader, word: str) -> None:
    line = b""
    while word.encode() not in line:
        line = await out.readline()
        assert line, "it ended by itself"


async def resumed(root: Path, keys: str) -> str:
    async with Upstream(in_turn(Answer(text=f"Paid to {WORD}."))) as upstream:
        write(root, upstream.base_url, keys)
        async with Interlock.from_file(root) as il:
            (task,) = il.reader.tasks(TaskFilter(kind="task"))
            result = await il.resume(task.task)
            assert result is not None
            return f"{result.outcome}: {result.answer}"


def asks() -> Answer:
    return Answer(tool_calls=(("pay", json.dumps({"to": WORD})),))


@pytest.mark.requirement("SG-08")
def test_a_task_of_a_killed_process_is_gone_on_with_under_new_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "hang").touch()
    run(killed(tmp_path, "task", "paying", asks()))
    (tmp_path / "hang").unlink()
    assert places_of(WORD, tmp_path) == []
    assert main(["vault", "rotate", "-w", str(tmp_path)]) == 0
    both = f"master_key: '{NEW}', previous: ['{KEY}']"
    write(tmp_path, "http://127.0.0.1:9", both)
    assert main(["vault", "rewrap", "-w", str(tmp_path)]) == 0
    capsys.readouterr()
    assert run(resumed(tmp_path, f"master_key: '{NEW}'")) == f"resolved: Paid to {WORD}."
    assert places_of(WORD, tmp_path) == []


@pytest.mark.requirement("SG-08")
def test_a_task_whose_key_is_missing_is_not_gone_on_with_and_harmed(tmp_path: Path):
    (tmp_path / "hang").touch()
    run(killed(tmp_path, "task", "paying", asks()))
    (tmp_path / "hang").unlink()
    keyring = tmp_path / ".interlock" / "keyring.json"
    aside = keyring.read_bytes()
    keyring.unlink()
    command = [sys.executable, "-c", WORKS, str(tmp_path), "resume"]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "is not the keyring that this store is sealed with" in failed.stderr
    keyring.write_bytes(aside)
    assert run(resumed(tmp_path, f"master_key: '{KEY}'")) == f"resolved: Paid to {WORD}.", "with the key it ends well"


@pytest.mark.requirement("SG-08")
def test_the_journal_of_a_killed_process_holds_no_word_and_loses_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run(killed(tmp_path, "chat", "answered", Answer(text=f"{WORD} is paid"), locked=True))
    journals = [path for path in (tmp_path / ".interlock").iterdir() if "flight" in path.name]
    assert any(b"~sealed" in path.read_bytes() for path in journals), "the call stands there"
    assert places_of(WORD, tmp_path) == []
    run(looked(tmp_path))
    assert places_of(WORD, tmp_path) == []
    rows = json.loads(_said(capsys, "tasks", "--json", "-w", str(tmp_path)))
    traces = [_said(capsys, "trace", row["task"], "-w", str(tmp_path)) for row in rows]
    assert sum(f"{WORD} is paid" in trace for trace in traces) == 1


async def looked(root: Path) -> None:
    """A start, which settles what was left behind."""
    async with Interlock.from_file(root):
        pass


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out
