"""`interlock tasks`: the newest tasks and calls, one line each. Above: main. Below: app's reading of the store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from interlock.core.events import Outcome
from interlock.core.store import TaskFilter, TaskStatus
from interlock.core.time import NS_PER_S, SystemClock

from .options import console, millis, moment, parser, print_json, say, seconds_of, table, workspace_path
from .palette import DIM, OUTCOMES
from .text import cell, money

if TYPE_CHECKING:
    from rich.text import Text

    from interlock.ledger.read import TaskSummary

SHORT_ID = 20
"""Of an id's 30 characters on a narrow terminal; `trace` takes any unique beginning."""
WIDE, NARROW = 118, 100


def options() -> argparse.ArgumentParser:
    """What `interlock tasks` takes."""
    made = parser("tasks", "Lists tasks and lone calls, newest first.")
    made.add_argument(
        "--outcome", choices=get_args(Outcome), metavar="X", help=f"one of {', '.join(get_args(Outcome))}"
    )
    made.add_argument(
        "--status", choices=get_args(TaskStatus), metavar="X", help=f"one of {', '.join(get_args(TaskStatus))}"
    )
    made.add_argument("--workflow", default="", metavar="W", help="tasks of this workflow only")
    made.add_argument("--since", type=seconds_of, metavar="SPAN", help="begun within this span: 90s, 15m, 24h, 7d")
    made.add_argument("--limit", type=whole, default=20, metavar="N", help="at most so many (default 20; 0: all)")
    return made


def whole(text: str) -> int:
    """A whole number, zero included; for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of zero or more")
    return int(text)


def run(arguments: Sequence[str]) -> int:
    """Prints a table, or one JSON array of docs/schemas/tasks.schema.json."""
    given = options().parse_args(arguments)
    from interlock.app.reading import open_reading

    since_ns = SystemClock().wall_ns() - round(given.since * NS_PER_S) if given.since else 0
    wanted = TaskFilter(
        workflow=given.workflow,
        status=given.status or "",
        outcome=given.outcome or "",
        since_ns=since_ns,
        limit=given.limit if given.limit > 0 else sys.maxsize,
    )
    with open_reading(workspace_path(given.workspace)) as reading:
        found = reading.tasks(wanted)
    if given.json:
        print_json(found)
        return 0
    if not found:
        say("no tasks match; `interlock run WORKFLOW --input FILE` makes some, `interlock tasks` lists all")
        return 0
    where = console()
    names, rows = layout(found, where.width if where.is_terminal else WIDE)
    where.print(table(names, rows, right=["conf.", "calls", "cost", "time"]))
    if len(found) == given.limit:
        say(f"the newest {given.limit}; --limit 0 lists all")
    return 0


def layout(found: Sequence[TaskSummary], width: int) -> tuple[list[str], list[list[Text]]]:
    """Columns and cells that fit into `width`: a narrow terminal gets short ids and leaves out what it can do without."""
    short = width < WIDE
    left_out = {"tier", "conf.", "calls"} if short else set[str]()
    if width < NARROW and len({each.workflow for each in found}) == 1:
        left_out.add("workflow")
    cells = [cells_of(each, short=short) for each in found]
    names = [name for name in cells[0] if name not in left_out]
    return names, [[each[name] for name in names] for each in cells]


def cells_of(task: TaskSummary, *, short: bool) -> dict[str, Text]:
    """One task by column."""
    state = "in_doubt" if task.status == "in_doubt" else task.outcome or task.status
    cost = money(task.cost_nano_usd)
    found = {
        "task": cell(task.task[:SHORT_ID] if short else task.task),
        "workflow": cell(task.workflow or task.kind, "" if task.workflow else DIM),
        "outcome": cell(state, OUTCOMES.get(state, "yellow")),
        "tier": cell(task.tier),
        "conf.": cell("" if task.confidence is None else f"{task.confidence:.2f}"),
        "calls": cell(task.model_calls + task.tool_calls),
        "cost": cell(f"{cost} *" if task.simulated_nano_usd or task.simulated else cost),
        "time": cell(millis(round(task.duration_ms * 1000)) if task.finished else ""),
        "begun": cell(moment(task.started)[5:16] if short else moment(task.started), DIM),
    }
    found["task"].no_wrap = True
    return found
