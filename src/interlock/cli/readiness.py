"""What `interlock doctor --ready` shows. Above: doctor. Below: app/ready, app/ready_live."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .options import print_json
from .text import clean


def show(root: Path, backups: Path | None, days: float, *, as_json: bool, server: str | None = None) -> int:
    """0 without a fault, else 1; warnings are somebody's to decide. `server`: the address of one that runs, empty: where the files say."""
    from interlock.app.ready import looked
    from interlock.config.load import load
    from interlock.core.time import SystemClock

    workspace = load(root)
    found = looked(workspace, SystemClock(), backups, days)
    if server is not None:
        from interlock.app.ready_live import lines

        from .reload import address_of, key_of

        found += lines(workspace, server or address_of(workspace), key_of(workspace))
    counted = Counter(each.level for each in found)
    if as_json:
        print_json({"ok": not counted["fault"], "lines": found})
        return 1 if counted["fault"] else 0
    for each in found:
        print(clean(f"{each.level:<8} {each.about:<10} {each.said}"))
        if each.do and each.level != "ok":
            print(clean(f"{'':<19} {each.do}"))
    print(f"{counted['ok']} ok, {counted['warning']} warnings, {counted['fault']} faults")
    return 1 if counted["fault"] else 0
