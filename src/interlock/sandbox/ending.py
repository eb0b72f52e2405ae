"""What became of a call, from what is left of its child: the answer, the kernel's word, the groups' counts. Above: talk. Below: wire, core."""

from __future__ import annotations

import os
import signal

from msgspec import Struct

from interlock.core.sandbox import Ended, Level, RunError, RunLimits, RunOutcome, RunStatus, RunUsage

from . import wire
from .cgroups import Counted
from .zygotes import Exit


class Left(Struct, frozen=True):
    """What is known beside the answer."""

    level: Level
    limits: RunLimits
    stopped: Ended
    """The limit for which it was killed from outside."""
    exit: Exit | None
    """`None` while it lives, as a session's child does."""
    counted: Counted
    wall_s: float


def outcome(left: Left, reader: wire.Reader, stdout: str, stderr: str) -> RunOutcome:
    """The outcome of one call."""
    ended, counted, result = left.exit, left.counted, reader.result
    why = left.stopped or (limit_of(ended, counted, left.limits) if result is None else result.limit)
    error = result.error if result is not None else None
    exit_code = result.exit_code if result is not None else (os.waitstatus_to_exitcode(ended.status) if ended else None)
    return RunOutcome(
        status=_status(why, result),
        level=left.level,
        ended_by=why,
        touched=("processes",) if counted.out_of_processes and why != "processes" else (),
        value=result.value if result is not None else None,
        shown=result.repr if result is not None else "",
        stdout=stdout,
        stderr=stderr,
        error=RunError(error.type, error.message, error.traceback, error.code, error.hint) if error else None,
        exit_code=exit_code,
        files=tuple(reader.files) if result is not None else (),
        usage=RunUsage(
            wall_s=left.wall_s,
            cpu_s=counted.cpu_s if counted.cpu_s is not None else (ended.cpu_us / 1e6 if ended else 0.0),
            peak_bytes=counted.peak_bytes or (ended.peak_kb * 1024 if ended else 0),
        ),
    )


def _status(why: Ended, result: wire.Result | None) -> RunStatus:
    if why:
        return "limit"
    return result.status if result is not None else "exited"


def limit_of(ended: Exit | None, counted: Counted, limits: RunLimits) -> Ended:
    """The limit that the kernel enforced on a child that left no result; empty where it was none."""
    if counted.out_of_memory:
        return "memory"
    if ended is None:
        return ""
    killed = os.WIFSIGNALED(ended.status) and os.WTERMSIG(ended.status) in (signal.SIGKILL, signal.SIGXCPU)
    # Nobody inside can send pid 1 a SIGKILL, so it was the kernel; its rlimit counts ticks, which differ from what was really spent.
    return "cpu" if killed and ended.cpu_us >= limits.cpu_s * 500_000 else ""
