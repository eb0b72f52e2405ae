"""Whether a workspace is ready for production: a checklist held against its files, its store and this host.

Above: cli/doctor. Below: keeping, examine, ready_files. Looks at the store as `keeping` does, which writes one row of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from interlock.config.workspace import Workspace
from interlock.core.time import NS_PER_S, Clock

from . import keeping, ready_files
from .evidence import tools_of
from .examine import examine
from .ready_files import Line
from .stores import open_store
from .witnessed import Period, audit

DAY_NS = 86_400 * NS_PER_S
CODE = ("code.run", "shell.run")
PEOPLE = ("viewer", "approver", "auditor", "developer", "admin")


def looked(workspace: Workspace, clock: Clock, backups: Path | None, days: float) -> list[Line]:
    """Every line of the checklist. `days`: how old the newest file in `backups` may be.

    Raises:
        StoreUnavailable: the store cannot be opened at all.
    """
    tools = tools_of(workspace)
    found = list(ready_files.lines(workspace, tools, clock))
    found += _kept(workspace)
    found += _records(workspace, clock)
    found.append(_backup(backups, days, clock.wall_ns()))
    foreign = any(
        use.name in CODE or (tools is not None and use.name in tools and tools[use.name].isolated)
        for agent in workspace.agents.values()
        for use in agent.contract.tools
    ) or any(each.command and not each.outside for each in workspace.settings.mcp.servers.values())
    return [*found, asyncio.run(_sandbox(workspace, clock, foreign=foreign))]


def _kept(workspace: Workspace) -> Iterator[Line]:
    """What `doctor --storage` finds."""
    for each in keeping.examined(workspace):
        level = "warning" if each.warning else "ok" if each.ok else "fault"
        yield Line(each.about, level, each.said, each.hint)


def _records(workspace: Workspace, clock: Clock) -> Iterator[Line]:
    with closing(open_store(workspace)) as store:
        now_ns = clock.wall_ns()
        chain = audit(store, Period(0, now_ns))[0].rows[0]
        people = [each for each in store.keys.records() if each.holds in PEOPLE and each.state(now_ns) == "active"]
    whole = f"{chain['entries']} entries, sealed; the head is {chain['head']}"
    if chain["sound"]:
        yield Line("audit", "ok", whole)
    else:
        yield Line(
            "audit",
            "fault",
            chain["faults"][0],
            "The audit was changed outside of Interlock: `interlock audit verify`.",
        )
    if workspace.settings.server.oidc is not None:
        yield Line("people", "ok", "sign in at an OpenID provider, with roles")
    elif people:
        yield Line("people", "ok", f"{len(people)} keys with a role for people")
    else:
        yield Line(
            "people",
            "warning",
            "nobody but the server's own key opens the dashboard, and its deeds name no person",
            "Set `server.oidc`, or `interlock keys create --role approver --user NAME` (docs/keys.md).",
        )


def _backup(folder: Path | None, days: float, now_ns: int) -> Line:
    if folder is None:
        return Line(
            "backup",
            "warning",
            "not looked at",
            "Say --backups FOLDER; `interlock backup` makes one (docs/scaling.md).",
        )
    made = [path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    if not made:
        return Line("backup", "fault", f"{folder} holds none", "`interlock backup FILE`, once a day or more.")
    old = max(0.0, (now_ns - max(made)) / DAY_NS)
    if old > days:
        return Line("backup", "fault", f"the newest is {old:.1f} days old", "See why no newer one was made.")
    return Line("backup", "ok", f"the newest is {old:.1f} days old")


async def _sandbox(workspace: Workspace, clock: Clock, *, foreign: bool) -> Line:
    found = await examine(workspace.settings.sandbox, workspace.root, clock)
    if found.ok and found.level == "none":
        return Line("sandbox", "fault", "foreign code runs without isolation", "Raise `sandbox.min_level`.")
    if found.ok:
        return Line("sandbox", "ok", f"level {found.level} held against {len(found.attacks)} attacks")
    through = sum(not each.ok for each in found.attacks)
    said = found.refused or f"{through} attacks got through"
    return Line(
        "sandbox", "fault" if foreign else "warning", said, "`interlock doctor --attacks` says more (docs/sandbox.md)."
    )
