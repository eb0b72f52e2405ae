"""What an isolated function may ask outside: declared statements of a database, in one transaction, and nothing else."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from interlock import Interlock, ToolError
from interlock.core.caller import Caller
from interlock.core.errors import ConfigError
from interlock.core.sandbox import Job, RunLimits, Sandbox
from interlock.tools.call import ToolReply
from interlock.tools.line import ToolRequest

from . import kit

pytestmark = pytest.mark.requirement("TL-03")

ASKS = "def ask(ctx):\n    return [ctx.ask('twice', n=n) for n in range(3)]"
RAW = """
import json, os
def ask(ctx):
    def send(body):
        os.write(3, b"A" + len(body).to_bytes(4, "big") + body)
    %s
    import time; time.sleep(30)
"""
TOOLS = """
import os, signal, time
from pathlib import Path
from interlock import Door, ToolContext, ToolError, tool

def fill(db, workspace: Path) -> None:
    db.execute("CREATE TABLE notes (key TEXT, owner TEXT, text TEXT)")
    db.execute("CREATE TABLE secrets (text TEXT)")
    db.execute("INSERT INTO secrets VALUES ('canary')")
    db.execute("INSERT INTO notes VALUES ('k0', 'ada', 'hers')")

SHOP = Door("shop.sqlite", statements="statements.sql", prepare=fill)

def known(text: str, ctx: ToolContext) -> object:
    found = ctx.ask("mine", key="another")
    return {"found": found, "pid": os.getpid()} if found else None

@tool(isolated=True, effect="reconcile", reconcile=known, door=SHOP, asks=("add", "mine"))
def note(text: str, ctx: ToolContext) -> object:
    ctx.ask("add", key="another", text=text)
    if text == "raise":
        raise ToolError("no", "no")
    if text == "die":
        os._exit(0)
    if text == "hang":
        time.sleep(60)
    return ctx.ask("mine")

@tool(isolated=True, effect="none", door=SHOP, asks=("add", "owned"))
def look(owner: str, what: str, ctx: ToolContext) -> object:
    told = []
    for name, values in (("add", {"text": "x"}), ("secret", {}), ("SELECT text FROM secrets", {}), ("owned", {"call_owner": "ada"})):
        try:
            told.append([name, ctx.ask(name, **values)])
        except ToolError as refused:
            told.append([name, refused.code])
    return {"told": told, "files": sorted(os.listdir(ctx.workspace))}
"""
STATEMENTS = """
-- name: add
INSERT INTO notes VALUES (:ctx_key, :ctx_user, :text);
-- name: mine
-- What this very call wrote.
SELECT key, text FROM notes WHERE key = :ctx_key;
-- name: owned
SELECT text FROM notes WHERE owner = :call_owner;
-- name: secret
SELECT text FROM secrets;
"""
CONTRACT = """
agent:
  name: keeper
  model: simulated/simulated
  tools: [{name: note, timeout_ms: 3000}, {name: look, timeout_ms: 30000}]
