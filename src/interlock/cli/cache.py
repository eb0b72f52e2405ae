"""`interlock cache show | clear | restart`: what the caches keep. Above: main. Below: app."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .options import console, parser, print_json, say, table, workspace_path
from .text import cell, plural

if TYPE_CHECKING:
    from interlock.core.answers import ScopeState

COLOURS = {"live": "green", "shadow": "yellow", "off": "red"}


def options() -> argparse.ArgumentParser:
    """What `interlock cache` takes."""
    made = parser("cache", "Shows how the semantic cache stands, clears stored answers, lets scopes begin anew.")
    made.add_argument("verb", choices=("show", "clear", "restart"), help="what to do")
    made.add_argument("--tenant", default="", metavar="T", help="of this tenant only (default: of every one)")
    return made


def run(arguments: Sequence[str]) -> int:
    """0; what is running keeps what it has in memory until it starts again."""
    given = options().parse_args(arguments)
    from interlock.app.cached import open_caches

    with open_caches(workspace_path(given.workspace)) as desk:
        if given.verb == "show":
            return shown(desk.scopes(given.tenant), as_json=given.json)
        changed = desk.clear(given.tenant) if given.verb == "clear" else desk.restart(given.tenant)
    if given.json:
        print_json({given.verb: changed})
    elif given.verb == "clear":
        say(
            f"{plural(changed, 'stored answer')} forgotten; a server that runs keeps those in its memory until it starts again"
        )
    else:
        say(
            f"{plural(changed, 'scope')} will begin in the shadow; a server that runs goes on as it is until it starts again"
        )
    return 0


def shown(scopes: Sequence[ScopeState], *, as_json: bool) -> int:
    """One row for each scope of the semantic cache."""
    if as_json:
        print_json(list(scopes))
        return 0
    if not scopes:
        say("the semantic cache has compared nothing yet")
        return 0
    rows: list[list[Any]] = [
        [
            cell(each.tenant),
            cell(each.scope),
            cell(each.mode, COLOURS.get(each.mode, "")),
            cell(f"{each.compared:,}"),
            cell(f"{each.served:,}"),
            cell(each.why),
        ]
        for each in scopes
    ]
    names = ["tenant", "scope", "mode", "compared", "served", "why"]
    console().print(table(names, rows, right=["compared", "served"]))
    return 0
