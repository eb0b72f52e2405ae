"""`interlock scan [FILE]`: what guards would find in a text. Above: main. Below: app."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from interlock.core.errors import ConfigError, Fault

from .options import parser, print_json, say, workspace_path
from .text import plural


def options() -> argparse.ArgumentParser:
    """What `interlock scan` takes."""
    made = parser(
        "scan",
        "Shows a text with personal data and credentials redacted, and what else guards see in it. Nothing is sent or stored.",
    )
    made.add_argument("file", nargs="?", metavar="FILE", help="the text; without one, or as -, standard input")
    made.add_argument(
        "--lines", action="store_true", help="each line is a text of its own; one that is a JSON string is read as it"
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """0, whatever was found."""
    given = options().parse_args(arguments)
    from msgspec import DecodeError
    from msgspec.json import decode

    from interlock.app.scanning import Scanning

    text = _text(given.file)
    texts = text.splitlines() if given.lines else [text]
    scanning = Scanning(_workspace(given.workspace))
    for each in texts:
        try:
            said = decode(each, type=str) if given.lines and each.startswith('"') else each
        except DecodeError:
            said = each
        looked = scanning.look(said)
        if given.json:
            print_json(looked)
            continue
        print(looked.redacted)
        if looked.finds or looked.signals:
            kinds = ", ".join(dict.fromkeys(find.kind for find in looked.finds))
            signals = f"; {', '.join(looked.signals)}" if looked.signals else ""
            say(f"{plural(len(looked.finds), 'find')}{f' ({kinds})' if kinds else ''}{signals}")
    return 0


def _workspace(given: Path | None) -> Path | None:
    """The one that was named, or is near; scanning needs none."""
    try:
        return workspace_path(given)
    except ConfigError:
        if given is not None:
            raise
        return None


def _text(file: str | None) -> str:
    if file is None or file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError([Fault(file, 0, 0, "", f"cannot be read: {wrong}", "Give a text in UTF-8.")]) from wrong
