"""`interlock pnl`: the token P&L. Above: main. Below: app's reading of the store; `statement` draws it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from interlock.core.time import NS_PER_S, SystemClock

from .options import console, parser, print_json, say, seconds_of, workspace_path

if TYPE_CHECKING:
    from interlock.economics.statement import Statement


def options() -> argparse.ArgumentParser:
    """What `interlock pnl` takes."""
    made = parser("pnl", "What the work cost, what it earned, and what one success costs.")
    made.add_argument("--workflow", default="", metavar="W", help="tasks of this workflow only")
    made.add_argument("--tenant", default="", metavar="T", help="tasks of this tenant only")
    made.add_argument(
        "--since",
        type=seconds_of,
        metavar="SPAN",
        help="within this span, in whole hours: 24h, 30d (default: everything)",
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """Prints the statement over everything asked for, and one for each workflow where there are several."""
    given = options().parse_args(arguments)
    from interlock.app.reading import open_reading
    from interlock.economics.statement import report

    since_ns = SystemClock().wall_ns() - round(given.since * NS_PER_S) if given.since else 0
    with open_reading(workspace_path(given.workspace)) as reading:
        if given.workflow and given.workflow not in reading.workspace.agents:
            say(f"remark: the workspace has no contract {given.workflow!r} (any more), so it has no revenue")
        parts = reading.pnl(workflow=given.workflow, tenant=given.tenant, since_ns=since_ns)
    if given.json:
        print_json(report(parts))
        return 0
    if not parts:
        say("nothing has been spent or earned in this period; `interlock run WORKFLOW --input FILE` changes that")
        return 0
    show(parts)
    return 0


def show(parts: Sequence[Statement]) -> None:
    """A statement for each workflow, and where there are several the total."""
    from interlock.economics.statement import total

    from .statement import draw

    where = console()
    for part in parts:
        where.print(draw(part))
        where.print()
    if len(parts) > 1:
        where.print(draw(total(parts)))
