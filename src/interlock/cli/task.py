"""`interlock task`: ends, pauses, lets go on, signals or closes one task, or waits for its result. Above: main. Below: app.

What is said is kept first. Where no server or other worker has the task, it goes on here and now.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from interlock.app.auditing import login
from interlock.core.errors import InvalidRequest

from .approve import value_of
from .options import parser, print_json, say, workspace_path

if TYPE_CHECKING:
    from interlock.agents.result import TaskResult
    from interlock.app import Interlock


def options() -> argparse.ArgumentParser:
    """What `interlock task` takes."""
    made = parser("task", "Ends, pauses, lets go on, signals or closes a task; without an option shows its result.")
    made.add_argument("task", metavar="TASK", help="id of a task or a unique beginning of one")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--cancel", action="store_true", help="ask it to end; its reversible effects are undone")
    which.add_argument("--pause", action="store_true", help="ask that it makes no further step")
    which.add_argument("--resume", action="store_true", help="let it go on, after a pause or a stop")
    which.add_argument("--signal", metavar="NAME", help="send it something that it waits for, or will")
    which.add_argument("--close", choices=["success", "failure"], help="the last word on a task that was handed over")
    made.add_argument("--payload", default="null", metavar="JSON", help="with --signal: what is sent")
    made.add_argument("--key", default="", metavar="K", help="with --signal: the same key again is the same signal")
    made.add_argument("--who", default="", metavar="NAME", help="who says it, for the log (default: the login name)")
    made.add_argument("--note", default="", metavar="TEXT", help="with --close: why, for the log")
    made.add_argument("--no-resume", action="store_true", help="leave word only; another worker goes on")
    return made


def run(arguments: Sequence[str]) -> int:
    """Prints the task's result as `interlock run` does."""
    made = options()
    given = made.parse_args(arguments)
    from interlock.app.reading import open_reading

    from .trace import task_of

    with open_reading(workspace_path(given.workspace)) as reading:
        task = task_of(reading, given.task)
        trace = reading.trace(task)
        if trace is not None:
            reading.note_read(trace, "task")
    row = trace.task if trace else None
    if row is None or row.kind != "task":
        raise InvalidRequest(f"{task} is a call, not a task", hint="`interlock trace` shows it.")
    said = any((given.cancel, given.pause, given.resume, given.signal))
    if said and row.status == "finished":
        raise InvalidRequest(f"task {task} is over", hint="Nothing more can be asked of it.")
    result = asyncio.run(act(given, task, said=said))
    return shown(given, task, result, said=said)


async def act(given: argparse.Namespace, task: str, *, said: bool) -> TaskResult | None:
    """Says it, and goes on with the task where nobody else does; how far it got, where that is known."""
    from interlock.agents.result import result_of
    from interlock.app import Interlock

    async with Interlock.from_file(workspace_path(given.workspace)) as il:
        if given.close:
            who = given.who or login()
            await il.agents.close(task, success=given.close == "success", who=who, note=given.note)
        elif said:
            await say_to(il, given, task)
            return None if given.no_resume else await il.resume(task)
        return result_of(await il.agents.state(task))


async def say_to(il: Interlock, given: argparse.Namespace, task: str) -> None:
    """One word to the task."""
    who = given.who or login()
    if given.cancel:
        await il.agents.cancel(task, who=who)
    elif given.pause:
        await il.agents.pause(task, who=who)
    elif given.resume:
        await il.agents.unpause(task, who=who)
    else:
        await il.agents.signal(
            task, given.signal, value_of(given.payload, "--payload", '{"order": 7}'), who=who, key=given.key
        )


def shown(given: argparse.Namespace, task: str, result: TaskResult | None, *, said: bool) -> int:
    """The result, or that somebody else goes on."""
    from .run import show

    if result is not None:
        code = show(result, given)
        return code if said else 0
    if given.json:
        print_json({"task": task, "kept": True})
    say(
        "kept; " + ("it is heard when somebody works on the task" if given.no_resume else "another worker has the task")
    )
    return 0
