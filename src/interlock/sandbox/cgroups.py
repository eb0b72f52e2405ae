"""Control groups around a child: the only limits that hold for a tree of processes. Above: pool, talk. Below: the cgroup file systems.

Version 2 is used where a part of the tree is delegated to this process (`Delegate=yes`, or `sandbox.cgroup`); it moves itself into a leaf there. Version 1 is used only for
controllers in whose root this process stands: a group that something else put us into is that one's business. Leaves are used again, since
making one costs more than a call may; each is empty when it is lent. Source: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from errno import EBUSY
from pathlib import Path

from msgspec import Struct

from interlock.core.sandbox import RunLimits

_WANTED = ("memory", "pids", "cpu", "cpuacct")
_V1_ROOT = "/"
_SERVICE = "interlock-service"
"""Where this service's own processes stand, in a part of the tree that is delegated to it whole."""


class Counted(Struct, frozen=True):
    """What a leaf counted since it was lent."""

    cpu_s: float | None = None
    peak_bytes: int | None = None
    out_of_memory: bool = False
    out_of_processes: bool = False


class Leaf:
    """One group per controller (version 1), or one for all (version 2). Its counters stay open: they are read for every call."""

    def __init__(self, folders: dict[str, Path], *, unified: bool) -> None:
        self._folders = folders
        self._unified = unified
        self._limits: dict[str, int] = {}
        self._counters = dict(_counters(folders, unified=unified))
        self._before = self._read()
        self.doors = tuple(
            os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for folder in set(folders.values())
        )
        """Handed to a child, which writes 0 to each and so moves itself in; from outside the same write would hold up the event loop."""

    @property
    def limits_memory(self) -> bool:
        return "memory" in self._folders

    def lend(self, limits: RunLimits, tasks: int) -> None:
        """Sets what one call may use, and starts counting anew."""
        if "memory" in self._folders:
            most = limits.memory_bytes + limits.disk_bytes
            self._limit("memory", "memory.max" if self._unified else "memory.limit_in_bytes", most)
            if self._unified:
                self._limit("memory", "memory.swap.max", 0)
                self._limit("memory", "memory.oom.group", 1)
        if "pids" in self._folders:
            self._limit("pids", "pids.max", tasks)
        self._before = self._read()

    def counted(self) -> Counted:
        used = {name: now - self._before[name] for name, now in self._read().items()}
        per_s = 1e6 if self._unified else 1e9
        return Counted(
            cpu_s=used["cpu"] / per_s if "cpu" in used else None,
            out_of_memory=used.get("oom", 0) > 0,
            out_of_processes=used.get("pids", 0) > 0,
        )

    def remove(self) -> None:
        for fd in (*self.doors, *(fd for fd, _ in self._counters.values())):
            os.close(fd)
        self.doors, self._counters = (), {}
        for folder in set(self._folders.values()):
            with suppress(OSError):
                folder.rmdir()

    def _limit(self, controller: str, name: str, value: int) -> None:
        if self._limits.get(name) != value:
            (self._folders[controller] / name).write_text(str(value))
            self._limits[name] = value

    def _read(self) -> dict[str, int]:
        """The kernel's running counts, as far as something counts."""
        return {name: _number(os.pread(fd, 4096, 0), key) for name, (fd, key) in self._counters.items()}


def _counters(folders: dict[str, Path], *, unified: bool) -> Iterator[tuple[str, tuple[int, bytes]]]:
    """(descriptor, key of the line; empty for a file of one number) by what is counted."""
    sources = {
        "cpu": ("cpuacct", "cpu.stat", b"usage_usec") if unified else ("cpuacct", "cpuacct.usage", b""),
        "oom": ("memory", "memory.events" if unified else "memory.oom_control", b"oom_kill"),
        "pids": ("pids", "pids.events", b"max"),
    }
    for what, (controller, name, key) in sources.items():
        folder = folders.get(controller)
        if folder is not None:
            yield what, (os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC), key)


class Cgroups:
    """The part of the tree that is ours, and its leaves."""

    def __init__(self, bases: dict[str, Path], *, unified: bool) -> None:
        self._bases = bases
        self._unified = unified
        self._free: list[Leaf] = []
        self._made: list[Leaf] = []
        self._names = 0

    @property
    def holds(self) -> frozenset[str]:
        """The controllers that can be used: of memory, pids, cpuacct."""
        return frozenset(self._bases)

    @property
    def whole(self) -> bool:
        """Memory and processes of a tree can be limited."""
        return {"memory", "pids"} <= self._bases.keys()

    def lend(self, limits: RunLimits, tasks: int) -> Leaf | None:
        """An empty leaf with these limits; `None` where there are no groups."""
        if not self._bases:
            return None
        while self._free:
            leaf = self._free.pop()
            try:
                leaf.lend(limits, tasks)
            except OSError:  # version 1 refuses a limit below what an earlier call's pages still take
                leaf.remove()
                self._made.remove(leaf)
            else:
                return leaf
        leaf = self._make()
        leaf.lend(limits, tasks)
        return leaf

    def give_back(self, leaf: Leaf) -> None:
        """Takes back a leaf whose processes are all dead."""
        self._free.append(leaf)

    def close(self) -> None:
        """Removes every group that was made here."""
        for leaf in self._made:
            leaf.remove()
        for base in set(self._bases.values()):
            with suppress(OSError):
                base.rmdir()

    def _make(self) -> Leaf:
        self._names += 1
        name = f"c{self._names}"
        folders = {controller: base / name for controller, base in self._bases.items()}
        for folder in set(folders.values()):
            folder.mkdir(exist_ok=True)
        leaf = Leaf(folders, unified=self._unified)
        self._made.append(leaf)
        return leaf


