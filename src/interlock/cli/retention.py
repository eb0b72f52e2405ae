"""`interlock retention show | run`: what the ledger still holds row by row, and letting old rows go. Above: main. Below: app."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .options import console, moment, parser, print_json, say, table, workspace_path
from .text import cell, plural

if TYPE_CHECKING:
    from interlock.app.retaining import Kept, Round

MB = 1_000_000


def options() -> argparse.ArgumentParser:
    """What `interlock retention` takes."""
    made = parser(
        "retention",
        "Shows what the ledger holds and what has left it; rolls off what is older than the workspace says.",
    )
    made.add_argument("verb", choices=("show", "run"), help="what to do")
    return made


def run(arguments: Sequence[str]) -> int:
    """0, also when nothing was old enough."""
    given = options().parse_args(arguments)
    from interlock.app.retaining import open_retention
    from interlock.core.time import SystemClock

    with open_retention(workspace_path(given.workspace), SystemClock()) as desk:
        done: Kept | Round = desk.shown() if given.verb == "show" else desk.run()
    if given.json:
        print_json(done)
    elif given.verb == "run":
        say(told(done))  # pyright: ignore[reportArgumentType]
    else:
        shown(done)  # pyright: ignore[reportArgumentType]
    return 0


def told(done: Round) -> str:
    """One round in a sentence."""
    if done.busy:
        return "another process is rolling off at this moment; nothing was done"
    records = sum(each.records for each in done.archives)
    files = sum(bool(each.file) for each in done.archives)
    where = f" into {plural(files, 'file')}" if files else ""
    bodies = f"; what was said in {plural(done.forgotten, 'row')} was forgotten" if done.forgotten else ""
    packed = f"; what was said in {plural(done.packed, 'old row')} was packed" if done.packed else ""
    breakers = f"; {plural(done.breakers, 'change')} of breakers forgotten" if done.breakers else ""
    return f"{plural(records, 'record')} left the store{where}{bodies}{packed}{breakers}; it holds {done.size_bytes / MB:,.1f} MB"


def shown(kept: Kept) -> None:
    """Size, oldest row, and a row for each archive."""
    since = f", rows since {moment(kept.oldest_ns)}" if kept.oldest_ns is not None else ""
    say(f"the store holds {kept.size_bytes / MB:,.1f} MB{since}")
    if kept.bodies.texts:
        size = f"{kept.bodies.size_bytes / MB:,.1f} MB"
        say(f"{plural(kept.bodies.texts, 'long text')}, held {kept.bodies.held:,} times, in {size}")
    if not kept.archives:
        return
    rows: list[list[Any]] = [
        [
            cell(each.file or "(deleted)"),
            cell(moment(each.first_ns)),
            cell(moment(each.last_ns)),
            cell(f"{each.records:,}"),
            cell(f"{each.tasks:,}"),
        ]
        for each in kept.archives
    ]
    console().print(table(["file", "from", "to", "records", "tasks"], rows, right=["records", "tasks"]))
