"""CPU of one answer through each face, as a multiple of the same answer through chat completions.

One `interlock serve`, one upstream of OpenAI's dialect, the same text asked and answered: what differs is the reading and writing of
the caller's dialect, and for kept responses the row in the store.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.faces_load import ADDRESSES
from bench.gateway_ground import (
    CLIENTS,
    KEY,
    LOAD_S,
    STREAMING_CLIENTS,
    WORKSPACE,
    Target,
    cpu_ns,
    free_port,
    process,
    wait_until_written,
)
from bench.gateway_vendor import EVENTS

COMMAND = "python -m bench faces"
GOALS = {"responses": 2.0, "responses, kept": 4.0, "messages": 2.0}


def run(quick: bool) -> list[dict[str, Any]]:
    """The ratios, and their terms."""
    rounds, whole, streams = (2, 600, 10) if quick else (7, 1500, 20)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interlock-bench-")))
        upstream = stack.enter_context(process(["-m", "bench.gateway_vendor"], folder))
        port = free_port()
        (folder / "interlock.yaml").write_text(WORKSPACE.format(upstream=upstream.port, port=port, key=KEY))
        serve = ["-c", "import sys; from interlock.cli.main import main; sys.exit(main())", "serve"]
        ours = stack.enter_context(process([*serve, "--workspace", str(folder)], folder, port=port))
        for face in ADDRESSES:
            cpu_us(ours, face, "whole", whole // 3)
        wholes = [{face: cpu_us(ours, face, "whole", whole) for face in ADDRESSES} for _ in range(rounds)]
        chunks = [
            {face: cpu_us(ours, face, "stream", streams) for face in ADDRESSES} for _ in range(max(2, rounds // 3))
        ]
    return [*figures("answer", wholes), *figures("streamed event", chunks)]


def cpu_us(target: Target, face: str, kind: str, count: int) -> float:
    """CPU of the server for one answer, or for one event of a stream. Every one must have come, or there is no figure."""
    clients = STREAMING_CLIENTS if kind == "stream" else CLIENTS
    command = [sys.executable, "-m", "bench.faces_load", str(target.port), str(count), str(clients), face, kind, KEY]
    before = cpu_ns(target.pid)
    done = subprocess.run(command, check=True, capture_output=True, timeout=LOAD_S)
    wait_until_written(target)
    spent = cpu_ns(target.pid) - before
    seen = json.loads(done.stdout)
    if seen["good"] != count or (kind == "stream" and seen["events"] < count * EVENTS):
        raise RuntimeError(f"{face}: {seen['good']} of {count} answers, {seen['events']} words came")
    return spent / (count * EVENTS if kind == "stream" else count) / 1000


def figures(what: str, rounds: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Medians of the rounds' ratios with their goals, and of what they are made of without."""
    made: list[dict[str, Any]] = []
    for face in ADDRESSES:
        if face != "chat":
            ratio = round(statistics.median(each[face] / each["chat"] for each in rounds), 2)
            goal = GOALS[face]
            name = f"CPU of one {what} through {face} ÷ through chat completions"
            made.append({"figure": name, "value": ratio, "unit": "ratio", "goal": f"<= {goal:g}", "ok": ratio <= goal})
    for face in ADDRESSES:
        value = round(statistics.median(each[face] for each in rounds), 1)
        made.append(
            {"figure": f"one {what} through {face}", "value": value, "unit": "CPU µs", "goal": None, "ok": None}
        )
    return [{**each, "command": COMMAND} for each in made]
