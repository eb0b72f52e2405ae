"""`interlock replay TASK`: decides a task once more from its log; calls nothing. Above: main. Below: app."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .options import parser, print_json, say, workspace_path

if TYPE_CHECKING:
    from interlock.agents.replay import Replay

OK, NOT_ALL_WELL = 0, 1


def options() -> argparse.ArgumentParser:
    """What `interlock replay` takes."""
    made = parser(
        "replay", "Decides a task once more from its log, and names the first step that would come out otherwise."
    )
    made.add_argument(
        "task", nargs="?", default="last", metavar="TASK", help="id of a task, a beginning of one, or `last`"
    )
    made.add_argument(
        "--now", action="store_true", help="under the contract in the files now, not the one it began with"
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """0: every decision came out the same; 1: one did not."""
    given = options().parse_args(arguments)
    from interlock.app.reading import open_reading

    from .trace import task_of

    where = workspace_path(given.workspace)
    with open_reading(where) as reading:
        task = task_of(reading, given.task)
        trace = reading.trace(task)
        if trace is not None:
            reading.note_read(trace, "replay")
    found = asyncio.run(_replayed(where, task, now=given.now))
    if given.json:
        print_json(found)
    else:
        told(found)
    return OK if found.identical else NOT_ALL_WELL


def told(found: Replay) -> None:
    """The finding in words."""
    if found.contract_changed:
        say("The contract has changed since the task began; it is decided under the one that stands in the files now.")
    if found.content_missing:
        say(
            "The log's texts were removed or redacted when the task ended (store_prompts), so decisions over them cannot be repeated."
        )
    if found.identical:
        print(
            f"{found.task}: {found.decisions} decisions came out the same, {found.outside} records came from outside, nothing was called"
        )
        lost = f"; of {found.prompts_unread} the words were not kept" if found.prompts_unread else ""
        print(f"  requests to models: {found.prompts} the same to the last word{lost}")
        return
    for each in found.divergences:
        print(f"{found.task}: step {each.step} would come out otherwise")
        print(f"  recorded: {each.recorded}")
        print(f"  decided:  {each.decided if each.decided is not None else 'nothing; the task would wait'}")


async def _replayed(where: Path, task: str, *, now: bool) -> Replay:
    from interlock.app import Interlock

    async with Interlock.from_file(where) as il:
        return await il.agents.again.replay(task, now=now)
