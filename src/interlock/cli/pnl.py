"""`interlock pnl`: the token P&L. Above: main. Below: app's reading of the store; `statement` draws it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
    from interlock.economics.statement import total

    since_ns = SystemClock().wall_ns() - round(given.since * NS_PER_S) if given.since else 0
    with open_reading(workspace_path(given.workspace)) as reading:
        if given.workflow and given.workflow not in reading.workspace.agents:
            say(f"remark: the workspace has no contract {given.workflow!r} (any more), so it has no revenue")
        parts = reading.pnl(workflow=given.workflow, tenant=given.tenant, since_ns=since_ns)
    whole = parts[0] if len(parts) == 1 else total(parts)
    if given.json:
        print_json({**plain(whole), "workflows": [plain(part) for part in parts]})
        return 0
    if not parts:
        say("nothing has been spent or earned in this period; `interlock run WORKFLOW --input FILE` changes that")
        return 0
    show(parts, whole)
    return 0


def plain(statement: Statement) -> dict[str, Any]:
    """A statement as JSON shows it: without the distribution behind its percentiles."""
    from msgspec import to_builtins

    shown: dict[str, Any] = to_builtins(statement)
    del shown["latencies"]
    return shown


def show(parts: Sequence[Statement], whole: Statement) -> None:
    """The statement of everything, after those of its parts."""
    from .statement import draw

    where = console()
    for part in parts if len(parts) > 1 else ():
        where.print(draw(part))
        where.print()
    where.print(draw(whole))
