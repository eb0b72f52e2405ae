"""`interlock migrate`: how far the store's schema is, and bringing it on around an upgrade. Above: main. Below: app/migrating."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from .options import parser, say, workspace_path
from .text import clean, plural

if TYPE_CHECKING:
    from interlock.app.migrating import SchemaState


def options() -> argparse.ArgumentParser:
    """What `interlock migrate` takes."""
    made = parser("migrate", "Shows how far the store's schema is, or runs the part of an upgrade that is named.")
    which = made.add_mutually_exclusive_group()
    which.add_argument(
        "--pre", action="store_true", help="add what the new version needs; the old one goes on meanwhile"
    )
    which.add_argument(
        "--post", action="store_true", help="take away what only the old version needed, once it is gone"
    )
    which.add_argument("--status", action="store_true", help="show what is pending (the default)")
    made.add_argument("--force", action="store_true", help="--post: do not ask whether older processes are there")
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when done, and for --status when nothing is pending that this version needs; else 1."""
    taking = options()
    given = taking.parse_args(arguments)
    if given.force and not given.post:
        taking.error("--force belongs to --post")
    from interlock.app.migrating import migrate, state
    from interlock.config.load import load

    workspace = load(workspace_path(given.workspace))
    done = migrate(workspace, "pre" if given.pre else "post", force=given.force) if given.pre or given.post else []
    now = state(workspace)
    if given.json:
        print(json.dumps({**msgspec.to_builtins(now), "done": done}))
    else:
        for name in done:
            say(f"ran       {name}")
        print("\n".join(clean(line) for line in shown(now)))
    return 1 if now.pre else 0


def shown(now: SchemaState) -> list[str]:
    """For people."""
    lines = [f"store     {now.store}", f"schema    {now.schema}; this version knows {plural(now.knows, 'script')}"]
    lines += [f"pre       {name}: needed before this version can start" for name in now.pre]
    lines += [f"post      {name}: to be run when no older process is left" for name in now.post]
    return lines if now.pre or now.post else [*lines, "pending   nothing"]