"""


def question(code: str, door: Any, **limits: Any) -> Job:
    given = RunLimits(**({"wall_s": 60.0, "cpu_s": 15} | limits))  # pyright: ignore[reportArgumentType]
    return Job("function", code, function="ask", context={"idempotency_key": "k"}, limits=given, door=door)


async def twice(name: str, values: dict[str, Any]) -> Any:
    if name != "twice":
        raise ToolError("not_open", f"no {name}")
    return values["n"] * 2


async def test_a_function_asks_one_question_after_another_and_the_door_answers(sandbox: Sandbox):
    outcome = await sandbox.run(question(ASKS, twice))
    refused = await sandbox.run(question("def ask(ctx):\n    ctx.ask('other')", twice))

    assert outcome.value == [0, 2, 4]
    assert refused.error is not None
    assert (refused.error.code, refused.error.message) == ("not_open", "no other")


async def test_a_door_that_fails_tells_nothing_of_the_host(sandbox: Sandbox):
    async def broken(name: str, values: dict[str, Any]) -> Any:
        raise RuntimeError("canary")

    outcome = await sandbox.run(question(ASKS, broken))

    assert outcome.error is not None
    assert outcome.error.code == "door_failed"
    assert "canary" not in repr(outcome)


async def test_more_questions_than_allowed_end_the_call(sandbox: Sandbox):
    endless = "def ask(ctx):\n    while True: ctx.ask('twice', n=1)"

    outcome = await sandbox.run(question(endless, twice, asks=5))

    assert (outcome.status, outcome.ended_by) == ("limit", "asks")


@pytest.mark.parametrize(
    "sends",
    [
        "send(json.dumps({'name': 'slow'}).encode()); send(json.dumps({'name': 'slow'}).encode())",
        "send(b'{')",
        "send(json.dumps({'name': 1}).encode())",
        "os.write(3, b'A' + bytes([255] * 4))",
    ],
)
async def test_questions_that_break_the_protocol_end_the_call_that_sent_them(sandbox: Sandbox, sends: str):
    async def slow(name: str, values: dict[str, Any]) -> Any:
        await asyncio.sleep(0.2)  # a worker's client reads the second question when it has answered the first

    outcome = await sandbox.run(question(RAW % sends, slow))

    assert (outcome.status, outcome.ended_by) == ("limit", "result")
    assert (await sandbox.run(question(ASKS, twice))).value == [0, 2, 4]


async def test_where_there_is_no_door_a_question_ends_the_call(sandbox: Sandbox):
    outcome = await sandbox.run(question(ASKS, None))

    assert (outcome.status, outcome.ended_by) == ("limit", "asks")


async def test_a_call_that_is_over_leaves_no_question_open(sandbox: Sandbox):
    left = asyncio.Event()

    async def hanging(name: str, values: dict[str, Any]) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    outcome = await sandbox.run(question(ASKS, hanging, wall_s=2))

    assert outcome.ended_by == "wall"
    async with asyncio.timeout(60):
        await left.wait()


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Interlock]:
    kit.require_namespaces()
    write(tmp_path)
    async with Interlock.from_file(tmp_path) as running:
        yield running


def write(root: Path) -> None:
    (root / "interlock.yaml").write_text("sandbox: {spares: 0}\n")
    (root / "tools.py").write_text(TOOLS)
    (root / "statements.sql").write_text(STATEMENTS)
    (root / "agents").mkdir()
    (root / "agents" / "keeper.yaml").write_text(CONTRACT)


async def call(running: Interlock, name: str, key: str = "k1", *, ask_first: bool = False, **given: str) -> ToolReply:
    request = ToolRequest(name, given, key=key, ask_first=ask_first)
    return await running.desk.call(Caller("default", user="bob", task="t"), request, running.contracts["keeper"].grants)


def notes(root: Path) -> list[Any]:
    db = sqlite3.connect(root / "shop.sqlite")
    found = db.execute("SELECT key, owner, text FROM notes WHERE key <> 'k0'").fetchall()
    db.close()
    return found


async def test_what_a_call_wrote_stays_when_it_returns_with_the_hosts_word_for_who_called(
    keeper: Interlock, tmp_path: Path
):
    reply = await call(keeper, "note", text="first")

    assert reply.content["result"] == [{"key": "k1", "text": "first"}]
    assert notes(tmp_path) == [("k1", "bob", "first")]


@pytest.mark.parametrize("way", ["raise", "die", "hang"])
async def test_what_a_call_wrote_is_taken_back_when_it_raises_dies_or_hangs(
    keeper: Interlock, tmp_path: Path, way: str
):
    reply = await call(keeper, "note", text=way)
    after = await call(keeper, "note", key="k2", text="second")

    assert reply.settled.status != "ok"
    assert after.settled.status == "ok"
    assert notes(tmp_path) == [("k2", "bob", "second")]


async def test_a_tool_without_effects_changes_nothing_and_asks_only_what_it_declares_about_whom_the_call_names(
    keeper: Interlock, tmp_path: Path
):
    reply = await call(keeper, "look", owner="nobody", what="x")

    told = dict(reply.content["result"]["told"])
    assert told == {
        "add": "statement_failed",
        "secret": "not_open",
        "SELECT text FROM secrets": "not_open",
        "owned": [],
    }
    assert "shop.sqlite" not in reply.content["result"]["files"]
    assert notes(tmp_path) == []


async def test_what_became_of_a_call_is_asked_in_the_sandbox_too(keeper: Interlock):
    await call(keeper, "note", text="first")

    reply = await call(keeper, "note", ask_first=True, text="first")

    assert reply.content["result"] == {"found": [{"key": "k1", "text": "first"}], "pid": 1}


async def test_a_statement_that_is_not_written_down_is_said_when_the_workspace_is_read(tmp_path: Path):
    write(tmp_path)
    (tmp_path / "statements.sql").write_text("-- name: mine\nSELECT 1;")

    with pytest.raises(ConfigError, match="no statement is called add"):
        async with Interlock.from_file(tmp_path):
            pass
