"""`interlock backup`: a copy of the store while it is in use. Above: cli.main. Below: app/keeping."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .options import parser, say, workspace_path


def options() -> argparse.ArgumentParser:
    """What `interlock backup` takes."""
    made = parser("backup", "Copies the workspace's store into FILE, whatever is written to it meanwhile.", json=False)
    made.add_argument("file", type=Path, metavar="FILE", help="where the copy goes; it must not be there yet")
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when the copy is whole and on the disk."""
    given = options().parse_args(arguments)
    from interlock.app.keeping import backup
    from interlock.config.load import load

    size = backup(load(workspace_path(given.workspace)), given.file)
    say(
        f"{given.file}: {size / 1e6:.1f} MB, looked over and on the disk; `interlock restore {given.file}` puts it back"
    )
    return 0
