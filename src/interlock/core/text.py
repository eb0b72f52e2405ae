"""What models, users and files wrote, made safe to show; numbers and outcomes as people say them, the same on every face.

Above: the command line, the dashboard. Below: the standard library.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .money import NANO_PER_USD

CENT = NANO_PER_USD // 100
_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)"  # OSC, DCS, SOS, PM, APC: titles, links, clipboard
    r"|\x9b[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    r"|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # bidirectional overrides: text that reads in another order than it is
    r"|[\u200b\u2028\u2029\u2060\ufeff]"
    r"|[\ud800-\udfff]"
)


def textual(raw: bytes) -> bytes:
    """`raw` itself, which is UTF-8 from end to end. A reader of JSON looks only at the texts that it is asked for; whoever passes the rest on
    would send bytes that break at the next reader.

    Raises:
        UnicodeDecodeError: it is not.
    """
    if not raw.isascii():
        raw.decode()
    return raw


def clean(value: object) -> str:
    """`value` as text without escape sequences, control characters and reading-order overrides; new lines and tabs stay."""
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return _CONTROLS.sub("", _SEQUENCES.sub("", text.replace("\r\n", "\n")))


def one_line(value: object, width: int = 0) -> str:
    """`clean`, on one line; longer than `width` characters (0: any) it ends in `…`."""
    text = " ".join(clean(value).split())
    return text if not width or len(text) <= width else text[: width - 1].rstrip() + "…"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 task`, `2 tasks`, `3 replies`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def share(part: int, whole: int) -> str:
    """`34 %`; empty when there is nothing to divide by."""
    return f"{100 * part / whole:.0f} %" if whole else ""


def money(nano_usd: int) -> str:
    """Dollars for a statement: cents, and more digits where cents would say too little. A minus stands before the sign."""
    size = abs(nano_usd)
    if size >= NANO_PER_USD or size % CENT == 0:
        digits = 2
    elif size >= CENT:
        digits = 4
    else:
        digits = 6 if size >= 1000 else 9
    return f"{'-' if nano_usd < 0 else ''}${size / NANO_PER_USD:,.{digits}f}"


def compact(value: Any, width: int = 0) -> str:
    """A JSON value on one line, for a person: `order_id=FH-1, amount_usd=42` for an object."""
    if isinstance(value, dict):
        parts = [f"{key}={compact(inner)}" for key, inner in value.items()]  # pyright: ignore[reportUnknownVariableType]
        return one_line(", ".join(parts), width)
    if isinstance(value, str):
        return one_line(value, width)
    return one_line(json.dumps(value, ensure_ascii=False, default=str), width)


def millis(duration_us: int) -> str:
    """A duration for a person."""
    ms = duration_us / 1000
    if ms < 1000:
        return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
    seconds = ms / 1000
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


WORDS = {
    "resolved": "resolved",
    "waiting": "waiting",
    "waiting_approval": "waiting for approval",
    "handed_to_human": "handed to a person",
    "simulated": "answered by a simulated model",
    "denied": "denied",
    "failed": "failed",
    "limit_reached": "stopped by a limit",
    "cancelled": "cancelled",
    "in_doubt": "in doubt",
    "running": "running",
    "": "running",
}


def words(outcome: str) -> str:
    """An outcome as a person says it."""
    return WORDS.get(outcome, outcome.replace("_", " "))
