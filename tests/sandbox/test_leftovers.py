"""Calls with random bombs leave nothing behind: no process, mount, control group, file or descriptor; and memory stays flat.

A slice here; `make soak-sandbox` runs 10,000 (INTERLOCK_SANDBOX_CALLS, INTERLOCK_SANDBOX_SEED) and writes bench/results/soak-sandbox.json.
"""

import asyncio
import gc
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock.core.sandbox import Job, RunLimits
from interlock.sandbox import cgroups
from interlock.sandbox.local import LocalSandbox
from interlock.sandbox.watch import processes

from . import kit
from .test_bombs import FORK, SINGLE
from .test_doors import question

pytestmark = pytest.mark.requirement("TL-04")

CALLS = int(os.environ.get("INTERLOCK_SANDBOX_CALLS", "100"))
SEED = int(os.environ.get("INTERLOCK_SANDBOX_SEED", "20261121"))
AT_ONCE = 16
TREE = 9
"""Processes of the victim, when each of its three calls has forked."""
HARMLESS = (
    "1 + 1",
    "print('x' * 100)",
    "1 / 0",
    "import os; os._exit(4)",
    "import os; os.kill(os.getpid(), 11)",
    "raise SystemExit(2)",
)
TREES = (
    FORK,
    "import os\nfor _ in range(20):\n  if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n    __import__('time').sleep(9)",
)


def job(rng: random.Random) -> tuple[str, Job]:
    """A call of a random kind under limits of which it breaks at most one or two."""
    limits = RunLimits(
        wall_s=rng.choice((0.15, 0.3)),
        cpu_s=1,
        memory_bytes=48 << 20,
        disk_bytes=2 << 20,
        inodes=100,
        open_files=40,
        output_bytes=5_000,
        result_bytes=5_000,
    )
    kind = rng.choice(("harmless", "harmless", "bomb", "bomb", "tree", "shell", "files"))
    if kind == "tree":
        return kind, Job("code", rng.choice(TREES), limits=_with(limits, processes=12))
    if kind == "shell":
        return kind, Job(
            "shell",
            rng.choice(("echo hi", "sleep 9 & sleep 9", "yes")),
            image="shell",
            limits=_with(limits, processes=8),
        )
    if kind == "files":
        return kind, Job("code", "for n in range(9): open(str(n), 'w').write('x' * n)", limits=limits, collect=True)
    name = rng.choice(list(SINGLE)) if kind == "bomb" else ""
    return name or kind, Job("code", SINGLE[name][0] if name else rng.choice(HARMLESS), limits=limits)


def _with(limits: RunLimits, **changes: int) -> RunLimits:
    return msgspec.structs.replace(limits, **changes)


def groups(pid: int = 0) -> set[str]:
    """Control groups of that process, or of every one."""
    return {str(found) for found in Path("/sys/fs/cgroup").glob(f"*/interlock-{pid or '*'}")}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def held() -> dict[str, object]:
    """What this process and the machine hold on its behalf."""
    return {
        "descriptors": descriptors(),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "groups": groups(os.getpid()),
        "scratch": set(Path(tempfile.gettempdir()).glob(f"interlock-*-{os.getpid()}-*")),
        "processes": len(processes(os.getpid())),
    }


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


async def storm(sandbox: LocalSandbox, calls: int, seed: int) -> Counter[str]:
    rng = random.Random(seed)
    seen: Counter[str] = Counter()
    room = asyncio.Semaphore(AT_ONCE)

    async def one(name: str, made: Job) -> None:
        async with room:
            outcome = await sandbox.run(made)
            seen[f"{name}: {outcome.status} {outcome.ended_by}".strip()] += 1

    for begin in range(0, calls, 500):
        await asyncio.gather(*(one(*job(rng)) for _ in range(min(500, calls - begin))))
    return seen


async def test_a_storm_of_bombs_leaves_nothing_behind():
    kit.require_namespaces()
    before = held()
    sandbox = kit.make(spares=2, recycle_after=3_000)
    began_s = time.monotonic()
    try:
        await storm(sandbox, 60, SEED - 1)
        gc.collect()
        warm_kb, warm_fds = resident_kb(os.getpid()), descriptors()
        seen = await storm(sandbox, CALLS, SEED)
        gc.collect()
        grown_kb, grown_fds = resident_kb(os.getpid()) - warm_kb, descriptors() - warm_fds
        alive = (await kit.run(sandbox, "'alive'")).value
    finally:
        await sandbox.close()
    after = held()
    if CALLS > 1_000:
        _write(seen, grown_kb, before, after, time.monotonic() - began_s)

    assert alive == "alive"
    assert sum(seen.values()) == CALLS
    assert after == before
    assert grown_kb < 12_000
    assert abs(grown_fds) < 60  # spares of one shape or another


def _write(
    seen: Counter[str], grown_kb: int, before: dict[str, object], after: dict[str, object], took_s: float
) -> None:
    result = {
        "calls": CALLS,
        "seed": SEED,
        "at_once": AT_ONCE,
        "took_s": round(took_s, 1),
        "left_behind": {name: str(after[name]) for name in after if after[name] != before[name]},
        "supervisor_grew_kb": grown_kb,
        "ended": dict(sorted(seen.items())),
    }
    (kit.ROOT / "bench" / "results" / "soak-sandbox.json").write_text(json.dumps(result, indent=2) + "\n")


VICTIM = """
import asyncio, sys
from interlock.core.sandbox import Job, RunLimits
from interlock.core.time import SystemClock
from interlock.sandbox.local import LocalSandbox, Options

async def main():
    sandbox = LocalSandbox(Options(), SystemClock())
    await sandbox.start()
    job = Job("code", "import os, time\\nos.fork()\\ntime.sleep(99)", limits=RunLimits(wall_s=99, processes=4))
    calls = [asyncio.create_task(sandbox.run(job)) for _ in range(3)]
    await asyncio.sleep(0)
    print("running", flush=True)
    await asyncio.gather(*calls)

asyncio.run(main())
"""


def test_a_gateway_that_is_killed_takes_every_sandboxed_process_along_and_the_next_one_sweeps_its_groups():
    kit.require_namespaces()
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]}
    with subprocess.Popen([sys.executable, "-c", VICTIM], stdout=subprocess.PIPE, text=True, env=environment) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "running\n"
        until_s = time.monotonic() + 60
        while len(tree := processes(victim.pid)) < TREE and time.monotonic() < until_s:
            select.select([], [], [], 0.05)
        victim.kill()
    assert len(tree) >= TREE

    until_s = time.monotonic() + 60
    while alive := [pid for pid in tree if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < until_s, alive
    cgroups.find(token="sweeper").close()
    assert not [group for group in groups() if group.endswith(f"-{victim.pid}")]


async def test_a_zygote_that_dies_is_replaced_and_its_call_told(sandbox: LocalSandbox):
    asked = asyncio.Event()

    async def hanging(_name: str, _values: dict[str, Any]) -> None:
        asked.set()
        await asyncio.Event().wait()

    job = question("def ask(ctx):\n    ctx.ask('anything')", hanging)
    zygote = await (await sandbox.pool(job)).warm()
    call = asyncio.create_task(sandbox.run(job))
    async with asyncio.timeout(60):
        await asked.wait()

    os.kill(processes(zygote._process.pid)[1], 9)
    outcome = await call

    assert outcome.status == "exited"
    assert (await kit.run(sandbox, "1 + 1")).value == 2
