"""`interlock init [DIR]`: a small workspace that runs at once, without a key."""

from __future__ import annotations

import argparse
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from interlock.core.errors import ConfigError, Fault

from .options import say

STARTER = Path(__file__).parent / "starter"


def options() -> argparse.ArgumentParser:
    """What `interlock init` takes."""
    made = argparse.ArgumentParser(prog="interlock init", description="Makes a workspace to start from.")
    made.add_argument("directory", nargs="?", type=Path, default=Path(), metavar="DIR", help="where (default: here)")
    return made


def run(arguments: Sequence[str]) -> int:
    """Copies the starter workspace; files that are there already are never touched."""
    folder: Path = options().parse_args(arguments).directory
    copies = {source: folder / target_of(source) for source in sorted(STARTER.rglob("*")) if is_ours(source)}
    there = [target for target in copies.values() if target.exists()]
    if there:
        names = ", ".join(str(path) for path in there[:5])
        raise ConfigError(
            [Fault(str(folder), 0, 0, "init", f"already there: {names}", "Nothing was written. Name an empty folder.")]
        )
    for source, target in copies.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    say(f"made a workspace of {len(copies)} files in {folder.resolve()}")
    where = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    say(f"next: {where}interlock check && interlock run helpdesk --input inputs.jsonl")
    return 0


def is_ours(source: Path) -> bool:
    """A file of the starter, not something that an import left beside it."""
    return source.is_file() and "__pycache__" not in source.parts


def target_of(source: Path) -> Path:
    """Where a file of the starter goes; `gitignore` is stored without its dot so that packaging keeps it."""
    relative = source.relative_to(STARTER)
    return Path(".gitignore") if relative.name == "gitignore" else relative
