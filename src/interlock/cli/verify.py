"""`interlock verify FILE`: the ledger against a vendor's bill. Above: main. Below: app's reading of the store."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import console, parser, print_json, say, table, workspace_path
from .palette import DIM
from .text import cell, money

if TYPE_CHECKING:
    from interlock.economics.verify import Line, Verdict

DIFFERS = 1


def options() -> argparse.ArgumentParser:
    """What `interlock verify` takes."""
    made = parser("verify", "Compares the ledger with a vendor's usage or cost export, by day and model.")
    made.add_argument("file", type=Path, metavar="FILE", help="JSON or CSV, as OpenAI and Anthropic give it out")
    made.add_argument(
        "--provider",
        action="append",
        default=[],
        metavar="P",
        help="providers of the workspace that this export bills (default: the one of the vendor's name); repeatable",
    )
    made.add_argument(
        "--key", action="append", default=[], metavar="K", help="lines of this key of the export; repeatable"
    )
    made.add_argument(
        "--tolerance", type=share, default=0.0, metavar="S", help="share by which figures may differ: 0.1%%"
    )
    return made


def share(text: str) -> float:
    """`0.1%` or `0.001`; for argparse."""
    try:
        amount = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 0.1%") from None
    return amount


def run(arguments: Sequence[str]) -> int:
    """0 where all of it agrees, 1 where something does not."""
    given = options().parse_args(arguments)
    from interlock.app.reading import open_reading

    with open_reading(workspace_path(given.workspace)) as reading:
        verdict = reading.verify(
            given.file.read_bytes(),
            given.file.name,
            providers=given.provider,
            keys=given.key,
            tolerance=given.tolerance,
        )
    if given.json:
        print_json(verdict)
        return 0 if verdict.agrees else DIFFERS
    show(verdict)
    return 0 if verdict.agrees else DIFFERS


def show(verdict: Verdict) -> None:
    """The figures of both, and below them what a difference is likely to come from."""
    names = ["day", "model", "requests", "input", "output", "cost", ""]
    if verdict.lines:
        rows = [row for line in verdict.lines for row in rows_of(line)]
        console().print(table(names, rows, right=["requests", "input", "output", "cost"]))
    for line in verdict.lines:
        for cause in line.causes:
            say(f"{line.day} {line.model or 'all models'}: {cause}")
    differ = sum(not line.agrees for line in verdict.lines)
    providers = ", ".join(verdict.providers)
    if not verdict.lines:
        say("the export has no lines")
    elif differ:
        say(f"{differ} of {len(verdict.lines)} lines differ ({verdict.vendor}'s bill, ledger of {providers})")
    else:
        say(f"all {len(verdict.lines)} lines agree ({verdict.vendor}'s bill, ledger of {providers})")


def rows_of(line: Line) -> list[list[Any]]:
    """One row where both agree, two where they do not."""
    mine, other = line.ledger, line.vendor
    if line.agrees:
        return [[cell(line.day), cell(line.model), *_figures(mine, ""), cell("agrees", "green")]]
    return [
        [cell(line.day), cell(line.model), *_figures(mine, ""), cell("ledger", "yellow")],
        [cell(""), cell(""), *_figures(other, DIM), cell("vendor", "yellow")],
    ]


def _figures(side: Any, style: str) -> list[Any]:
    cost = side.cost_nano_usd
    return [
        *(
            cell("" if each is None else f"{each:,}", style)
            for each in (side.requests, side.input_tokens, side.output_tokens)
        ),
        cell("" if cost is None else money(cost), style),
    ]
