"""`interlock erase USER` deletes what a user said and was told; `interlock erase --tenant T` destroys a tenant's keys. Both read everything again to show it. `interlock erase --again`
does in an older copy of the store what was erased since.

Above: main, restore. Below: app.erasing, app.erasing_tenant, app.again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .options import parser, print_json, say, workspace_path
from .text import plural

if TYPE_CHECKING:
    from interlock.app.erasing import Erased
    from interlock.app.erasing_tenant import ErasedTenant
    from interlock.config.workspace import Workspace


def options() -> argparse.ArgumentParser:
    """What `interlock erase` takes."""
    made = parser("erase", "Deletes what a user said, or destroys the keys of a tenant, and shows that it is gone.")
    made.add_argument("user", nargs="?", default="", metavar="USER", help="as calls and tasks name them")
    made.add_argument(
        "--tenant",
        default="",
        metavar="T",
        help="whose user (default: the workspace's tenant); without USER, all of it: its data keys are destroyed",
    )
    made.add_argument(
        "--again", action="store_true", help="what was erased since this store was copied, or was broken off"
    )
    made.add_argument("--yes", action="store_true", help="really; without it nothing is deleted")
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when nothing is left, 1 when something is."""
    taking = options()
    given = taking.parse_args(arguments)
    if not (given.user or given.tenant or given.again) or (given.again and (given.user or given.tenant)):
        taking.error("name a USER, or --tenant T to erase all of it, or say --again")
    from interlock.config.load import load
    from interlock.core.time import SystemClock

    workspace = load(workspace_path(given.workspace))
    if given.again:
        return _again(workspace, as_json=given.json)
    if not given.yes:
        what = f"deletes what {given.user} said and was told" if given.user else f"destroys the keys of {given.tenant}"
        say(f"this {what}, for good; say --yes to do it")
        return 2
    from interlock.app.erasing import erase
    from interlock.app.erasing_tenant import erase_tenant

    if given.user:
        erased: Erased | ErasedTenant = erase(workspace, SystemClock(), given.user, given.tenant)
    else:
        erased = erase_tenant(workspace, SystemClock(), given.tenant)
    if given.json:
        print_json(erased)
    else:
        told(erased)
    return 0 if erased.whole else 1


def _again(workspace: Workspace, *, as_json: bool) -> int:
    from interlock.app.again import erase_again
    from interlock.core.time import SystemClock

    done = erase_again(workspace, SystemClock())
    if as_json:
        print_json(done)
    else:
        for each in done:
            told(each)
        if not done:
            say("nothing was erased that this store has not been through")
    return 0 if all(each.whole for each in done) else 1


def told(erased: Erased | ErasedTenant) -> None:
    """For people."""
    from interlock.app.erasing import Erased

    if isinstance(erased, Erased):
        say(
            f"{erased.user} of {erased.tenant}: {plural(erased.tasks, 'task')} and calls, {plural(erased.keys, 'key')} destroyed, content of "
            f"{plural(erased.records, 'record')} deleted, {plural(erased.conversations, 'turn')} of conversations, "
            f"{plural(erased.answers, 'cached answer')} of the tenant, {plural(erased.sessions, 'session')}, {plural(erased.messages, 'message')}, "
            f"{plural(erased.files, 'file')}, {plural(erased.views, 'view')}, content of {plural(erased.archived, 'archived record')}"
        )
    else:
        say(
            f"{erased.tenant}: {plural(erased.keys, 'data key')} destroyed; of {plural(erased.tasks, 'task')} and calls {erased.unreadable:,} cannot be read by anybody, "
            f"content of {plural(erased.records + erased.archived, 'record')} in the clear deleted, {plural(erased.answers, 'answer')}, "
            f"{plural(erased.sessions, 'session')}, {plural(erased.files, 'file')}"
        )
    _rest(erased)
    if not erased.whole:
        return
    if not erased.keys:
        say("read again: no content of theirs is in the store")
    else:
        say(
            "read again: nothing of theirs can be read; what their keys sealed opens for nobody, here or in copies of the store"
        )


def _rest(erased: Erased | ErasedTenant) -> None:
    """What is left, and what was not reached."""
    for task in erased.open:
        say(f"open     {task}: cancel or decide it, then erase again")
    for task in erased.left:
        say(f"left     {task}: content was written meanwhile; erase again")
    for place in erased.beside:
        say(f"beside   {place}")
