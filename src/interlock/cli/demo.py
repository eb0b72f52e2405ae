"""`interlock run --demo`: a store of its own each time, so that every figure at the end is of this run.

Above: `run`. Below: the standard library. Only a folder that an earlier demo made is deleted; any other is set aside.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from interlock.core.errors import ConfigError, Fault
from interlock.core.time import Clock

MARK = "made-by-demo"


def fresh_store(root: Path, store: Path, clock: Clock) -> Path | None:
    """Empties the folder of the workspace's store; returns where an earlier one that was no demo's has been moved to.

    Raises:
        ConfigError: the store lies in a folder that holds other things as well.
    """
    folder = store.parent
    if folder == root or root not in folder.parents:
        raise ConfigError(
            [Fault(str(root), 0, 0, "store", "--demo starts with an empty store, and this one has no folder of its own")]
        )
    aside = None
    if (folder / MARK).is_file():
        shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        at = datetime.fromtimestamp(clock.wall_ns() / 1e9, tz=UTC).astimezone()
        aside = folder.with_name(f"{folder.name}-before-demo-{at:%Y%m%d-%H%M%S}")
        folder.rename(aside)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text("`interlock run --demo` made this folder and deletes it when it runs again.\n")
    return aside
