"""`interlock restore`: a backup in the place of the store. Above: cli.main. Below: app/keeping."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .erase import told
from .options import parser, say, workspace_path


def options() -> argparse.ArgumentParser:
    """What `interlock restore` takes."""
    made = parser(
        "restore", "Puts a backup in the place of the workspace's store, which is kept beside it.", json=False
    )
    made.add_argument("file", type=Path, metavar="FILE", help="what `interlock backup` wrote")
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when the backup is in place, 1 where something is left in it of what was erased since it was made."""
    given = options().parse_args(arguments)
    from interlock.app.keeping import restore
    from interlock.config.load import load

    workspace = load(workspace_path(given.workspace))
    done = restore(workspace, given.file)
    say(f"{workspace.store} is {given.file} now" + (f"; what stood there is {done.before}" if done.before else ""))
    for each in done.erased:
        told(each)
    return 0 if all(each.whole for each in done.erased) else 1
