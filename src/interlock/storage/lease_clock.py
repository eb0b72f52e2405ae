"""The clock by which leases on one SQLite file go: the time since the machine started, which nobody can set.

Above: sqlite. Below: nothing. It is told in nanoseconds since the epoch, from an anchor that stands in a file beside the store: the first process after a start of the
machine writes there what its wall clock says, all others read it. (CLOCK_BOOTTIME: man 2 clock_gettime; it goes on while the machine sleeps.)
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from interlock.core.errors import StoreUnavailable

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def lease_clock(path: Path) -> Callable[[], int]:
    """For the store at `path`. Where the system does not say when it started, the wall clock has to do."""
    if not hasattr(time, "CLOCK_BOOTTIME") or not BOOT_ID.exists():
        return time.time_ns
    anchor_ns = 0

    def now_ns() -> int:
        nonlocal anchor_ns
        if not anchor_ns:
            anchor_ns = _anchor(path.with_name(f"{path.name}-clock"), BOOT_ID.read_text(encoding="ascii").strip())
        return anchor_ns + time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    return now_ns


def _anchor(path: Path, boot: str) -> int:
    """What stands in the file for this start of the machine; the first one to ask has it written. Raises StoreUnavailable."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        known = os.pread(file, 200, 0).decode("ascii", "replace").split()
        if len(known) == 2 and known[0] == boot and known[1].isdecimal():
            return int(known[1])
        anchor_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        os.pwrite(file, f"{boot} {anchor_ns:020d}\n".encode(), 0)
        return anchor_ns
    except OSError as error:
        raise _unusable(path, error) from error
    finally:
        os.close(file)


def _unusable(path: Path, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"{path}: what leases go by could not be read or written: {error}.",
        hint="Free space on that disk, or see that this user may write there; it is tried again.",
    )
