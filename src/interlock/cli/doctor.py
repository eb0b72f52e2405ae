"""`interlock doctor`: what the sandbox is worth on this host, found out by attacking it; with `--storage`, how the store stands; with `--ready`,
whether the workspace is ready for production.

Above: cli.main. Below: app/examine, upkeep, readiness.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.core.errors import ConfigError

from .options import parser, workspace_path
from .text import clean

if TYPE_CHECKING:
    from interlock.app.examine import Examination
    from interlock.config.sandbox import SandboxSettings


def options() -> argparse.ArgumentParser:
    """What `interlock doctor` takes."""
    made = parser("doctor", "Attacks the sandbox on this host for real, and names the layer that held each time.")
    made.add_argument("--attacks", action="store_true", help="one line per attack instead of one per layer")
    made.add_argument(
        "--storage",
        action="store_true",
        help="look at the store instead: sums, soundness, commits, what is left undone",
    )
    made.add_argument("--ready", action="store_true", help="hold the workspace and this host against a checklist")
    made.add_argument(
        "--backups", type=Path, metavar="DIR", help="--ready: where backups are, to see how old the newest is"
    )
    made.add_argument(
        "--backup-days", type=float, default=1.0, metavar="N", help="--ready: how old it may be (default: 1)"
    )
    made.add_argument(
        "--server",
        nargs="?",
        const="",
        metavar="URL",
        help="--ready: ask the server that runs, too (default: where the files say that it listens)",
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when the configured level is proved, 1 when foreign code would be refused or an attack got through."""
    taking = options()
    given = taking.parse_args(arguments)
    if given.backups and not given.ready:
        taking.error("--backups belongs to --ready")
    if given.server is not None and not given.ready:
        taking.error("--server belongs to --ready")
    if given.storage:
        from .upkeep import show

        return show(workspace_path(given.workspace), as_json=given.json)
    if given.ready:
        from . import readiness

        where, days = workspace_path(given.workspace), given.backup_days
        return readiness.show(where, given.backups, days, as_json=given.json, server=given.server)
    from interlock.app.examine import examine
    from interlock.core.time import SystemClock

    found = asyncio.run(examine(*_settings(given), SystemClock()))
    if given.json:
        print(json.dumps(found.json(), ensure_ascii=False))
    else:
        print("\n".join(clean(line) for line in render(found, each=given.attacks)))
    return 0 if found.ok else 1


def _settings(given: argparse.Namespace) -> tuple[SandboxSettings, Path]:
    """The workspace's and its folder, or the defaults where there is none: a host can be examined before anything is set up."""
    from interlock.config.load import load
    from interlock.config.sandbox import SandboxSettings

    try:
        path = workspace_path(given.workspace)
    except ConfigError:
        if given.workspace is not None:
            raise
        return SandboxSettings(), Path()
    found = load(path)
    return found.settings.sandbox, found.root


def render(found: Examination, *, each: bool) -> list[str]:
    """For people."""
    lines = [f"not in force  {reason}" for reason in found.weaker]
    if found.refused:
        return [*lines, f"refused: {found.refused}"]
    lines.append(f"in force      {found.level} (demanded: {found.min_level})")
    lines += [f"limit         {name}: {how}" for name, how in found.limits.items()]
    lines += [f"image         {name}: {how}" for name, how in found.images.items()]
    if each:
        lines += [f"attack        {one.attack}: {one.sign}, {one.held_by or 'nothing'} held" for one in found.attacks]
    else:
        held = Counter(one.held_by or "another layer" for one in found.attacks if one.ok)
        lines += [f"held          {layer}: {count} attacks" for layer, count in held.most_common()]
    through = [one.attack for one in found.attacks if not one.ok]
    lines += [f"OPEN          {name}" for name in through]
    stopped = len(found.attacks) - len(through)
    return [*lines, f"{stopped} of {len(found.attacks)} attacks were stopped."]
