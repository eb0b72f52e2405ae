"""What the tests of the sandbox share: an interpreter that an unprivileged uid may run, sandboxes at a level, the attacks' findings."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest

from interlock.core.errors import SandboxRefused
from interlock.core.sandbox import Job, Level, RunLimits, RunOutcome, Sandbox
from interlock.core.time import SystemClock
from interlock.sandbox.attacks import ATTACKS, Attack
from interlock.sandbox.local import LocalSandbox, Options
from interlock.sandbox.prove import Finding, findings

ROOT = Path(__file__).resolve().parents[2]
Answer = TypeVar("Answer")
NOBODY = 65_534
SHORT = RunLimits(wall_s=30.0, cpu_s=15)


@cache
def open_interpreter() -> str:
    """A Python of this version that any uid may execute; empty when there is none."""
    for path in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/bin/python3.11"):
        try:
            told = subprocess.run(
                [path, "-I", "-S", "-c", "import sys; print(sys.version_info[:2])"],
                capture_output=True,
                text=True,
                user=NOBODY if os.geteuid() == 0 else None,
            )
        except OSError:
            continue
        if told.stdout.strip() == str(sys.version_info[:2]):
            return path
    return ""


def apart(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Runs it in a loop of its own, whether or not one is running here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def make(*, off: tuple[str, ...] = (), only: Level | None = None, **options: object) -> LocalSandbox:
    given = {"spares": 0, "interpreter": open_interpreter() if "tree" in off or only in ("landlock", "none") else ""}
    if only == "landlock":
        given["min_level"] = "landlock"
    if only == "none":
        given |= {"min_level": "none", "unsafe_no_isolation": True}
    return LocalSandbox(Options(**(given | options)), SystemClock(), off=frozenset(off), only=only)  # pyright: ignore[reportArgumentType]


@cache
def refusal() -> str:
    """Why this host cannot show level namespaces; empty when it can."""

    async def ask() -> str:
        sandbox = make()
        try:
            await sandbox.start()
        except SandboxRefused as refused:
            return str(refused)
        finally:
            await sandbox.close()
        return ""

    return apart(ask())


def require_namespaces() -> None:
    """Skips, saying why, where the host cannot isolate."""
    if refusal():
        pytest.skip(f"no namespaces here: {refusal()}")


@cache
def tried(off: tuple[str, ...] = (), only: Level | None = None) -> dict[str, Finding]:
    """What became of each attack with these layers off; with the filter off, without the calls that only it judges."""
    if not open_interpreter() and ("tree" in off or only):
        pytest.skip("no interpreter here that an unprivileged uid may run")

    async def attack() -> dict[str, Finding]:
        sandbox = make(off=off, only=only)
        try:
            await sandbox.start()
            pool = await sandbox.pool(Job("code", ""))
            zygote = await pool.warm()
            chosen = tuple(each for each in ATTACKS if "seccomp" not in off or each.group != "calls")
            return {found.attack: found for found in await findings(pool, zygote.layers, chosen)}
        finally:
            await sandbox.close()

    return apart(attack())


def first_wall(attack: Attack) -> str:
    return attack.walls[0].layer


async def run(sandbox: Sandbox, code: str, limits: RunLimits = SHORT, **fields: object) -> RunOutcome:
    return await sandbox.run(Job("code", code, limits=limits, **fields))  # pyright: ignore[reportArgumentType]
