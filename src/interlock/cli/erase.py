"""`interlock erase USER`: deletes what a user said and was told, and reads everything again to show it. Above: main. Below: app.erasing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .options import parser, print_json, say, workspace_path
from .text import plural

if TYPE_CHECKING:
    from interlock.app.erasing import Erased


def options() -> argparse.ArgumentParser:
    """What `interlock erase` takes."""
    made = parser("erase", "Deletes the content of a user's tasks, calls and conversations, and shows that it is gone.")
    made.add_argument("user", metavar="USER", help="as calls and tasks name them")
    made.add_argument("--tenant", default="", metavar="T", help="whose user (default: the workspace's tenant)")
    made.add_argument("--yes", action="store_true", help="really; without it nothing is deleted")
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when nothing is left, 1 when something is."""
    given = options().parse_args(arguments)
    from interlock.config.load import load
    from interlock.core.time import SystemClock

    workspace = load(workspace_path(given.workspace))
    if not given.yes:
        say(f"this deletes what {given.user} said and was told, for good; say --yes to do it")
        return 2
    from interlock.app.erasing import erase

    erased = erase(workspace, SystemClock(), given.user, given.tenant)
    if given.json:
        print_json(erased)
    else:
        told(erased)
    return 0 if erased.whole else 1


def told(erased: Erased) -> None:
    """For people."""
    say(
        f"{erased.user} of {erased.tenant}: {plural(erased.tasks, 'task')} and calls, content of "
        f"{plural(erased.records, 'record')} deleted, {plural(erased.conversations, 'turn')} of conversations, "
        f"{plural(erased.answers, 'cached answer')} of the tenant"
    )
    for task in erased.open:
        say(f"open     {task}: cancel or decide it, then erase again")
    for task in erased.left:
        say(f"left     {task}: content was written meanwhile; erase again")
    for place in erased.beside:
        say(f"beside   {place}")
    if erased.whole:
        say("read again: no content of theirs is in the store")
