"""The nearest valid name, for hints. Above: every module of the room that reports faults. Below: difflib."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LISTED = 12
"""Most names that a hint lists."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known name nearest to `name`, or lists the known ones when none is near."""
    names = sorted(set(known))
    folded = {each.lower(): each for each in reversed(names)}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {folded[close[0]]!r}?"
    if not names:
        return ""
    more = f", … ({len(names)} in all)" if len(names) > _LISTED else ""
    return f"Known: {', '.join(names[:_LISTED])}{more}."
