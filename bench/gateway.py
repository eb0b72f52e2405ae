"""CPU of one completion through `interlock serve`, as a multiple of the bare forwarder's; and of one streamed event.

The real server process with a workspace of its own (key, routing, exact cache, ledger on SQLite, breaker, retries: all on), the
bare forwarder (`baseline_forwarder.py`), the same upstream, the same load, in turns within one run. CPU is user and system time
of every thread of the server's process, the ledger's writer included.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

from bench.gateway_vendor import EVENTS

COMMAND = "python -m bench gateway"
KEY = "il-bench"
CLIENTS = 16
STREAMING_CLIENTS = 10
START_S = 30.0
LOAD_S = 300.0

WORKSPACE = """\
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
server: {{host: 127.0.0.1, port: {port}, api_key: {key}}}
"""


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


def run(quick: bool) -> list[dict[str, Any]]:
    """The ratios, and their terms."""
    rounds, whole, streams = (2, 1500, 10) if quick else (9, 2500, 40)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interlock-bench-")))
        upstream = stack.enter_context(process(["-m", "bench.gateway_vendor"], folder))
        bare = stack.enter_context(process(["-m", "bench.baseline_forwarder"], folder, str(upstream.port)))
        plain = stack.enter_context(process(["-m", "bench.baseline_forwarder"], folder, str(upstream.port), "asyncio"))
        port = free_port()
        (folder / "interlock.yaml").write_text(WORKSPACE.format(upstream=upstream.port, port=port, key=KEY))
        serve = ["-c", "import sys; from interlock.cli.main import main; sys.exit(main())", "serve"]
        ours = stack.enter_context(process([*serve, "--workspace", str(folder)], folder, port=port))
        for target in (bare, plain, ours):
            load(target, whole // 2, "whole")
            load(target, STREAMING_CLIENTS, "stream")
        turns = [tuple(load(each, whole, "whole") for each in (bare, plain, ours)) for _ in range(rounds)]
        pairs = [(on_uvloop, governed) for on_uvloop, _, governed in turns]
        by_itself = statistics.median(governed.cpu_us / on_asyncio.cpu_us for _, on_asyncio, governed in turns)
        chunks = [(load(bare, streams, "stream"), load(ours, streams, "stream")) for _ in range(max(2, rounds // 2))]
    return [
        *figures("completion", "CPU µs per completion", pairs, 4.0),
        figure("the same ÷ the bare forwarder on asyncio's own loop", round(by_itself, 2), "ratio", None),
        *figures("streamed event", "CPU µs per event", chunks, 4.0),
    ]


def figures(what: str, unit: str, pairs: list[tuple[Taken, Taken]], goal: float) -> list[dict[str, Any]]:
    """The median of the rounds' ratios with its goal, and the medians of both terms without one."""
    ratio = statistics.median(ours.cpu_us / bare.cpu_us for bare, ours in pairs)
    terms = [
        (f"a {what} through `interlock serve`", statistics.median(ours.cpu_us for _, ours in pairs), unit),
        (f"a {what} through the bare forwarder", statistics.median(bare.cpu_us for bare, _ in pairs), unit),
        (f"median time of a {what} that `interlock serve` adds", added_ms(pairs), "ms"),
    ]
    return [
        figure(f"CPU of a {what} ÷ the bare forwarder's", round(ratio, 2), "ratio", goal),
        *(
            figure(name, round(value, 2), kind, None)
            for name, value, kind in terms
            if what == "completion" or kind != "ms"
        ),
    ]


def added_ms(pairs: list[tuple[Taken, Taken]]) -> float:
    """Medians over the rounds, ours less the bare forwarder's, under the bench's own load."""
    return statistics.median(ours.p50_ms for _, ours in pairs) - statistics.median(bare.p50_ms for bare, _ in pairs)


def figure(name: str, value: float, unit: str, goal: float | None) -> dict[str, Any]:
    said, ok = (None, None) if goal is None else (f"<= {goal:g}", value <= goal)
    return {"figure": name, "value": value, "unit": unit, "goal": said, "ok": ok, "command": COMMAND}


# --- processes ---


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
    """User and system time of all threads so far. The scheduler's own count where there is one, else clock ticks."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    except OSError:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))
