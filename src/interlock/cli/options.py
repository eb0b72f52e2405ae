"""What every verb shares: finding the workspace, numbers for people, JSON for programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.core.errors import ConfigError, Fault
from interlock.core.text import clean, millis

from .text import cell

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["console", "millis", "moment", "parser", "print_json", "say", "seconds_of", "table", "workspace_path"]

CONFIG_NAME = "interlock.yaml"


def parser(verb: str, description: str, *, json: bool = True) -> argparse.ArgumentParser:
    """An argument parser with what all verbs take."""
    made = argparse.ArgumentParser(prog=f"interlock {verb}", description=description)
    made.add_argument(
        "-w", "--workspace", type=Path, metavar="DIR", help=f"folder with an {CONFIG_NAME} (default: nearest upwards)"
    )
    if json:
        made.add_argument("--json", action="store_true", help="data as JSON on stdout")
    return made


def workspace_path(given: Path | None) -> Path:
    """The workspace that was named, or the nearest one upwards.

    Raises:
        ConfigError: there is none; says what was looked at and how to make one.
    """
    if given is not None:
        if not given.exists():
            raise ConfigError([Fault(str(given), 0, 0, "workspace", "no such folder or file", "See `interlock init`.")])
        return given
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / CONFIG_NAME).is_file():
            return folder
    raise ConfigError(
        [
            Fault(
                str(here),
                0,
                0,
                "workspace",
                f"no {CONFIG_NAME} here or in any folder above",
                "Run `interlock init DIR` to make a workspace, or name one with --workspace DIR.",
            )
        ]
    )


def say(text: str) -> None:
    """Progress and remarks, for people: stderr."""
    print(clean(text), file=sys.stderr, flush=True)


def console(*, stderr: bool = False) -> Console:
    """Where tables go; plain when the stream is no terminal or NO_COLOR is set, and then as wide as the data needs."""
    from rich.console import Console

    class Sink(Console):
        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704 - rich calls this while it handles the BrokenPipeError; `main` knows what to do with it

    stream = sys.stderr if stderr else sys.stdout
    return Sink(file=stream, highlight=False, emoji=False, markup=False, width=None if stream.isatty() else 140)


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    title: str = "",
    right: Sequence[str] = (),
    foot: Sequence[str] = (),
) -> Table:
    """A plain table; the columns named in `right` hold numbers. A cell is data, or a `text.cell` where it has a style."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(
        box=SIMPLE_HEAD,
        title=Text(title) if title else None,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        show_footer=bool(foot),
    )
    for index, column in enumerate(columns):
        made.add_column(
            column,
            footer=foot[index] if foot else "",
            justify="right" if column in right else "left",
            no_wrap=column in right,
            overflow="fold",
        )
    for row in rows:
        made.add_row(*(each if isinstance(each, Text) else cell(each) for each in row))
    return made


def print_json(value: Any) -> None:
    """One JSON value on one line of stdout, sent at once."""
    from msgspec import json

    print(json.encode(value).decode(), flush=True)


def moment(at: int | str) -> str:
    """A point in time (nanoseconds of the epoch, or ISO 8601) for a person, in the machine's zone; empty for an empty text."""
    from datetime import UTC, datetime

    if not at:
        return ""
    known = datetime.fromisoformat(at) if isinstance(at, str) else datetime.fromtimestamp(at / 1e9, tz=UTC)
    return known.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def seconds_of(text: str) -> float:
    """`90s`, `15m`, `24h` or `7d` as seconds; for `--since`."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    try:
        return float(text[:-1]) * units[text[-1]]
    except (KeyError, ValueError, IndexError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a span such as 90s, 15m, 24h or 7d") from None
