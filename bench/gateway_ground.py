"""The ground of the gateway bench: server processes, the load on them, and the CPU and memory that they took.

Above: gateway, gateway_rows. Below: gateway_load, gateway_crowd, gateway_vendor, baseline_forwarder, baseline_app, each a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

from bench.gateway_vendor import EVENTS
from interlock.plugins.caches.front import WRITE_EVERY_S

COMMAND = "python -m bench gateway"
KEY = "il-bench"
CLIENTS = 16
STREAMING_CLIENTS = 10
START_S = 30.0
LOAD_S = 300.0

UNGUARDED = """\
workspace: bench
tenant: bench
store: interlock.db
providers:
  mine: {{dialect: openai, base_url: "http://127.0.0.1:{upstream}/v1", api_key: sk-bench}}
models:
  support:
    small: [mine/gpt-4o-mini]
prices:
  mine/gpt-4o-mini: {{input_mtok_usd: 0.15, output_mtok_usd: 0.60, source: bench, since: 2026-01-01}}
routing: {{default_model: support}}
caching:
  exact_cache: {{enabled: true, ttl_seconds: 3600}}
limits:
  - {{per: key, period: minute, requests: 10000000, tokens: 100000000000}}
  - {{per: tenant, period: day, usd: 1000000}}
resilience:
  admission: {{max_concurrent: 12000}}
server: {{host: 127.0.0.1, port: {port}, api_key: {key}}}
"""
GUARDS = """\
pii: {{}}
guards: {{injection: {{classifier: false}}}}
"""
WORKSPACE = UNGUARDED + GUARDS
"""Governed: a key, a rate limit and a budget, a route, a look into the exact cache, guards (personal data and
credentials of all usual kinds, rules for injections) on what is asked and answered, breaker, retries, and the ledger with its roll-ups."""


class Target(NamedTuple):
    """A server under measurement."""

    pid: int
    port: int
    ledger: bool
    """It writes after it has answered, and that is part of what a call costs."""


class Taken(NamedTuple):
    """What one round of load cost, per unit, and how long it took as the clients saw it."""

    cpu_us: float
    p50_ms: float


def figure(name: str, value: float, unit: str, goal: float | None) -> dict[str, Any]:
    """One line of the table; the goal is the most that is wanted."""
    said, ok = (None, None) if goal is None else (f"<= {goal:g}", value <= goal)
    return {"figure": name, "value": value, "unit": unit, "goal": said, "ok": ok, "command": COMMAND}


@contextlib.contextmanager
def interlock(
    folder: Path, upstream: int, *, workers: int = 1, workspace: str = WORKSPACE
) -> Generator[Target, None, None]:
    """`interlock serve` on a workspace of its own in `folder`."""
    port = free_port()
    folder.mkdir(exist_ok=True)
    (folder / "interlock.yaml").write_text(workspace.format(upstream=upstream, port=port, key=KEY))
    serve = ["-c", "import sys; from interlock.cli.main import main; sys.exit(main())", "serve"]
    with process([*serve, "--workspace", str(folder), "--workers", str(workers)], folder, port=port) as target:
        yield target


@contextlib.contextmanager
def process(arguments: list[str], folder: Path, *more: str, port: int = 0) -> Generator[Target, None, None]:
    """A server process on loopback that is up; stopped afterwards. Without a port it gets a free one as its argument."""
    command = [sys.executable, *arguments]
    ledger = port != 0
    if not port:
        port = free_port()
        command += [str(port), *more]
    log = folder / f"{port}.log"
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        wait_until_open(child, port, log)
        yield Target(child.pid, port, ledger)
    finally:
        child.terminate()
        try:
            child.wait(timeout=START_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_until_open(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Returns when the port takes connections."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if child.poll() is not None:
            raise RuntimeError(
                f"{child.args} ended with {child.returncode}:\n{log.read_text(errors='replace')[-2000:]}"
            )
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        select.select([], [], [], 0.05)
    raise RuntimeError(
        f"{child.args} did not open port {port} within {START_S:g} s:\n{log.read_text(errors='replace')[-2000:]}"
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def load(target: Target, count: int, kind: str) -> Taken:
    """One round of `count` calls. Every call must have been answered in full, or there is no figure."""
    clients = STREAMING_CLIENTS if kind == "stream" else CLIENTS
    command = [sys.executable, "-m", "bench.gateway_load", str(target.port), str(count), str(clients), kind, KEY]
    before = cpu_ns(target.pid)
    done = subprocess.run(command, check=True, capture_output=True, timeout=LOAD_S)
    if target.ledger:
        select.select(
            [], [], [], WRITE_EVERY_S + 0.1
        )  # until the answers that the exact cache keeps are queued as well
        wait_until_written(target)
    spent = cpu_ns(target.pid) - before
    seen: dict[str, Any] = json.loads(done.stdout)
    events = count * EVENTS if kind == "stream" else 0
    if seen["good"] != count or seen["events"] != events:
        raise RuntimeError(
            f"port {target.port}: {seen['good']} of {count} calls, {seen['events']} of {events} events came"
        )
    return Taken(spent / (events or count) / 1000, seen["p50_ms"])


def wait_until_written(target: Target) -> None:
    """Returns when everything that was answered is in the store."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{target.port}/healthz", headers={"authorization": f"Bearer {KEY}"}
    )
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with urllib.request.urlopen(asked, timeout=START_S) as reply:
            if not json.load(reply)["ledger"]["queued"]:
                return
        select.select([], [], [], 0.1)
    raise RuntimeError(f"port {target.port}: the ledger had not caught up after {START_S:g} s")


def cpu_ns(pid: int) -> int:
    """User and system time of all threads of a process and its children so far, by the scheduler's own count."""
    spent = 0
    for each in (pid, *children(pid)):
        with contextlib.suppress(OSError):
            tasks = Path(f"/proc/{each}/task").iterdir()
            spent += sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    return spent


def rss_kb(pid: int) -> int:
    """Memory of a process and its children that is theirs alone, in KiB; what the workers share is counted once."""
    total = 0
    for each in (pid, *children(pid)):
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()[1:])
        total += int(fields["Pss"].split()[0])
    return total


def children(pid: int) -> list[int]:
    """Processes that were started by it and live."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def crowd(*arguments: object) -> dict[str, Any]:
    """What `bench.gateway_crowd` saw."""
    command = [sys.executable, "-m", "bench.gateway_crowd", *map(str, arguments), KEY]
    done = subprocess.run(command, check=True, capture_output=True, timeout=LOAD_S, text=True)
    return json.loads(done.stdout.splitlines()[-1])
