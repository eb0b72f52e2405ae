"""What the bench of workers stands on: a PostgreSQL, a Redis, a slow vendor, and real `interlock` processes over one workspace.

Above: workers, workers_storm. Below: `interlock.testing`, the tests' own servers.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from interlock.app import Interlock
from interlock.app.stores import open_store
from interlock.config.load import load
from interlock.core.caller import Caller
from interlock.core.store import Store, TaskFilter
from interlock.testing.upstream import Answer, Asked, Upstream
from tests.postgres import Postgres
from tests.servers import free_port, wait_for_port

TENANT = "bench"
AGENT = """
agent:
  name: errand
  model: errand
  prompt: prompts/errand.md
  inputs: {order: string}
  tools: [{name: books.note}]
  limits: {max_steps: 12, max_model_calls: 6}
  logging: {store_prompts: full}
"""
TOOLS = '''
import os, pathlib
from interlock.tools.define import ToolContext, tool

@tool(name="books.note", effect="idempotent")
def note(order: str, ctx: ToolContext) -> str:
    """Writes an order into the books."""
    file = os.open(pathlib.Path(__file__).parent / "books.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{order} {ctx.idempotency_key}\\n".encode())
    os.close(file)
    return "noted"
'''


class Ground:
    """A folder with a workspace, and the processes that work on it."""

    def __init__(self, folder: Path, postgres: Postgres, vendor: Upstream) -> None:
        self.folder, self.postgres, self.vendor = folder, postgres, vendor
        self.processes: list[subprocess.Popen[bytes]] = []
        self.redis: subprocess.Popen[bytes] | None = None
        self.redis_port = 0

    def start(self, *verb: str, source: Path | None = None) -> subprocess.Popen[bytes]:
        """One more process, e.g. `worker --concurrency 8`; its words go to a log of its own. `source`: of another version than this one."""
        command = [str(Path(sys.executable).with_name("interlock")), verb[0], "-w", str(self.folder), *verb[1:]]
        with (self.folder / f"{verb[0]}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(command, stderr=log, stdout=log, env=environment(source))
        self.processes.append(process)
        return process

    async def ready(self, process: subprocess.Popen[bytes], word: str = "ctrl-C") -> None:
        """Returns when the process has said that it works."""
        verb = "worker" if "worker" in str(process.args) else "serve"
        log = self.folder / f"{verb}-{self.processes.index(process)}.log"
        async with asyncio.timeout(120):
            while word not in log.read_text():
                if process.poll() is not None:
                    raise RuntimeError(log.read_text())
                await asyncio.sleep(0.05)

    def end(self, process: subprocess.Popen[bytes], how: int = signal.SIGTERM) -> None:
        process.send_signal(how)
        process.wait(120)

    def store(self) -> Store:
        return open_store(load(self.folder))

    async def submit(self, il: Interlock, orders: Sequence[str]) -> None:
        for order in orders:
            await il.agents.submit("errand", {"order": order}, caller=Caller(TENANT))

    async def finished(self, store: Store, tasks: int, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while True:
                rows = await asyncio.to_thread(store.tasks.outcomes, tenant=TENANT, workflow="errand")
                if sum(row.n for row in rows if row.status == "finished" and row.kind == "task") >= tasks:
                    return
                await asyncio.sleep(0.1)

    def books(self) -> list[str]:
        path = self.folder / "books.log"
        return path.read_text().splitlines() if path.exists() else []

    def rows(self, store: Store) -> list[Any]:
        return store.tasks.list(TaskFilter(tenant=TENANT, kind="task", limit=100_000))


def environment(source: Path | None) -> dict[str, str]:
    """What a process gets that is to run the version in the folder `source`; this one's where none is named."""
    return dict(os.environ) if source is None else {**os.environ, "PYTHONPATH": str(source)}


def script(wait_s: float) -> Any:
    """Every answer takes `wait_s`; a task asks for one tool and then ends."""

    def answer(asked: Asked) -> Answer:
        messages = asked.body["messages"]
        if asked.body.get("tools") and not any(each["role"] == "tool" for each in messages):
            order = (
                json.loads(messages[-1]["content"])["order"]
                if "{" in messages[-1]["content"]
                else messages[-1]["content"]
            )
            return Answer(tool_calls=(("books.note", json.dumps({"order": order.split()[-1]})),), delay_s=wait_s)
        return Answer(text="Done.", delay_s=wait_s, input_tokens=50, output_tokens=10)

    return answer


@asynccontextmanager
async def ground(wait_s: float, *, replicas: bool = False) -> AsyncGenerator[Ground]:
    """Everything started but the processes of Interlock; `replicas` adds a Redis that they share."""
    folder = Path(tempfile.mkdtemp(prefix="interlock-bench-"))
    port = free_port() if replicas else 0
    shared = (
        f"redis: {{url: 'redis://127.0.0.1:{port}/0'}}\nworkers: {{lease_s: 5, serve: false}}\n"
        "limits:\n  - {name: all, per: tenant, period: minute, requests: 1000000, scope: global, on_store_loss: open}\n"
        if replicas
        else "workers: {lease_s: 5}\n"
    )
    made: Ground | None = None
    try:
        async with Upstream(script(wait_s)) as vendor:
            with Postgres(fsync=True) as postgres:
                write(folder, postgres.fresh(), vendor.base_url, shared)
                made = Ground(folder, postgres, vendor)
                made.redis, made.redis_port = (start_redis(port) if replicas else None), port
                yield made
                for process in made.processes:
                    if process.poll() is None:
                        made.end(process, signal.SIGKILL)
    finally:
        if made is not None and made.redis is not None:
            made.redis.kill()
            made.redis.wait()
        shutil.rmtree(folder, ignore_errors=True)


def start_redis(port: int) -> subprocess.Popen[bytes]:
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
    redis = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_port(port)
    return redis


def write(folder: Path, address: str, vendor: str, more: str) -> None:
    (folder / "agents").mkdir()
    (folder / "prompts").mkdir()
    (folder / "prompts" / "errand.md").write_text("You run errands. {order}")
    (folder / "agents" / "errand.yaml").write_text(AGENT)
    (folder / "tools.py").write_text(TOOLS)
    (folder / "interlock.yaml").write_text(
        f"workspace: bench\ntenant: {TENANT}\nstore: '{address}'\n"
        f"providers:\n  mine: {{dialect: openai, base_url: '{vendor}', api_key: sk-bench}}\n"
        "models: {errand: [mine/small], chat: [mine/small]}\n"
        "prices: {mine/small: {input_mtok_usd: 1.0, output_mtok_usd: 2.0, source: bench, since: 2026-01-01}}\n"
        "server: {api_key: il-bench}\n" + more
    )


def cpu_s(pid: int) -> float:
    """User and system time of a process; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
