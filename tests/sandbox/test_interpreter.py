"""The code interpreter: values, sessions with state, files in and out, figures, shell, functions declared isolated."""

import asyncio
import hashlib
import os
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from interlock.core.errors import SandboxRefused, Shed
from interlock.core.sandbox import FileIn, Job, RunLimits, Sandbox
from interlock.sandbox.images import compile_missing
from interlock.sandbox.local import LocalSandbox
from interlock.sandbox.watch import processes

from . import kit

pytestmark = pytest.mark.requirement("TL-07")

ROOMY = RunLimits(wall_s=30, cpu_s=20, memory_bytes=512 << 20)


def cell(code: str, **fields: object) -> Job:
    return Job("code", code, **({"limits": kit.SHORT} | fields))  # pyright: ignore[reportArgumentType]


async def test_the_value_is_that_of_the_last_expression(sandbox: Sandbox):
    outcome = await kit.run(
        sandbox, "x = 20\nprint('said')\nimport sys; print('warned', file=sys.stderr)\n{'twice': x * 2, 'none': None}"
    )

    assert outcome.value == {"twice": 40, "none": None}
    assert (outcome.stdout, outcome.stderr) == ("said\n", "warned\n")
    assert outcome.stains in (("sandbox: level namespaces",), ("sandbox: level namespaces+cgroup",))


async def test_an_error_comes_back_with_the_codes_own_lines(sandbox: Sandbox):
    outcome = await kit.run(sandbox, "def f():\n    return 1 / 0\nf()")

    assert outcome.error is not None
    assert (outcome.status, outcome.error.type) == ("error", "ZeroDivisionError")
    assert "return 1 / 0" in outcome.error.traceback
    assert "guest" not in outcome.error.traceback


async def test_a_value_that_json_cannot_carry_is_shown(sandbox: Sandbox):
    outcome = await kit.run(sandbox, "{1, 2}")

    assert (outcome.value, outcome.shown) == (None, "{1, 2}")


async def test_two_children_of_one_zygote_draw_different_random_numbers(sandbox: Sandbox):
    drawn = [
        (await kit.run(sandbox, "import random, os, uuid; [random.random(), uuid.uuid4().hex]")).value for _ in range(3)
    ]

    assert len({str(each) for each in drawn}) == 3


async def test_nothing_of_one_call_is_seen_by_the_next(sandbox: Sandbox):
    await kit.run(
        sandbox, "import json; json.left = 'TRACE'; open('left', 'w').write('x'); import os; os.environ['LEFT'] = 'x'"
    )

    seen = await kit.run(sandbox, "import json, os; [hasattr(json, 'left'), os.listdir('.'), 'LEFT' in os.environ]")

    assert seen.value == [False, [".tmp"], False]


async def test_the_payload_never_passes_through_the_zygote(local: LocalSandbox):
    """What the zygote ever held could be read by every later child: its whole memory is searched from outside."""
    secret = os.urandom(16).hex()
    assert (await kit.run(local, f"x = '{secret}'; print(x)")).stdout.strip() == secret
    zygote = await (await local.pool(Job("code", ""))).warm()
    found = processes(zygote._process.pid)

    assert len(found) == 2
    try:
        memory = b"".join(contents(pid) for pid in found)
    except PermissionError:
        pytest.skip("this user may not read the zygote's memory")
    assert b"recv_fds" in memory
    assert secret.encode() not in memory


def contents(pid: int) -> bytes:
    """Every writable page of a process."""
    pages: list[bytes] = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            begin, end = (int(each, 16) for each in span.split("-"))
            if rights.startswith("rw"):
                memory.seek(begin)
                with suppress(OSError):
                    pages.append(memory.read(end - begin))
    return b"".join(pages)


async def test_asyncio_works_inside(sandbox: Sandbox):
    assert (
        await kit.run(
            sandbox, "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 5\nasyncio.run(f())"
        )
    ).value == 5


async def test_files_go_in_and_those_that_were_written_come_out(sandbox: Sandbox, tmp_path):
    big = tmp_path / "big.bin"
    big.write_bytes(os.urandom(1 << 20))
    code = (
        "import os, hashlib\nos.mkdir('out'); open('out/a.txt', 'w').write(open('in/a.txt').read().upper())\n"
        "os.symlink('/etc/passwd', 'link'); hashlib.sha256(open('big.bin', 'rb').read()).hexdigest()"
    )
    job = cell(code, files=(FileIn("in/a.txt", b"hello"), FileIn("big.bin", big)), collect=True)

    outcome = await sandbox.run(job)

    assert outcome.value == hashlib.sha256(big.read_bytes()).hexdigest()
    assert [(each.path, each.data, each.kind) for each in outcome.files] == [("out/a.txt", b"HELLO", "file")]


