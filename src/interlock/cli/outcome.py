"""`interlock outcome`: what became of a task, said by somebody who knows, now or much later. Above: main. Below: app."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from interlock.app.auditing import login

from .options import parser, print_json, say, workspace_path

if TYPE_CHECKING:
    from interlock.core.events import OutcomeSeen

SOURCES = ("user", "person", "judge", "tool", "sla")


def options() -> argparse.ArgumentParser:
    """What `interlock outcome` takes."""
    made = parser("outcome", "Says whether a task was a success; the P&L and the promises count it from then on.")
    made.add_argument("task", metavar="TASK", help="id of a task or lone call, a unique beginning of one, or `last`")
    made.add_argument("verdict", choices=("good", "bad"), help="whether it was a success")
    made.add_argument("--source", choices=SOURCES, default="person", help="who knows (default: person)")
    made.add_argument("--who", default="", metavar="NAME", help="by name (default: yours)")
    made.add_argument("--note", default="", metavar="TEXT", help="why")
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when it was written."""
    given = options().parse_args(arguments)
    from interlock.app.reading import open_reading

    from .trace import task_of

    with open_reading(workspace_path(given.workspace)) as reading:
        task = task_of(reading, given.task)
    seen = asyncio.run(write(given, task))
    if given.json:
        print_json({"task": task, "success": seen.success, "source": seen.source, "note": seen.note})
    else:
        say(f"{task} counts as {'a success' if seen.success else 'no success'} according to {seen.source}")
    return 0


async def write(given: argparse.Namespace, task: str) -> OutcomeSeen:
    """Puts it into the ledger."""
    from interlock.app import Interlock

    async with Interlock.from_file(workspace_path(given.workspace)) as il:
        who = given.who or login()
        return await il.agents.verdicts.seen(
            task, success=given.verdict == "good", source=given.source, who=who, note=given.note
        )
