"""Calls in the sandbox, as multiples of starting a bare interpreter and of bubblewrap: CPU of the whole tree, interleaved rounds.

CPU is that of a control group around this process and everything it starts, where one can be made (root and cgroup v1's cpuacct); the
rows against bubblewrap need it, since its inner process is in nobody's rusage.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from interlock.core.sandbox import Job, RunLimits
from interlock.core.time import SystemClock
from interlock.sandbox.local import LocalSandbox, Options
from interlock.sandbox.watch import processes

COMMAND = "make bench-sandbox"
PYTHON = os.path.realpath(sys.executable)
BARE = [PYTHON, "-I", "-S", "-c", "pass"]
BWRAP = [
    "bwrap",
    "--unshare-all",
    "--die-with-parent",
    "--ro-bind",
    "/",
    "/",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    "--ro-bind",  # the environment may itself lie under /tmp
    sys.prefix,
    sys.prefix,
]
FRAME = "import pandas as pd; int(pd.DataFrame({'a': range(100)}).a.sum())"
ROOMY = RunLimits(wall_s=60, cpu_s=60, memory_bytes=512 << 20)
FORK = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"


class Meter:
    """CPU of this process and of all that comes from it."""

    def __init__(self) -> None:
        self._root = Path("/sys/fs/cgroup/cpuacct")
        self._own = self._root / f"bench-{os.getpid()}"
        try:
            self._own.mkdir()
            (self._own / "cgroup.procs").write_text("0")
            self.whole = True
        except OSError:
            self.whole = False

    def cpu_s(self) -> float:
        """Seconds so far; the sandbox's own groups, which children step into, included."""
        if self.whole:
            found = [self._own, self._root / f"interlock-{os.getpid()}"]
            return sum(int((each / "cpuacct.usage").read_text()) for each in found if each.exists()) / 1e9
        ticks = os.sysconf("SC_CLK_TCK")
        total = 0.0
        for pid in processes(os.getpid()):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            total += sum(int(field) for field in fields[11:15]) / ticks
        return total

    def close(self) -> None:
        if self.whole:
            (self._root / "cgroup.procs").write_text("0")
            self._own.rmdir()


Variant = Callable[[], Awaitable[None]]


