"""The sandbox through the public face: `code.run`, `shell.run` and isolated functions, as tools that a contract names."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interlock import Interlock
from interlock.core.caller import Caller
from interlock.core.errors import SandboxRefused
from interlock.tools.call import ToolReply
from interlock.tools.line import ToolRequest

from . import kit

CONTRACT = """
agent:
  name: analyst
  model: simulated/simulated
  tools:
    - {name: code.run, timeout_ms: 30000}
    - {name: shell.run, timeout_ms: 30000}
    - {name: away, timeout_ms: 30000}
    - {name: here, timeout_ms: 30000}
"""
TOOLS = """
import os
from interlock import ToolContext, ToolError, tool

@tool(isolated=True, effect="none")
def away(number: int, ctx: ToolContext) -> dict[str, object]:
    if number < 0:
        raise ToolError("negative", "number is negative", hint="Use a larger one.")
    if number > 99:
        raise SystemError("broken")
    try:
        os.stat("/var")
        seen = True
    except OSError:
        seen = False
    return {"twice": number * 2, "pid": os.getpid(), "sees_host": seen, "task": ctx.task}

@tool(effect="none")
def here() -> int:
    return os.getpid()
"""


@pytest.fixture
async def analyst(tmp_path: Path) -> AsyncIterator[Interlock]:
    kit.require_namespaces()
    write(tmp_path)
    async with Interlock.from_file(tmp_path) as running:
        yield running


def write(root: Path, policy: str = "sandbox: {spares: 0}\n") -> None:
    (root / "interlock.yaml").write_text(policy)
    (root / "tools.py").write_text(TOOLS)
    (root / "agents").mkdir(exist_ok=True)
    (root / "agents" / "analyst.yaml").write_text(CONTRACT)


async def call(
    running: Interlock, name: str, *, task: str = "tsk_1", tenant: str = "default", **arguments: object
) -> ToolReply:
    grants = running.contracts["analyst"].grants
    return await running.desk.call(
        Caller(tenant, task=task), ToolRequest(name, arguments, key=f"k-{task}-{arguments}"), grants
    )


@pytest.mark.requirement("TL-07")
async def test_code_keeps_its_state_within_a_task_and_shares_it_with_no_other(analyst: Interlock):
    await call(analyst, "code.run", code="x = 20")

    same = await call(analyst, "code.run", code="x + 1")
    other_task = await call(analyst, "code.run", task="tsk_2", code="x")
    other_tenant = await call(analyst, "code.run", tenant="b", code="x")

    assert same.content["result"]["value"] == 21
    assert "NameError" in other_task.content["result"]["error"]
    assert "NameError" in other_tenant.content["result"]["error"]


LOOK = """
import glob, os
words = []
for each in [*glob.glob('/tmp/**', recursive=True), *glob.glob(os.path.expanduser('~/**'), recursive=True), *glob.glob('./**', recursive=True)]:
    try:
        words.append(each + open(each).read())
    except OSError:
        words.append(each)
for each in os.listdir('/proc'):
    if each.isdigit():
        try:
            words.append(open(f'/proc/{each}/cmdline').read() + open(f'/proc/{each}/environ').read())
        except OSError:
            pass
