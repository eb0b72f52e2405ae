"""`interlock run --demo`: a store of its own each time, so that every figure at the end is of this run.

Above: `run`. Below: the standard library. Only what an earlier demo made is deleted; anything else is set aside.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from interlock.core.errors import ConfigError, Fault
from interlock.core.time import Clock

MARK = "made-by-demo"
ASIDE = "before-demo-"
KEPT = ("tier0", "server.key")
"""What is no result of a run: what the on-device tier has learned from the examples, and the key of `interlock serve`."""


def fresh_store(root: Path, store: Path, clock: Clock) -> Path | None:
    """Empties the folder of the workspace's store; returns where its content has been moved to when no demo had made it.

    Raises:
        ConfigError: the store lies in a folder that holds other things as well.
    """
    folder = store.parent
    if folder == root or root not in folder.parents:
        fault = Fault(
            str(root), 0, 0, "store", "--demo begins with an empty store, and this one has no folder of its own"
        )
        raise ConfigError([fault])
    folder.mkdir(parents=True, exist_ok=True)
    found = [path for path in folder.iterdir() if path.name not in KEPT and not path.name.startswith(ASIDE)]
    aside = None
    if (folder / MARK).is_file():
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif found:
        at = datetime.fromtimestamp(clock.wall_ns() / 1e9, tz=UTC).astimezone()
        aside = folder / f"{ASIDE}{at:%Y%m%d-%H%M%S}"
        aside.mkdir()
        for path in found:
            path.rename(aside / path.name)
    (folder / MARK).write_text("`interlock run --demo` made the files here and deletes them when it runs again.\n")
    return aside
