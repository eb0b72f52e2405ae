"""A bomb of each kind: the call ends, the result names the limit that ended it, and nothing of the tree is left."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from interlock.core.sandbox import Job, RunLimits, Sandbox
from interlock.sandbox.local import LocalSandbox
from interlock.sandbox.watch import processes

from . import kit

pytestmark = pytest.mark.requirement("TL-04")

SMALL = RunLimits(
    wall_s=0.4,
    cpu_s=2,
    memory_bytes=64 << 20,
    output_bytes=10_000,
    disk_bytes=4 << 20,
    inodes=200,
    open_files=40,
    result_bytes=10_000,
)
WAIT = "import time\nwhile True: time.sleep(1)"
SINGLE = {
    "endless loop": ("while True: pass", "wall"),
    "sleep": (WAIT, "wall"),
    "sleep that ignores signals": (
        f"import signal\nfor n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)\n{WAIT}",
        "wall",
    ),
    "memory at once": ("x = bytearray(1 << 30)", "memory"),
    "memory bit by bit": ("x = []\nwhile True: x.append(bytearray(1 << 20))", "memory"),
    "output": ("while True: print('x' * 1000)", "output"),
    "error output": ("import sys\nwhile True: print('x' * 1000, file=sys.stderr)", "output"),
    "disk, one file": ("f = open('f', 'wb')\nwhile True: f.write(b'x' * 65536)", "disk"),
    "disk, many files": ("n = 0\nwhile True:\n  open(str(n), 'wb').write(b'x' * 65536); n += 1", "disk"),
    "inodes": ("n = 0\nwhile True:\n  open(str(n), 'wb').close(); n += 1", "inodes"),
    "directories": ("import os\nn = 0\nwhile True:\n  os.mkdir(str(n)); n += 1", "inodes"),
    "descriptors": ("import os\nwhile True: os.dup(0)", "open_files"),
    "threads": (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
        "processes",
    ),
    "result channel": ("import os\nwhile True: os.write(3, b'D' + bytes(3) + b'z' + b'x' * 100)", "result"),
}


@pytest.mark.parametrize("bomb", SINGLE)
async def test_the_result_names_the_limit_that_ended_it(sandbox: Sandbox, bomb: str):
    code, limit = SINGLE[bomb]
    limits = SMALL if limit == "wall" else msgspec.structs.replace(SMALL, wall_s=60.0, cpu_s=60)

    outcome = await kit.run(sandbox, code, limits)

    assert (outcome.status, outcome.ended_by) == ("limit", limit)
    assert len(outcome.stdout) <= SMALL.output_bytes
    assert (await kit.run(sandbox, "1 + 1")).value == 2


async def test_cpu_ends_a_call_before_its_wall_time(sandbox: Sandbox):
    outcome = await kit.run(sandbox, "while True: pass", RunLimits(wall_s=60, cpu_s=1))

    assert (outcome.status, outcome.ended_by) == ("limit", "cpu")
    assert outcome.usage.wall_s < 50


async def test_a_huge_value_is_cut_instead_of_flooding_the_caller(sandbox: Sandbox):
    outcome = await kit.run(sandbox, "'x' * 10_000_000", SMALL)

    assert (outcome.status, outcome.value) == ("ok", None)
    assert 0 < len(outcome.shown) <= 10_000


async def test_more_files_than_may_come_out_end_the_call(sandbox: Sandbox):
    many = "for n in range(100): open(f'f{n}', 'w').write('x')"

    outcome = await kit.run(sandbox, many, RunLimits(files_out=10), collect=True)

    assert (outcome.status, outcome.ended_by, outcome.files) == ("limit", "files_out", ())


FORK = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"
COUNT = "import os\nn = 0\ntry:\n  while True:\n    if os.fork() == 0:\n      __import__('time').sleep(99)\n    n += 1\nexcept BlockingIOError: pass\nn"


async def test_a_tree_cannot_hold_more_processes_than_its_limit(sandbox: Sandbox):
    outcome = await kit.run(sandbox, COUNT, RunLimits(processes=20, wall_s=60, cpu_s=60))

    assert outcome.value == 20


async def test_nothing_is_left_of_a_fork_bomb_of_64_when_its_call_returns(local: LocalSandbox):
    pool = await local.pool(Job("code", ""))
    job = Job("code", FORK, limits=RunLimits(processes=64, wall_s=120, cpu_s=300))
    talk = await pool.take(job)
    assert talk.child is not None
    asked = asyncio.create_task(talk.ask(job))
    pid = talk.child.pid
    async with asyncio.timeout(60):
        while len(processes(pid)) < 60:
            await asyncio.sleep(0.01)
    tree = processes(pid)

    talk.stop("wall")
    outcome = await asked
    pool.end(talk)

    assert outcome.ended_by == "wall"
    assert [each for each in tree if Path(f"/proc/{each}").exists()] == []


async def test_memory_of_the_whole_tree_counts_not_that_of_each_process(sandbox: Sandbox):
    code = "import os, time\nfor _ in range(10):\n  if os.fork() == 0:\n    x = bytearray(30 << 20); time.sleep(99); os._exit(0)\ntime.sleep(99)"

    outcome = await kit.run(sandbox, code, RunLimits(processes=20, memory_bytes=100 << 20, wall_s=60))

    assert (outcome.status, outcome.ended_by) == ("limit", "memory")


async def test_pages_that_forks_share_count_once(sandbox: Sandbox):
    code = "import os, time\nx = bytearray(24 << 20)\nfor _ in range(8):\n  if os.fork() == 0: time.sleep(9)\ntime.sleep(0.5)\n'done'"

    outcome = await kit.run(sandbox, code, RunLimits(processes=10, memory_bytes=48 << 20, wall_s=30))

    assert outcome.value == "done", outcome


async def test_cpu_of_the_whole_tree_counts(sandbox: Sandbox):
    code = "import os\nfor _ in range(3): os.fork()\nwhile True: pass"

    outcome = await kit.run(sandbox, code, RunLimits(processes=10, cpu_s=1, wall_s=60))

    assert (outcome.status, outcome.ended_by) == ("limit", "cpu")


async def test_a_fork_that_comes_back_into_the_runner_writes_no_result(sandbox: Sandbox):
    outcome = await kit.run(
        sandbox,
        "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\n'parent' if pid else 'child'",
        RunLimits(processes=4),
    )

    assert outcome.value == "parent"


async def test_daemons_that_fork_twice_do_not_outlive_the_call(local: LocalSandbox):
    code = "import os, time\nfor _ in range(5):\n  if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n      time.sleep(99)\n    os._exit(0)\n'done'"
    pool = await local.pool(Job("code", ""))
    job = Job("code", code, limits=RunLimits(processes=20))
    talk = await pool.take(job)
    assert talk.child is not None
    pid = talk.child.pid

    outcome = await talk.ask(job)
    pool.end(talk)

    assert outcome.value == "done"
    assert processes(pid) == [pid]
    assert not Path(f"/proc/{pid}").exists()


async def test_a_cancelled_call_leaves_no_process(local: LocalSandbox):
    task = asyncio.create_task(kit.run(local, WAIT, RunLimits(wall_s=60)))
    pool = await local.pool(Job("code", ""))
    zygote = await pool.warm()
    async with asyncio.timeout(60):
        while not zygote.born:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(60):
        while zygote.living:
            await asyncio.sleep(0.01)


async def test_two_hundred_calls_in_flight_all_come_back(sandbox: Sandbox):
    calls = [kit.run(sandbox, f"import time; time.sleep(0.2); {n}", RunLimits(wall_s=60)) for n in range(200)]

    outcomes = await asyncio.gather(*calls)

    assert [each.value for each in outcomes] == list(range(200))


async def test_a_zygote_is_replaced_after_its_number_of_children():
    kit.require_namespaces()
    made = kit.make(recycle_after=5)
    try:
        outcomes = [await kit.run(made, "import sys; hash('x')") for _ in range(20)]
    finally:
        await made.close()

    assert len({each.value for each in outcomes}) > 1