async def test_files_can_be_streamed_to_a_folder(sandbox: Sandbox, tmp_path):
    (tmp_path / "out").mkdir()
    job = cell("open('big', 'wb').write(b'x' * 3_000_000)", collect=True, collect_to=tmp_path / "out")

    outcome = await sandbox.run(job)

    assert [(each.path, each.data, each.size) for each in outcome.files] == [("big", b"", 3_000_000)]
    assert (tmp_path / "out" / "big").stat().st_size == 3_000_000


async def test_a_file_of_the_host_that_is_missing_is_the_callers_error(sandbox: Sandbox, tmp_path):
    with pytest.raises(FileNotFoundError):
        await sandbox.run(cell("1", files=(FileIn("a", tmp_path / "none"),)))


async def test_a_plot_comes_back_as_png(sandbox: Sandbox):
    pytest.importorskip("matplotlib")
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.figure(); plt.bar(['a', 'b'], [1, 2])\nNone"

    outcome = await sandbox.run(cell(code, image="data", collect=True, limits=ROOMY))

    assert [(each.path, each.kind) for each in outcome.files] == [
        ("figure-1.png", "figure"),
        ("figure-2.png", "figure"),
    ]
    for each in outcome.files:
        assert each.data.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", each.data[16:24])
        assert width > 100
        assert height > 100


async def test_the_data_image_has_pandas_loaded_and_nothing_else_of_this_installation(sandbox: Sandbox):
    pytest.importorskip("pandas")
    code = (
        "import sys; early = 'pandas' in sys.modules\nimport pandas as pd, numpy as np\n"
        "frame = pd.read_csv('a.csv').groupby('k').v.sum()\n"
        "try:\n    import msgspec; other = True\nexcept ImportError: other = False\n"
        "[early, other, frame.to_dict(), float(np.linalg.norm([3, 4]))]"
    )

    outcome = await sandbox.run(
        cell(code, image="data", limits=ROOMY, files=(FileIn("a.csv", b"k,v\nx,1\ny,2\nx,3\n"),))
    )

    assert outcome.value == [True, False, {"x": 4, "y": 2}, 5.0], outcome


async def test_a_shell_command_runs_programs_and_gives_its_exit_code(sandbox: Sandbox):
    job = Job(
        "shell",
        "echo one two | wc -w; ls /work; id -u; sort in.txt > out.txt; exit 3",
        image="shell",
        limits=RunLimits(processes=20),
        files=(FileIn("in.txt", b"b\na\n"),),
        collect=True,
    )

    outcome = await sandbox.run(job)

    assert (outcome.stdout.split(), outcome.exit_code) == (["2", "in.txt", "1000"], 3)
    assert [(each.path, each.data) for each in outcome.files] == [("out.txt", b"a\nb\n")]


async def test_a_shell_cannot_reach_what_code_cannot_reach(sandbox: Sandbox):
    attempts = "cat /etc/shadow; ls /home; unshare -U true; mount -t tmpfs x /tmp; su -c id; echo x > /usr/evil; kill -9 1; echo alive"

    outcome = await sandbox.run(Job("shell", attempts, image="shell", limits=RunLimits(processes=20)))

    assert outcome.stdout == "alive\n"


TOOLS = """
from interlock import ToolContext, ToolError, tool

@tool(effect="none", isolated=True)
def add(a: int, b: int, ctx: ToolContext) -> dict:
    return {"sum": a + b, "key": ctx.idempotency_key}

@tool(isolated=True)
async def later(x: int) -> int:
    return x + 1

@tool
def no(x: int) -> int:
    raise ToolError("too_small", "x is too small", hint="Use a larger one.")
"""


async def test_a_function_of_a_tools_file_runs_inside(sandbox: Sandbox):
    added = await sandbox.run(
        Job(
            "function",
            TOOLS,
            function="add",
            arguments={"a": 2, "b": 3},
            context={"idempotency_key": "k"},
            limits=kit.SHORT,
        )
    )
    waited = await sandbox.run(Job("function", TOOLS, function="later", arguments={"x": 1}, limits=kit.SHORT))
    refused = await sandbox.run(Job("function", TOOLS, function="no", arguments={"x": 1}, limits=kit.SHORT))

    assert added.value == {"sum": 5, "key": "k"}
    assert waited.value == 2
    assert refused.error is not None
    assert (refused.error.code, refused.error.message, refused.error.hint) == (
        "too_small",
        "x is too small",
        "Use a larger one.",
    )


