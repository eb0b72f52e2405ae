"""What the sandbox is worth on this host: every attack carried out, which layer stopped it, and what holds each limit.

Above: cli/doctor. Below: config, the sandbox wing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from interlock.config.sandbox import SandboxSettings
from interlock.core.errors import SandboxRefused
from interlock.core.time import Clock
from interlock.sandbox.images import NAMES
from interlock.sandbox.prove import Finding

from .sandbox import Examined, sandbox_of


class Examination(Struct, frozen=True):
    """The whole report."""

    ok: bool
    """The configured level is proved: every attack was stopped."""
    level: str
    """The level in force; empty when foreign code is refused."""
    min_level: str
    refused: str
    """Why nothing would be run; empty when it would."""
    weaker: tuple[str, ...]
    """Why each stronger level is not in force."""
    landlock_abi: int
    groups: tuple[str, ...]
    """Controllers of control groups that can be used."""
    limits: dict[str, str]
    """What holds each limit of one call."""
    images: dict[str, str]
    """By name, `ready` or why not."""
    attacks: tuple[Finding, ...]

    def json(self) -> dict[str, Any]:
        told = {name: getattr(self, name) for name in self.__struct_fields__}
        attacks = [{name: getattr(each, name) for name in each.__struct_fields__} for each in self.attacks]
        return {**told, "weaker": list(self.weaker), "groups": list(self.groups), "attacks": attacks}


async def examine(settings: SandboxSettings, root: Path, clock: Clock) -> Examination:
    """Attacks the sandbox that the settings describe, this host's or a worker's. Raises nothing for what it finds."""
    sandbox = sandbox_of(settings, root, clock, None)
    try:
        level = await sandbox.start()
        attacks, abi = await sandbox.attacked()
        groups = sandbox.groups
        images = {name: await _ready(sandbox, name) for name in NAMES}
    except SandboxRefused as refused:
        return Examination(False, "", settings.min_level, str(refused), sandbox.weaker, 0, (), {}, {}, ())
    finally:
        await sandbox.close()
    through = any(not each.ok for each in attacks) and level != "none"
    return Examination(
        ok=not through,
        level=level,
        min_level=settings.min_level,
        refused="",
        weaker=sandbox.weaker,
        landlock_abi=abi,
        groups=tuple(sorted(groups)),
        limits=_limits(level, groups),
        images=images,
        attacks=tuple(attacks),
    )


async def _ready(sandbox: Examined, name: str) -> str:
    try:
        await sandbox.warm(name)
    except SandboxRefused as refused:
        return str(refused)
    return "ready"


def _limits(level: str, groups: frozenset[str]) -> dict[str, str]:
    """What holds each limit, for one process and for a tree of them."""
    tree = "namespaces" in level
    return {
        "wall": "timer, then SIGKILL to the namespace" if tree else "timer, then SIGKILL",
        "cpu": "rlimit per process"
        + (", control group for the tree" if "cpuacct" in groups else ", watched for the tree"),
        "memory": "rlimit per process"
        + (", control group for the tree" if "memory" in groups else ", watched for the tree"),
        "processes": "filter for one process"
        + (", rlimit of its user namespace" if tree else "")
        + (", control group" if "pids" in groups else ""),
        "output": "counted outside",
        "disk": "tmpfs of its own" if tree else "rlimit per file only",
        "inodes": "tmpfs of its own" if tree else "none",
        "open_files": "rlimit per process",
    }
