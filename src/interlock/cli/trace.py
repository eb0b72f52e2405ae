"""`interlock trace`: what one task did, step by step, and why. Above: main. Below: app's reading of the store; `tree` draws it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from interlock.core.errors import InvalidRequest
from interlock.core.store import TaskFilter

from .options import console, parser, workspace_path
from .palette import ACCENT, DIM
from .text import cell, money

if TYPE_CHECKING:
    from interlock.app.reading import Reading
    from interlock.ledger.read import Trace

NEWEST = 5000
"""Among so many tasks the beginning of an id is looked for."""
FULL_ID = 30
CALL, TASK = "cal_", "tsk_"
SEARCHED = 1000
"""In so many of the newest tasks a call is looked for; there is no index of calls inside tasks."""


def options() -> argparse.ArgumentParser:
    """What `interlock trace` takes."""
    made = parser("trace", "Shows one task or call, step by step, with the reasons for every decision.")
    made.add_argument(
        "task",
        nargs="?",
        default="last",
        metavar="TASK",
        help="id of a task or call, a unique beginning of one, or `last`",
    )
    made.add_argument(
        "--why", action="store_true", help="for each decision: what was seen, which rule, which version, what it cost"
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """Prints a tree, or the JSON of docs/schemas/trace.schema.json."""
    given = options().parse_args(arguments)
    from interlock.app.reading import open_reading

    with open_reading(workspace_path(given.workspace)) as reading:
        trace = reading.trace(task_of(reading, given.task))
        assert trace is not None, "task_of names tasks that exist"
        reading.note_read(trace)
    if given.why:
        return explained(trace, as_json=given.json)
    if given.json:
        from interlock.ledger.read import to_json

        print(to_json(trace))
        return 0
    from .tree import draw

    draw(console(), trace)
    return 0


def explained(trace: Trace, *, as_json: bool) -> int:
    """The task decision by decision."""
    from rich.text import Text

    from interlock.ledger.read import to_json
    from interlock.observe.why import why

    found = why(trace)
    if as_json:
        print(to_json({"task": trace.task.task, "decisions": found}))
        return 0
    where = console()
    where.print(cell(f"{trace.task.task}  {trace.task.workflow or 'lone call'}", ACCENT))
    for each in found:
        paid = each.cost_nano_usd or each.simulated_nano_usd
        cost = f"   {money(paid)}{'' if each.cost_nano_usd else ' simulated'}" if paid else ""
        where.print(Text(f" {each.step:>3}  ", DIM).append(cell(each.decided, ACCENT)).append(cost), soft_wrap=True)
        for name, said in (("saw", each.seen), ("rule", each.rule), ("in", (each.version,) if each.version else ())):
            for line in said:
                where.print(Text(f"      {name:<5}", DIM).append(cell(line)), soft_wrap=True)
    return 0


def task_of(reading: Reading, given: str) -> str:
    """The task that `given` stands for: its id, a beginning of it, or `last`.

    Raises:
        InvalidRequest: none or several; names what is near.
    """
    if given != "last" and len(given) >= FULL_ID and reading.trace(given) is not None:
        return given
    if given.startswith(CALL):
        return task_of_call(reading, given)
    newest = [each.task for each in reading.tasks(TaskFilter(limit=1 if given == "last" else NEWEST))]
    if given == "last" and newest:
        return newest[0]
    found = [task for task in newest if task.startswith((given, TASK + given))] if given != "last" else []
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidRequest(
            f"{len(found)} tasks begin with {given!r}", hint=f"Give more of it, e.g. {found[0]} or {found[1]}."
        )
    if not newest:
        raise InvalidRequest("there are no tasks yet", hint="`interlock run WORKFLOW --input FILE` makes some.")
    raise InvalidRequest(f"no task or call {given!r}", hint=f"The newest is {newest[0]}; `interlock tasks` lists more.")


def task_of_call(reading: Reading, call: str) -> str:
    """The task of a call, by the id that `serve` sends back as `x-interlock-call-id` or a trace shows.

    Raises:
        InvalidRequest: no lone call, and none in the newest tasks, has that id.
    """
    lone = TASK + call.removeprefix(CALL)
    if reading.trace(lone) is not None:
        return lone
    for each in reading.tasks(TaskFilter(limit=SEARCHED)):
        trace = reading.trace(each.task)
        if trace and any(step.call and step.call.call == call for step in trace.steps):
            return each.task
    raise InvalidRequest(
        f"no call {call!r} alone or in the newest {SEARCHED:,} tasks", hint="`interlock tasks` lists tasks."
    )
