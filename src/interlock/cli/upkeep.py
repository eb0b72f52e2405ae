"""What `interlock doctor --storage` shows. Above: doctor. Below: app/keeping."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from .text import clean


def show(root: Path, *, as_json: bool) -> int:
    """0 when all is well with the store, else 1."""
    from interlock.app.keeping import examined
    from interlock.config.load import load

    found = examined(load(root))
    ok = all(each.ok for each in found)
    if as_json:
        print(json.dumps({"ok": ok, "findings": msgspec.to_builtins(found)}, ensure_ascii=False))
        return 0 if ok else 1
    for each in found:
        mark = "WARNING: " if each.warning else "" if each.ok else "NOT WELL: "
        print(clean(f"{each.about:<12}{mark}{each.said}"))
        if each.hint:
            print(clean(f"{'':<12}{each.hint}"))
    return 0 if ok else 1