async def started(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: ASYNC221 - nothing else runs in this loop


def called(sandbox: LocalSandbox, job: Job) -> Variant:
    async def call() -> None:
        outcome = await sandbox.run(job)
        assert outcome.status == "ok", outcome

    return call


async def measure(
    meter: Meter, variants: dict[str, Variant], rounds: int, each: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """CPU per call of each round, and wall time of each call, in milliseconds; the variants take turns."""
    cpu: dict[str, list[float]] = {name: [] for name in variants}
    wall: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            before = meter.cpu_s()
            for _ in range(each):
                began = time.perf_counter()
                await variant()
                wall[name].append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(0.02)  # what a call leaves to be done after its answer is its own cost
            cpu[name].append((meter.cpu_s() - before) / each * 1e3)
    return cpu, wall


def ratio(cpu: dict[str, list[float]], ours: str, theirs: str) -> float:
    """Median over the rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(cpu[ours], cpu[theirs], strict=True))


def figure(name: str, value: float, unit: str, goal: float | None = None) -> dict[str, Any]:
    ok = None if goal is None else value <= goal
    shown = None if goal is None else f"<= {goal:g}"
    return {"figure": name, "value": round(value, 4), "unit": unit, "goal": shown, "ok": ok, "command": COMMAND}


def run(quick: bool) -> list[dict[str, Any]]:
    """Every figure of the sandbox."""
    meter = Meter()
    try:
        return asyncio.run(_run(meter, quick))
    finally:
        meter.close()


async def _run(meter: Meter, quick: bool) -> list[dict[str, Any]]:
    rounds, each = (4, 10) if quick else (12, 25)
    figures = await small_calls(meter, rounds, each)
    figures += await data_calls(meter, 2 if quick else 5)
    figures += await sessions(100 if quick else 300)
    return figures + await crowds()


async def small_calls(meter: Meter, rounds: int, each: int) -> list[dict[str, Any]]:
    """A call of nothing, made when it is asked for and from a spare."""
    plain, ready = (LocalSandbox(Options(spares=spares), SystemClock()) for spares in (0, 2))
    job = Job("code", "pass")
    try:
        began = time.perf_counter()
        await plain.start()
        booted_ms = (time.perf_counter() - began) * 1e3
        variants: dict[str, Variant] = {"bare": lambda: started(BARE), "call": called(plain, job)}
        if shutil.which("bwrap") and meter.whole:
            variants["bwrap"] = lambda: started([*BWRAP, *BARE])
        for variant in variants.values():
            await variant()
        cpu, wall = await measure(meter, variants, rounds, each)
        spare_wall, bare_wall = await dispatched(called(ready, job), rounds * each)
    finally:
        await plain.close()
        await ready.close()
    figures = [figure("CPU of a call ÷ CPU of `python3 -I -S -c pass`", ratio(cpu, "call", "bare"), "ratio", 0.70)]
    if "bwrap" in cpu:
        figures.append(figure("CPU of a call ÷ CPU of bwrap + python", ratio(cpu, "call", "bwrap"), "ratio", 0.50))
    spare = statistics.median(spare_wall) / statistics.median(bare_wall)
    return [
        *figures,
        figure("wall from dispatch to result with a spare, p50 ÷ bare python's p50", spare, "ratio", 0.50),
        figure("the same, fastest ÷ fastest", min(spare_wall) / min(bare_wall), "ratio"),
        figure("CPU of a call", statistics.median(cpu["call"]), "ms"),
        figure("CPU of `python3 -I -S -c pass`", statistics.median(cpu["bare"]), "ms"),
        figure("wall of a call without a spare, p50", statistics.median(wall["call"]), "ms"),
        figure("wall of a call with a spare, p50", statistics.median(spare_wall), "ms"),
        figure("first start: zygote booted and level proved by every attack", booted_ms, "ms"),
    ]


async def dispatched(call: Variant, times: int) -> tuple[list[float], list[float]]:
    """Wall times with a spare ready, and of bare python, in turns and with the machine at rest before each."""
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(3):
        await call()
    for _ in range(times):
        for spent, variant in ((ours, call), (bare, lambda: started(BARE))):
            await asyncio.sleep(0.02)
            began = time.perf_counter()
            await variant()
            spent.append((time.perf_counter() - began) * 1e3)
    return ours, bare


async def data_calls(meter: Meter, rounds: int) -> list[dict[str, Any]]:
    """A sum over a DataFrame with pandas loaded in the image, against importing it cold under bubblewrap."""
    sandbox = LocalSandbox(Options(spares=0), SystemClock())
    try:
        call = called(sandbox, Job("code", FRAME, image="data", limits=ROOMY))
        await call()
        if not (shutil.which("bwrap") and meter.whole):
            return []
        variants: dict[str, Variant] = {"call": call, "cold": lambda: started([*BWRAP, sys.executable, "-c", FRAME])}
        await variants["cold"]()
        cpu, _ = await measure(meter, variants, rounds, 4)
    finally:
        await sandbox.close()
    return [
        figure("CPU of a pandas call ÷ CPU of cold pandas in bwrap", ratio(cpu, "call", "cold"), "ratio", 1 / 30),
        figure("CPU of a pandas call", statistics.median(cpu["call"]), "ms"),
    ]


async def sessions(cells: int) -> list[dict[str, Any]]:
    """One cell of a session, against starting a bare interpreter."""
    sandbox = LocalSandbox(Options(spares=0), SystemClock())
    try:
        session = sandbox.session("python")
        await session.run(Job("code", "x = 0"))
        ours: list[float] = []
        bare: list[float] = []
        for at in range(cells):
            began = time.perf_counter()
            await session.run(Job("code", "x += 1"))
            ours.append((time.perf_counter() - began) * 1e3)
            if at % 10 == 0:
                began = time.perf_counter()
                await started(BARE)
                bare.append((time.perf_counter() - began) * 1e3)
        await session.close()
    finally:
        await sandbox.close()
    return [
        figure(
            "wall of a session's cell, p50 ÷ bare python's p50",
            statistics.median(ours) / statistics.median(bare),
            "ratio",
            0.02,
        )
    ]


async def crowds() -> list[dict[str, Any]]:
    """Two hundred calls at once, and the end of a fork bomb of 64 processes."""
    sandbox = LocalSandbox(Options(spares=0), SystemClock())
    try:
        began = time.perf_counter()
        calls = [sandbox.run(Job("code", f"import time; time.sleep(0.5); {n}", limits=ROOMY)) for n in range(200)]
        outcomes = await asyncio.gather(*calls)
        took_s = time.perf_counter() - began
        wrong = sum(outcome.value != n for n, outcome in enumerate(outcomes))
        gone_s = statistics.median([await bombed(sandbox) for _ in range(5)])
    finally:
        await sandbox.close()
    return [
        figure("200 calls in flight: failed", wrong, "calls", 0),
        figure("200 calls in flight, each asleep for 0.5 s: all answered after", took_s, "s"),
        figure("kill of a 64-process fork bomb until nothing of it is left", gone_s, "s", 1.0),
    ]


def alive(pids: list[int]) -> list[int]:
    return [each for each in pids if Path(f"/proc/{each}").exists()]


async def bombed(sandbox: LocalSandbox) -> float:
    """Seconds from the kill to the last process gone."""
    job = Job("code", FORK, limits=RunLimits(processes=64, wall_s=60, cpu_s=60))
    pool = await sandbox.pool(job)
    talk = await pool.take(job)
    assert talk.child is not None
    pid = talk.child.pid
    asked = asyncio.create_task(talk.ask(job))
    async with asyncio.timeout(20):
        while len(processes(pid)) < 60:  # noqa: ASYNC110 - the kernel sets no event for it
            await asyncio.sleep(0.01)
    tree = processes(pid)
    began = time.perf_counter()
    talk.stop("wall")
    await asked
    took_s = time.perf_counter() - began
    pool.end(talk)
    left = alive(tree)
    assert not left, left
    return took_s
