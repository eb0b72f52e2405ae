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
from bench.gateway_ground import STREAMING_CLIENTS, Taken, figure, interlock, load, process


def run(quick: bool) -> list[dict[str, Any]]:
    """The ratios, and their terms."""
    rounds, whole, streams = (2, 1500, 10) if quick else (9, 2500, 40)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interlock-bench-")))
        upstream = stack.enter_context(process(["-m", "bench.gateway_vendor"], folder))
        bare = stack.enter_context(process(["-m", "bench.baseline_forwarder"], folder, str(upstream.port)))
        plain = stack.enter_context(process(["-m", "bench.baseline_forwarder"], folder, str(upstream.port), "asyncio"))
        ours = stack.enter_context(interlock(folder / "ours", upstream.port))
        for target in (bare, plain, ours):
            load(target, whole // 2, "whole")
            load(target, STREAMING_CLIENTS, "stream")
        turns = [tuple(load(each, whole, "whole") for each in (bare, plain, ours)) for _ in range(rounds)]
        pairs = [(on_uvloop, governed) for on_uvloop, _, governed in turns]
        by_itself = statistics.median(governed.cpu_us / on_asyncio.cpu_us for _, on_asyncio, governed in turns)
        chunks = [(load(bare, streams, "stream"), load(ours, streams, "stream")) for _ in range(max(2, rounds // 2))]
    return [
        *figures("completion", "CPU µs per completion", pairs, 2.0),
        figure("the same ÷ the bare forwarder on asyncio's own loop", round(by_itself, 2), "ratio", None),
        *figures("streamed event", "CPU µs per event", chunks, 1.3),
        *gateway_rows.run(quick),
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
