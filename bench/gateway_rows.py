"""How the gateway holds up beside the bare forwarder: added time, a thousand connections, ten thousand streams, memory, start-up.

Above: gateway. Below: gateway_ground.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.gateway_ground import (
    KEY,
    LOAD_S,
    Target,
    cpu_ns,
    crowd,
    figure,
    interlock,
    load,
    process,
    rss_kb,
)

RATE_PER_S = 50
DELAY_S = 0.5


def run(quick: bool) -> list[dict[str, Any]]:
    """All rows of this file."""
    with tempfile.TemporaryDirectory(prefix="interlock-bench-") as name:
        folder = Path(name)
        return [*added(folder, quick), *connections(folder, quick), *streams(folder, quick), *start(folder, quick)]


def added(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """Time that the gateway adds at 50 calls per second, as a multiple of what the bare forwarder adds; and memory."""
    count, rounds = (100, 2) if quick else (300, 4)
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(process(["-m", "bench.gateway_vendor"], folder, "0", "0.01", "20"))
        bare = stack.enter_context(process(["-m", "bench.baseline_forwarder"], folder, str(upstream.port)))
        ours = stack.enter_context(interlock(folder / "added", upstream.port))
        idle_mb = rss_kb(ours.pid) / 1024
        seen: dict[str, list[float]] = {}
        for _ in range(rounds):
            taken = {
                kind: [crowd("rate", each.port, count, RATE_PER_S, kind) for each in (upstream, bare, ours)]
                for kind in ("whole", "stream")
            }
            for kind, part, share in (("whole", "whole", 50), ("whole", "whole", 99), ("stream", "first", 50)):
                direct, forwarded, governed = (each[part][f"p{share}_ms"] for each in taken[kind])
                row = seen.setdefault(f"p{share} of a completion" if kind == "whole" else "time to the first event", [])
                row.append(max(0.0, governed - direct) / max(0.01, forwarded - direct))
                seen.setdefault(f"ms:{part}{share}", []).append(governed - direct)
        memory = grown(ours, quick)
    rows = [
        figure(f"added {name} at {RATE_PER_S}/s ÷ what the bare forwarder adds", median(ratios), "ratio", 2.5)
        for name, ratios in seen.items()
        if not name.startswith("ms:")
    ]
    times = {"ms:whole50": "p50", "ms:whole99": "p99", "ms:first50": "time to the first event"}
    rows += [figure(f"added {said}", median(seen[name]), "ms", None) for name, said in times.items()]
    return [*rows, figure("memory, idle", round(idle_mb, 1), "MiB", 80.0), *memory]


def grown(ours: Target, quick: bool) -> list[dict[str, Any]]:
    """Memory after many calls: flat once caches and pools are full."""
    calls = 10_000 if quick else 100_000
    load(ours, calls // 5, "whole")
    early = rss_kb(ours.pid) / 1024
    load(ours, calls * 4 // 5, "whole")
    late = rss_kb(ours.pid) / 1024
    return [
        figure(f"memory after {calls // 5:,} calls", round(early, 1), "MiB", None),
        figure(f"memory after {calls:,} calls ÷ that", round(late / early, 3), "ratio", 1.1),
    ]


def connections(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """1,000 connections at once on one worker, an upstream that takes half a second."""
    rounds = 2 if quick else 5
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(process(["-m", "bench.gateway_vendor"], folder, str(DELAY_S)))
        ours = stack.enter_context(interlock(folder / "crowd", upstream.port))
        direct = crowd("crowd", upstream.port, 1_000, rounds)
        governed = crowd("crowd", ours.port, 1_000, rounds)
    ratio = governed["p99_ms"] / direct["p99_ms"]
    return [
        figure("1,000 connections, 500 ms upstream: errors", governed["errors"], "calls", 0.0),
        figure("the same: p99 ÷ the direct one", round(ratio, 2), "ratio", 2.0),
        figure("the same: p99", round(governed["p99_ms"] / 1000, 2), "s", 2.0),
    ]


def streams(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """10,000 open streams at one event per second on two workers: the longest silence, and what each takes of memory."""
    count, seconds = (1_000, 5) if quick else (10_000, 20)
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(process(["-m", "bench.gateway_vendor"], folder, "0", "1", "600"))
        ours = stack.enter_context(interlock(folder / "streams", upstream.port, workers=2))
        before = rss_kb(ours.pid)
        command = [
            sys.executable,
            "-m",
            "bench.gateway_crowd",
            "streams",
            str(ours.port),
            str(count),
            str(seconds),
            KEY,
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            json.loads(child.stdout.readline())
            time.sleep(seconds / 2)
            each = (rss_kb(ours.pid) - before) / count
            seen: dict[str, Any] = json.loads(child.stdout.readline())
            child.wait(LOAD_S)
    return [
        figure(f"{count:,} open streams on two workers: those that were lost", count - seen["live"], "streams", 0.0),
        figure("the same: longest silence beyond the second between events", round(seen["longest_s"] - 1, 2), "s", 1.0),
        figure("the same: memory of each", round(each, 1), "KiB", 60.0),
    ]


def start(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """CPU until the door is open, beside a bare uvicorn app's."""
    pairs: list[tuple[float, float]] = []
    with process(["-m", "bench.gateway_vendor"], folder) as upstream:
        for turn in range(3 if quick else 9):
            with process(["-m", "bench.baseline_app"], folder) as bare:
                plain = cpu_ns(bare.pid) / 1e6
            with interlock(folder / f"start{turn}", upstream.port) as ours:
                pairs.append((plain, cpu_ns(ours.pid) / 1e6))
    ratio = statistics.median(ours / bare for bare, ours in pairs)
    return [
        figure("CPU of starting `interlock serve` ÷ a bare uvicorn app's", round(ratio, 2), "ratio", 3.0),
        figure("CPU of starting `interlock serve`", median([ours for _, ours in pairs]), "CPU ms", None),
    ]


def median(values: list[float]) -> float:
    return round(statistics.median(values), 2)
