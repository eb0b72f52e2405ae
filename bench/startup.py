"""CPU of starting the command line, as a multiple of starting the bare interpreter; and of the server, as one of a bare uvicorn app."""

from __future__ import annotations

import compileall
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import interlock

from .gateway_rows import start

COMMAND = "python -m bench startup"


def cpu_ms(command: list[str], times: int) -> float:
    """Median CPU (user + system) of one run of `command`, in milliseconds."""
    samples: list[float] = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        samples.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)
    return statistics.median(samples)


def run(quick: bool) -> list[dict[str, Any]]:
    """The ratio, and both of its terms."""
    times = 10 if quick else 40
    bare = [sys.executable, "-c", "pass"]
    ours = [str(Path(sys.executable).with_name("interlock")), "--version"]
    for command in (bare, ours):
        cpu_ms(command, 3)
    bare_ms, ours_ms = cpu_ms(bare, times), cpu_ms(ours, times)
    ratio = ours_ms / bare_ms
    # Compiled before, as an installed package is: a checkout that has just changed would be compiled at each start.
    compileall.compile_dir(Path(interlock.__file__).parent, quiet=1)
    with tempfile.TemporaryDirectory() as folder:
        served = [each | {"command": COMMAND} for each in start(Path(folder), quick)]
    return [
        {
            "figure": "CPU of `interlock --version` ÷ CPU of `python -c pass`",
            "value": round(ratio, 2),
            "unit": "ratio",
            "goal": "<= 4",
            "ok": ratio <= 4,
            "command": COMMAND,
        },
        {
            "figure": "`interlock --version`",
            "value": round(ours_ms, 1),
            "unit": "CPU ms",
            "goal": None,
            "ok": None,
            "command": COMMAND,
        },
        {
            "figure": "`python -c pass`",
            "value": round(bare_ms, 1),
            "unit": "CPU ms",
            "goal": None,
            "ok": None,
            "command": COMMAND,
        },
        *served,
    ]
