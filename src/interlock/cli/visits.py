"""`interlock visits list | end`: who is signed in to the dashboard, and sending them away. Above: main. Below: the dashboard's sessions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .options import console, moment, parser, print_json, say, table, workspace_path
from .text import cell

if TYPE_CHECKING:
    from interlock.server.dashboard.sessions import Visit

NOT_ALL_WELL = 1


def options() -> argparse.ArgumentParser:
    """What `interlock visits` takes."""
    made = parser("visits", "Shows who is signed in to the dashboard, and ends sessions; servers follow at once.")
    made.add_argument("verb", choices=("list", "end"), help="what to do")
    made.add_argument("visit", nargs="?", default="", help="of end: the session, as list names it")
    made.add_argument("--all", action="store_true", help="end: every session")
    return made


def run(arguments: Sequence[str]) -> int:
    """Does what was asked; 1 where there is no such session."""
    taking = options()
    given = taking.parse_args(arguments)
    if (given.verb == "end") != (bool(given.visit) != given.all) or (
        given.verb == "list" and (given.visit or given.all)
    ):
        taking.error("end takes one session or --all; list takes neither")
    from interlock.app.auditing import login
    from interlock.app.stores import open_store
    from interlock.config.load import load
    from interlock.core.audit import Deed
    from interlock.core.time import SystemClock
    from interlock.server.dashboard import FOLDER
    from interlock.server.dashboard.sessions import Sessions

    workspace, clock = load(workspace_path(given.workspace)), SystemClock()
    sessions = Sessions(workspace.store.parent / FOLDER, clock)
    if given.verb == "list":
        return shown(sessions.visits(), as_json=given.json)
    store = open_store(workspace)
    try:
        deed = Deed(
            clock.wall_ns(), workspace.settings.tenant, f"os:{login()}", "admin", "session.ended", given.visit or "all"
        )
        store.audit.append([deed])
        ended = sessions.end_visits(given.visit)
    finally:
        store.close()
    say(f"{len(ended)} ended")
    shown(ended, as_json=given.json)
    return 0 if ended or given.all else NOT_ALL_WELL


def shown(visits: Sequence[Visit], *, as_json: bool) -> int:
    """The list, for people or programs."""
    if as_json:
        print_json({"visits": visits})
        return 0
    rows = [
        [cell(each.visit), cell(each.who), cell(each.role), cell(each.tenant), moment(each.until_ns)] for each in visits
    ]
    console().print(table(["session", "who", "role", "tenant", "until"], rows))
    return 0
