"""`make bench`: every bench in this folder, each a module with `run(quick) -> list[Figure]`.

Figures are ratios against a baseline measured in the same run wherever speed is meant, so that they hold on another
machine. Each bench writes `bench/results/NAME.json` and prints the same as a table.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

NAMES = (
    "startup",
    "ledger",
    "store",
    "store_postgres",
    "bodies",
    "gateway",
    "peers",
    "faces",
    "walk",
    "tier0",
    "memory",
    "overload",
    "router",
    "semcache",
    "sandbox",
    "limits",
    "dashboard",
    "policy",
    "pii",
    "sealing",
    "anomalies",
    "alarms",
    "runtime",
    "workers",
    "dispatch",
)
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all of them when none is given"
    )
    parser.add_argument("--quick", action="store_true", help="smaller samples; the results are not written")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(NAMES)}")
    missed = 0
    for name in options.names or NAMES:
        print(f"\n== {name}", flush=True)
        figures: list[dict[str, Any]] = importlib.import_module(f"bench.{name}").run(options.quick)
        print(table(figures), flush=True)
        missed += sum(figure["ok"] is False for figure in figures)
        if not options.quick and figures:
            write(name, figures)
    print(f"\n{missed} figure(s) missed their goal" if missed else "\nevery goal met")
    return 1 if missed else 0


def write(name: str, figures: list[dict[str, Any]]) -> None:
    """Keeps the figures with the machine and the date on which they were measured."""
    RESULTS.mkdir(exist_ok=True)
    result = {"machine": machine(), "date": dt.datetime.now(dt.UTC).date().isoformat(), "figures": figures}
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")


def machine() -> str:
    """The machine in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    return (
        f"{os.cpu_count()} cores, {model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def table(figures: list[dict[str, Any]]) -> str:
    """The figures for a person; `ok` is empty where there is no goal."""
    marks = {True: "yes", False: "NO", None: ""}
    rows = [("figure", "value", "unit", "goal", "ok")]
    for figure in figures:
        value = f"{figure['value']:,.4g}" if isinstance(figure["value"], float) else str(figure["value"])
        rows.append((figure["figure"], value, figure["unit"], str(figure["goal"] or ""), marks[figure["ok"]]))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


if __name__ == "__main__":
    sys.exit(main())
