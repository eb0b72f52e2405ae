"""Memory of the gateway when idle, and of a process that runs 10,000 tasks: it must stay flat."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

COMMAND = "python -m bench memory"
TASKS, QUICK_TASKS = 10_000, 1_000
CONTRACT = """
agent:
  name: echo
  model: simulated/small
  inputs: {text: string}
  limits: {max_steps: 4, max_model_calls: 2}
"""
CONFIG = "workspace: bench-memory\ntenant: bench\n"


def rss_mb(pid: int) -> float:
    """Resident memory of one process, in MiB; Linux only."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no VmRSS line")


@contextlib.contextmanager
def workspace() -> Generator[Path]:
    """A folder with one contract on a simulated model that answers at once."""
    folder = Path(tempfile.mkdtemp(prefix="interlock-bench-"))
    try:
        (folder / "agents").mkdir()
        (folder / "interlock.yaml").write_text(CONFIG)
        (folder / "agents" / "echo.yaml").write_text(CONTRACT)
        yield folder
    finally:
        shutil.rmtree(folder)


def idle_mb(folder: Path) -> float:
    """Memory of `interlock serve` once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    interlock = Path(sys.executable).with_name("interlock")
    command = [str(interlock), "serve", "--workspace", str(folder), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        time.sleep(0.5)
        return rss_mb(server.pid)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)


async def child(folder: Path, tasks: int) -> list[float]:
    """Memory after a tenth of the tasks, and after each further tenth."""
    from interlock.app import Interlock

    measured: list[float] = []
    async with Interlock.from_file(folder) as il:
        for tenth in range(10):
            room = asyncio.Semaphore(32)

            async def one(number: int, room: asyncio.Semaphore = room) -> None:
                async with room:
                    await il.run("echo", {"text": f"message {number}"})

            first = tenth * tasks // 10
            await asyncio.gather(*(one(number) for number in range(first, first + tasks // 10)))
            measured.append(rss_mb(os.getpid()))
    return measured


def run(quick: bool) -> list[dict[str, Any]]:
    """Idle memory, memory after the tasks, and its growth after the first tenth."""
    tasks = QUICK_TASKS if quick else TASKS
    with workspace() as folder:
        idle = idle_mb(folder)
        command = [sys.executable, "-m", "bench.memory", str(folder), str(tasks)]
        measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    growth = measured[-1] / measured[0]
    rows = [
        ("`interlock serve`, idle", round(idle, 1), "MiB", "<= 100", idle <= 100),
        (f"after {tasks // 10:,} tasks", round(measured[0], 1), "MiB", None, None),
        (f"after {tasks:,} tasks", round(measured[-1], 1), "MiB", None, None),
        (f"after {tasks:,} tasks ÷ after {tasks // 10:,}", round(growth, 3), "ratio", "<= 1.15", growth <= 1.15),
    ]
    names = ("figure", "value", "unit", "goal", "ok")
    return [{**dict(zip(names, row, strict=True)), "command": COMMAND} for row in rows]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(child(Path(sys.argv[1]), int(sys.argv[2])))))