len([each for each in (*words, *map(str, os.environ.items())) if 'canary' + '-5e' in each]), len(words) > 3
"""


@pytest.mark.requirement("SG-05", "TL-07")
async def test_what_one_tenants_code_leaves_is_in_no_sandbox_of_another(analyst: Interlock):
    leave = "import os\nfor place in ('kept.txt', '/tmp/canary-5e.txt'):\n    open(place, 'w').write('canary-5e')\nos.environ['LEFT'] = 'canary-5e'\nx = 'canary-5e'"
    assert (await call(analyst, "code.run", code=leave)).content["result"]["status"] == "ok"
    seen = await call(analyst, "code.run", code=LOOK)
    assert seen.content["result"]["value"][0] >= 1, "its own task finds it"

    for task in ("tsk_1", "tsk_2"):
        other = await call(analyst, "code.run", task=task, tenant="b", code=LOOK)
        assert other.content["result"]["value"] == [0, True], task
        shell = await call(
            analyst, "shell.run", task=task, tenant="b", command="grep -rl canary-5e . /tmp 2>/dev/null | wc -l"
        )
        assert shell.content["result"]["stdout"].strip() == "0"


@pytest.mark.requirement("TL-07")
async def test_a_session_survives_a_restart_of_the_gateway(tmp_path: Path):
    kit.require_namespaces()
    write(tmp_path)
    async with Interlock.from_file(tmp_path) as first:
        await call(first, "code.run", code="import collections\nseen = collections.Counter('aab')")

    async with Interlock.from_file(tmp_path) as second:
        reply = await call(second, "code.run", code="seen['a']")

    assert reply.content["result"]["value"] == 2
    journals = list((tmp_path / ".interlock" / "sessions").iterdir())
    assert [each.stat().st_mode & 0o077 for each in journals] == [0]


@pytest.mark.requirement("TL-07")
async def test_cells_of_one_turn_belong_to_one_session(analyst: Interlock):
    await asyncio.gather(*(call(analyst, "code.run", code=f"x{n} = {n}") for n in range(4)))

    reply = await call(analyst, "code.run", code="x0 + x1 + x2 + x3")

    assert reply.content["result"]["value"] == 6


async def test_what_a_session_keeps_of_its_cells_is_bounded(
    analyst: Interlock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("interlock.app.cells._MOST_JOURNAL_BYTES", 40)
    for n in range(5):
        await call(analyst, "code.run", code=f"x{n} = {n}")

    [journal] = (tmp_path / ".interlock" / "sessions").iterdir()
    assert len(journal.read_text().splitlines()) == 3


@pytest.mark.requirement("TL-07")
async def test_files_of_a_cell_are_kept_beside_the_workspace(analyst: Interlock, tmp_path: Path):
    reply = await call(analyst, "code.run", code="open('table.csv', 'w').write('a,b')")

    (file,) = reply.content["result"]["files"]
    assert (tmp_path / file["path"]).read_text() == "a,b"


@pytest.mark.requirement("TL-03")
async def test_the_event_of_a_call_says_how_it_was_isolated_and_what_ended_it(analyst: Interlock):
    reply = await call(analyst, "shell.run", command="echo out; echo err >&2; exit 3")
    bomb = await call(analyst, "code.run", task="tsk_9", code="x = bytearray(1 << 40)")

    told = reply.content["result"]
    level = told.pop("isolation")
    assert told == {"status": "ok", "stdout": "out\n", "stderr": "err\n", "exit_code": 3}
    assert level.startswith("namespaces")
    assert reply.settled.reasons == (f"sandbox: level {level}",)
    assert bomb.settled.reasons == (f"sandbox: level {level}", "sandbox: ended by memory")


@pytest.mark.requirement("TL-03")
async def test_an_isolated_function_runs_elsewhere_and_answers_as_if_it_were_here(analyst: Interlock):
    away = (await call(analyst, "away", number=21)).content["result"]
    here = (await call(analyst, "here")).content["result"]
    refused = (await call(analyst, "away", number=-1)).content["error"]
    broken = await call(analyst, "away", number=100)

    assert away == {"twice": 42, "pid": 1, "sees_host": False, "task": "tsk_1"}
    assert here > 1
    assert (refused["code"], refused["message"], refused["hint"]) == (
        "negative",
        "number is negative",
        "Use a larger one.",
    )
    assert broken.settled.status == "error"
    assert "SystemError: broken" in broken.settled.message


@pytest.mark.requirement("TL-03")
async def test_arguments_are_checked_before_anything_is_started(analyst: Interlock):
    reply = await call(analyst, "away", number="many")

    assert reply.settled.error == "invalid_arguments"
    assert reply.settled.reasons == ()


@pytest.mark.requirement("TL-03")
async def test_a_level_that_the_host_does_not_reach_is_refused_at_the_start(tmp_path: Path):
    write(tmp_path, "sandbox: {min_level: vm}\n")

    with pytest.raises(SandboxRefused, match="cannot isolate foreign code at level vm"):
        async with Interlock.from_file(tmp_path):
            pass


@pytest.mark.requirement("TL-06")
async def test_a_workspace_that_runs_no_foreign_code_starts_nothing(tmp_path: Path):
    write(tmp_path, "sandbox: {min_level: vm}\n")
    (tmp_path / "agents" / "analyst.yaml").write_text(
        "agent: {name: analyst, model: simulated/simulated, tools: [{name: here}]}"
    )

    async with Interlock.from_file(tmp_path) as running:
        reply = await call(running, "here")

    assert reply.settled.status == "ok"
    assert running._toolbox.sandboxed._sandbox is None


@pytest.mark.requirement("TL-05")
async def test_what_a_workspace_allows_is_what_code_reaches(tmp_path: Path):
    kit.require_namespaces()
    write(tmp_path, "sandbox: {network: true, spares: 0}\negress: {allow: [{host: allowed.test}]}\n")
    get = "import urllib.request, urllib.error\ntry:\n    urllib.request.urlopen('http://denied.test/', timeout=30)\nexcept urllib.error.HTTPError as e:\n    code = e.code\ncode"
    async with Interlock.from_file(tmp_path) as running:
        reply = await call(running, "code.run", code=get)

    assert reply.content["result"].get("value") == 403, json.dumps(reply.content)
    assert any("egress denied: GET denied.test:80/" in each for each in reply.settled.reasons), reply.settled.reasons


@pytest.mark.requirement("TL-09")
@pytest.mark.parametrize(("network", "error"), [("false", "sandbox_wall"), ("true", "unexpected_error")])
async def test_an_effect_that_a_limit_ended_is_in_doubt_where_it_could_reach_the_network(
    tmp_path: Path, network: str, error: str
):
    kit.require_namespaces()
    policy = f"sandbox: {{network: {network}, spares: 0, limits: {{wall_seconds: 1}}}}\n"
    write(tmp_path, policy + "egress: {allow: [{host: allowed.test}]}\n")
    waits = '\n@tool(isolated=True, effect="once")\ndef away() -> None:\n    while True:\n        pass\n'
    (tmp_path / "tools.py").write_text(
        TOOLS.replace('\n@tool(isolated=True, effect="none")\ndef away', "\ndef was_away") + waits
    )
    async with Interlock.from_file(tmp_path) as running:
        reply = await call(running, "away")

    assert (reply.settled.status, reply.settled.error) == ("error", error)
    assert any("ended by wall" in each for each in reply.settled.reasons)


@pytest.mark.requirement("TL-07")
async def test_calls_of_one_task_at_once_take_turns_and_only_cells_that_changed_something_are_kept(
    analyst: Interlock, tmp_path: Path
):
    await call(analyst, "code.run", code="seen = []")

    await asyncio.gather(
        *(call(analyst, "code.run", code=f"seen.append({n})") for n in range(3)),
        call(analyst, "code.run", code="import os; os._exit(1)"),
    )
    reply = await call(analyst, "code.run", code="sorted(seen)")

    assert reply.content["result"]["value"] == [0, 1, 2]
    (journal,) = (tmp_path / ".interlock" / "sessions").iterdir()
    assert "_exit" not in journal.read_text()


READS = """
from interlock import ToolContext, tool

@tool(isolated=True, effect="none", reads=("data/prices.csv",))
def away(number: int, ctx: ToolContext) -> dict[str, object]:
    found = (ctx.workspace / "data" / "prices.csv").read_text()
    (ctx.workspace / "data" / "prices.csv").write_text("changed")
    return {"found": found, "others": sorted(each.name for each in (ctx.workspace / "data").iterdir())}
"""


@pytest.mark.requirement("TL-03")
async def test_an_isolated_function_has_copies_of_the_files_that_it_reads_and_no_others(tmp_path: Path):
    kit.require_namespaces()
    write(tmp_path)
    (tmp_path / "tools.py").write_text(READS)
    (tmp_path / "agents" / "analyst.yaml").write_text(
        "agent: {name: analyst, model: simulated/simulated, tools: [{name: away, timeout_ms: 30000}]}"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "prices.csv").write_text("tent,279")
    (tmp_path / "data" / "secret.csv").write_text("canary")

    async with Interlock.from_file(tmp_path) as running:
        reply = await call(running, "away", number=1)

    assert reply.content["result"] == {"found": "tent,279", "others": ["prices.csv"]}
    assert (tmp_path / "data" / "prices.csv").read_text() == "tent,279"
