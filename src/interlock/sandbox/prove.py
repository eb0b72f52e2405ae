"""The proof of a level: the attacks are carried out for real, and every one must have been stopped. Above: local, doctor."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from interlock.core.errors import SandboxRefused
from interlock.core.sandbox import Job, Level, RunLimits

from .attacks import ATTACKS, OPEN, Attack, Targets, program
from .pool import Pool

_LIMITS = RunLimits(wall_s=20.0, cpu_s=10)
_OPEN_WITHOUT = {
    "tree": frozenset(("see host folders",)),  # what level landlock leaves open, and says so: metadata of paths
    "landlock": frozenset(("list the root of the tree",)),  # names in a tree of our own making
}
"""What is open without a layer, and harmless enough that a level which does without it is one."""


class Finding(Struct, frozen=True):
    """What became of one attack."""

    attack: str
    group: str
    sign: str
    """An errno or a word; `OPEN` when the attack succeeded."""
    held_by: str
    """The layer that stopped it; empty when the sign is none that was expected."""
    ok: bool


@contextmanager
def targets() -> Generator[Targets]:
    """Real things to aim at, gone afterwards."""
    secret = secrets.token_hex(8)
    folder = Path(tempfile.mkdtemp(prefix=f"interlock-canary-{os.getpid()}-"))
    canary = folder / "canary"
    canary.touch(0o600)
    canary.write_text(secret, encoding="ascii")
    try:
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
            abstract.bind(f"\0interlock-{secret}")
            abstract.listen(8)
            yield Targets(str(canary), secret, os.getpid(), tcp.getsockname()[1], f"interlock-{secret}")
    finally:
        canary.unlink()
        folder.rmdir()


async def findings(pool: Pool, layers: frozenset[str], attacks: tuple[Attack, ...] = ATTACKS) -> list[Finding]:
    """Tries the attacks in one child of the pool.

    Raises:
        SandboxRefused: a layer could not be put on, or the child did not answer.
    """
    with targets() as aims:
        job = Job("code", program(attacks, aims), limits=_LIMITS)
        talk = await pool.take(job)
        try:
            outcome = await talk.ask(job)
        finally:
            pool.end(talk)
    try:
        signs = msgspec.convert(outcome.value, dict[str, str])
    except msgspec.ValidationError:
        signs = {}
    if not signs.keys() >= {attack.name for attack in attacks}:
        raise SandboxRefused(
            f"the attacks could not be tried: {outcome.status} {outcome.ended_by} {outcome.stderr[:500]}"
        )
    return [_finding(attack, signs[attack.name], layers) for attack in attacks]


def _finding(attack: Attack, sign: str, layers: frozenset[str]) -> Finding:
    open_by_design = any(attack.name in names for layer, names in _OPEN_WITHOUT.items() if layer not in layers)
    return Finding(attack.name, attack.group, sign, attack.held_by(sign, layers), sign != OPEN or open_by_design)


async def hold(pool: Pool, level: Level) -> list[Finding]:
    """The findings, when every attack was stopped.

    Raises:
        SandboxRefused: one was not; its name is in the message.
    """
    zygote = await pool.warm()
    found = await findings(pool, zygote.layers)
    through = [finding.attack for finding in found if not finding.ok]
    if through:
        raise SandboxRefused(f"attacks got through at level {level}: {', '.join(through)}")
    return found
