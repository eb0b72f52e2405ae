"""CPU of one governed completion through `interlock serve`, as a multiple of the bare forwarder's; of one streamed event; and how it holds up.

The real server process with a workspace of its own (`gateway_ground.WORKSPACE`), the bare forwarder (`baseline_forwarder.py`), the same upstream,
the same load, in turns within one run. CPU is user and system time of every thread of the server's processes, the ledger's writer included.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench import gateway_rows
from bench.gateway_ground import STREAMING_CLIENTS, UNGUARDED, Taken, figure, interlock, load, process

CPU = "CPU µs per completion"


def run(quick: bool) -> list[dict[str, Any]]:
    """The ratios, and their terms."""
    rounds, whole, streams = (2, 2000, 10) if quick else (9, 4000, 40)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interlock-bench-")))
        upstream = stack.enter_context(process(["-m", "bench.gateway_vendor"], folder))
        bare = stack.enter_context(process(["-m", "bench.baseline_forwarder"], folder, str(upstream.port)))
        plain = stack.enter_context(process(["-m", "bench.baseline_forwarder"], folder, str(upstream.port), "asyncio"))
        ours = stack.enter_context(interlock(folder / "ours", upstream.port))
        bold = stack.enter_context(interlock(folder / "bold", upstream.port, workspace=UNGUARDED))
        targets = (bare, plain, ours, bold)
        for target in targets:
            load(target, whole // 2, "whole")
            load(target, STREAMING_CLIENTS, "stream")
        turns = [[load(each, whole, "whole").cpu_us for each in targets] for _ in range(rounds)]
        chunks = [(load(bare, streams, "stream"), load(ours, streams, "stream")) for _ in range(max(2, rounds // 2))]
    return [*completions(turns), *events(chunks), *gateway_rows.run(quick)]


def completions(turns: list[list[float]]) -> list[dict[str, Any]]:
    """Of CPU µs per completion of (bare, bare on asyncio's own loop, governed, governed without guards) by rounds."""

    def ratio(of: int, to: int) -> float:
        return round(statistics.median(turn[of] / turn[to] for turn in turns), 2)

    return [
        figure("CPU of a completion ÷ the bare forwarder's", ratio(2, 0), "ratio", 2.0),
        figure("the same without guards", ratio(3, 0), "ratio", 4.0),
        figure("a completion ÷ one through the bare forwarder on asyncio's own loop", ratio(2, 1), "ratio", None),
        figure("the same without guards", ratio(3, 1), "ratio", 4.0),
        *(
            figure(f"a completion through {name}", round(statistics.median(turn[at] for turn in turns), 2), CPU, None)
            for at, name in ((2, "`interlock serve`"), (3, "the same without guards"), (0, "the bare forwarder"))
        ),
    ]


def events(pairs: list[tuple[Taken, Taken]]) -> list[dict[str, Any]]:
    """Of (bare, governed) by rounds: the median of their ratios with its goal, and the medians of both terms without one."""
    ratio = statistics.median(ours.cpu_us / bare.cpu_us for bare, ours in pairs)
    terms = [
        ("through `interlock serve`", statistics.median(ours.cpu_us for _, ours in pairs)),
        ("through the bare forwarder", statistics.median(bare.cpu_us for bare, _ in pairs)),
    ]
    return [
        figure("CPU of a streamed event ÷ the bare forwarder's", round(ratio, 2), "ratio", 1.3),
        *(figure(f"a streamed event {name}", round(value, 2), "CPU µs per event", None) for name, value in terms),
    ]