# --- Sessions -------------------------------------------------------------------------------------------------------


async def test_cells_share_their_state_and_each_has_its_own_output(sandbox: Sandbox):
    session = sandbox.session("python")

    first = await session.run(cell("x = [1]; print('first')"))
    second = await session.run(cell("x.append(2); x"))

    assert (first.stdout, second.stdout, second.value) == ("first\n", "", [1, 2])
    await session.close()


async def test_a_cell_that_takes_too_long_is_interrupted_and_the_state_survives(sandbox: Sandbox):
    session = sandbox.session("python")
    await session.run(cell("x = 1"))

    late = await session.run(cell("x = 2\nwhile True: pass", limits=RunLimits(wall_s=0.3)))
    after = await session.run(cell("x"))

    assert (late.status, late.ended_by) == ("limit", "wall")
    assert after.value == 2
    assert session.rebuilt == 0  # pyright: ignore[reportAttributeAccessIssue]
    await session.close()


async def test_a_session_that_was_lost_is_rebuilt_from_its_cells(sandbox: Sandbox):
    session = sandbox.session("python")
    await session.run(cell("import collections; c = collections.Counter('aab')", files=(FileIn("f", b"kept"),)))
    await session.run(cell("c['z'] = 9"))
    lost = await session.run(cell("import os; os._exit(1)"))

    after = await session.run(cell("[c['a'], c['z'], open('f').read()]"))

    assert (lost.status, lost.exit_code) == ("exited", 1)
    assert after.value == [2, 9, "kept"]
    await session.close()


async def test_another_process_rebuilds_a_session_from_its_record(sandbox: Sandbox):
    session = sandbox.session("python")
    await session.run(cell("x = 41"))
    record = list(session.cells)
    await session.close()

    restarted = kit.make()
    try:
        again = restarted.session("python", record)
        assert (await again.run(cell("x + 1"))).value == 42
        await again.close()
    finally:
        await restarted.close()


async def test_figures_of_one_cell_do_not_come_back_with_the_next(sandbox: Sandbox):
    pytest.importorskip("matplotlib")
    session = sandbox.session("data")

    first = await session.run(cell("import matplotlib.pyplot as p; p.plot([1]); 1", collect=True, limits=ROOMY))
    second = await session.run(cell("2", collect=True, limits=ROOMY))

    assert ([each.kind for each in first.files], second.files) == (["figure"], ())
    await session.close()


# --- The port -------------------------------------------------------------------------------------------------------


async def test_more_calls_than_there_is_room_for_are_shed():
    kit.require_namespaces()
    sandbox = kit.make(max_in_flight=1, max_waiting=1)
    try:
        await sandbox.start()
        calls = [asyncio.create_task(kit.run(sandbox, "import time; time.sleep(1)")) for _ in range(2)]
        for _ in range(10):
            await asyncio.sleep(0)
        with pytest.raises(Shed):
            await kit.run(sandbox, "1")
        assert [each.status for each in await asyncio.gather(*calls)] == ["ok", "ok"]
    finally:
        await sandbox.close()


async def test_an_unknown_image_is_refused_with_those_there_are(sandbox: Sandbox):
    with pytest.raises(SandboxRefused, match="no sandbox image 'ruby'"):
        await sandbox.run(cell("1", image="ruby"))


@pytest.mark.requirement("TL-06")
async def test_spares_are_ready_before_they_are_asked_for():
    kit.require_namespaces()
    sandbox = kit.make(spares=2)
    try:
        for _ in range(3):
            await kit.run(sandbox, "1")
        pool = await sandbox.pool(Job("code", ""))
        zygote = await pool.warm()
        async with asyncio.timeout(60):
            while zygote.living < 2:
                await asyncio.sleep(0.01)
        born = zygote.born
        assert (await kit.run(sandbox, "2")).value == 2
        assert zygote.born <= born + 2  # one may still have been coming, one takes the place of the spare that was used
    finally:
        await sandbox.close()


@pytest.mark.requirement("TL-06")
def test_packages_without_bytecode_are_compiled_before_they_become_an_image(tmp_path: Path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("x = 1\n")

    compile_missing([str(package)])

    assert [each.suffix for each in (package / "__pycache__").iterdir()] == [".pyc"]