def find(configured: str = "", *, proc: Path = Path("/proc/self"), token: str = "") -> Cgroups:
    """The groups that this process may make: version 2 where delegated, else version 1, else none.

    Args:
        configured: a directory of the unified hierarchy that is delegated to this process; `off` for none.
        token: tells this process's groups from those of others.
    """
    name = f"interlock-{token or os.getpid()}"
    if configured == "off":
        return Cgroups({}, unified=False)
    mounts = dict(_mounts(proc / "mountinfo"))
    own = dict(_own(proc / "cgroup"))
    candidates = [Path(configured)] if configured else _delegated(mounts.get(""), own.get(""))
    for base in candidates:
        if _enable(base):
            _sweep(base)
            made = base / name
            with suppress(OSError):
                made.mkdir(exist_ok=True)
                if _enable(made):
                    return Cgroups(dict.fromkeys(("memory", "pids", "cpuacct"), made), unified=True)
                made.rmdir()
    return Cgroups(dict(_version_1(mounts, own, name)), unified=False)


def _delegated(mount: Path | None, own: str | None) -> list[Path]:
    """Our own unified group and the one above it (with `DelegateSubgroup=` we stand in a leaf of what is delegated)."""
    if mount is None or own is None:
        return []
    here = mount / own.lstrip("/")
    return [
        folder for folder in (here, here.parent) if folder != mount and folder.is_relative_to(mount) and _ours(folder)
    ]


def _ours(folder: Path) -> bool:
    """Whether whoever manages the tree gave this part away: systemd marks it, others hand it to our user."""
    with suppress(OSError):
        return os.getxattr(folder, "user.delegate") == b"1" or 0 != folder.stat().st_uid == os.geteuid()
    with suppress(OSError):
        return 0 != folder.stat().st_uid == os.geteuid()
    return False


def _enable(base: Path, controllers: tuple[str, ...] = ("memory", "pids")) -> bool:
    """Whether groups below `base` can limit memory and processes, switching that on where it is off."""
    switch = base / "cgroup.subtree_control"
    wanted = " ".join(f"+{each}" for each in controllers)
    try:
        if not set(controllers) <= set(switch.read_text().split()):
            try:
                switch.write_text(wanted)
            except OSError as busy:
                if busy.errno != EBUSY:
                    raise
                _step_aside(base)
                switch.write_text(wanted)
        return True
    except OSError:
        return False


def _step_aside(base: Path) -> None:
    """Moves the processes that stand in `base`, this one among them, into a group below: a group limits groups only when no process is in it itself.

    Only what was delegated to us is asked for; the processes in it are this service's.
    """
    aside = base / _SERVICE
    aside.mkdir(exist_ok=True)
    for pid in (base / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):
            (aside / "cgroup.procs").write_text(pid)


def _version_1(mounts: dict[str, Path], own: dict[str, str], name: str) -> Iterator[tuple[str, Path]]:
    for controller in _WANTED:
        if controller == "cpu" or own.get(controller) != _V1_ROOT or controller not in mounts:
            continue
        base = mounts[controller] / name
        _sweep(base.parent)
        try:
            base.mkdir(exist_ok=True)
        except OSError:
            continue
        yield controller, base


def _sweep(base: Path) -> None:
    """Removes the empty groups of processes that were killed before they could; those of living ones are left."""
    for left in base.glob("interlock-[0-9]*"):
        if not Path(f"/proc/{left.name.removeprefix('interlock-')}").exists():
            for folder in (*left.glob("c[0-9]*"), left):
                with suppress(OSError):
                    folder.rmdir()


def _mounts(mountinfo: Path) -> Iterator[tuple[str, Path]]:
    """Mount point by controller; the unified hierarchy under the empty name."""
    with suppress(OSError):
        for line in mountinfo.read_text().splitlines():
            before, _, after = line.partition(" - ")
            kind, _, options = after.split(" ")[:3]
            point = Path(before.split(" ")[4])
            if kind == "cgroup2":
                yield "", point
            elif kind == "cgroup":
                for controller in options.split(","):
                    yield controller, point


def _own(cgroup: Path) -> Iterator[tuple[str, str]]:
    """Our own group's path by controller; the unified one under the empty name."""
    with suppress(OSError):
        for line in cgroup.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                yield controller, path


def _number(text: bytes, key: bytes) -> int:
    if not key:
        return int(text)
    for line in text.splitlines():
        name, _, value = line.partition(b" ")
        if name == key:
            return int(value)
    return 0
