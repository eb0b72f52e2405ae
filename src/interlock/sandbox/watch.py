"""Limits of a tree of processes where no control group holds them: looked at from outside, every few milliseconds. Above: local.

Softer than a group: a tree that allocates fast overshoots between two looks. Used only for calls that may start processes.
Source of the fields: proc(5), `/proc/PID/statm`, `stat` and `smaps_rollup`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from .talk import Talk

EVERY_S = 0.02
EVERY_S_OF_A_LIFE = 0.2
"""Of a program that lives on: a look costs up to a millisecond of CPU, and a server is idle most of the time."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


async def watch(talk: Talk, every_s: float = EVERY_S) -> None:
    """Ends the call when its tree takes too much memory or CPU; runs until cancelled or the tree is gone."""
    child = talk.child
    pid = child.pid if child is not None else 0
    held = talk.leaf is not None and talk.leaf.limits_memory
    spent_s = 0.0
    while pid and talk.usable:
        tree = processes(pid)
        if not held and _too_much(tree, talk.limits.memory_bytes):
            talk.stop("memory")
            return
        counted = talk.leaf.counted().cpu_s if talk.leaf is not None else None
        spent_s = counted if counted is not None else max(spent_s, sum(cpu_s(each) for each in tree))
        if spent_s > talk.limits.cpu_s:
            talk.stop("cpu")
            return
        await asyncio.sleep(every_s)


def processes(pid: int) -> list[int]:
    """A process and all that came of it; orphans are children of pid 1 of their namespace, so none is missed."""
    found, at = [pid], 0
    while at < len(found):
        try:
            for task in Path(f"/proc/{found[at]}/task").iterdir():
                found += [int(each) for each in (task / "children").read_text(encoding="ascii").split()]
        except OSError:
            pass
        at += 1
    return found


def _too_much(tree: list[int], limit_bytes: int) -> bool:
    """First by a count that is cheap and too high, since forks share pages; then, where that says so, by each one's share of them."""
    return sum(map(resident, tree)) > limit_bytes and sum(map(proportional, tree)) > limit_bytes


def proportional(pid: int) -> int:
    """Bytes of anonymous and shared memory, each page divided among the processes that have it; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except PermissionError:
        return resident(pid)
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))) * 1024


def resident(pid: int) -> int:
    """Bytes in memory that the process has not from a file, pages that it shares with others in full; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE


def cpu_s(pid: int) -> float:
    """Seconds of CPU of the process and of those it waited for; 0 when it is gone."""
    try:
        after = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in after[11:15]) / _TICKS
