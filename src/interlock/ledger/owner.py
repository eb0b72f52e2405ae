"""Who holds a lease or a file: a process, named so that anybody on its machine can tell whether it still runs.

Above: flight, tasks. Below: nothing. The name is `host:boot:pid:start`; a process id alone may be given out again.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


def this_owner() -> str:
    """The name of the process that asks."""
    pid = os.getpid()
    return f"{_machine()}:{pid}:{_started(pid)}"


def alive(owner: str) -> bool:
    """False when `owner` was a process of this machine and is gone; True when it runs or nobody here can tell."""
    parts = owner.split(":")
    if len(parts) != 4 or not parts[2].isdigit():
        return True
    host, boot = _machine().split(":")
    if parts[0] != host:
        return True
    return parts[1] == boot and _started(int(parts[2])) == parts[3] != ""


@cache
def _machine() -> str:
    """Host and boot: after a reboot no process of before is alive. Colons would be taken for separators."""
    return f"{socket.gethostname().replace(':', '-')}:{_boot()}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When the process started, in the kernel's own ticks; empty when there is none (or it is a zombie)."""
    try:
        # The command in parentheses may hold anything, so the fields are counted from the last parenthesis.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        return "" if Path("/proc/self/stat").exists() else _probed(pid)
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def _probed(pid: int) -> str:
    """Where there is no /proc: only whether the process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "running"
