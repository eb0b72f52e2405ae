"""The evidence pack for reviewers: what is true of this workspace, out of its files and its store, and which clauses it speaks to.

Above: cli. Below: declared, witnessed, `evidence.toml`. The same store, files and time give the same pack.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping
from contextlib import closing
from importlib import resources

import msgspec

from interlock import __version__
from interlock.config.workspace import Workspace
from interlock.core.errors import ConfigError
from interlock.core.ids import SystemIds
from interlock.core.time import SystemClock
from interlock.tools.define import Tool

from . import declared, witnessed
from .pack import Framework, Pack, Section
from .stores import open_store
from .toolbox import Toolbox
from .witnessed import Period, Told, moment


def gathered(workspace: Workspace, period: Period) -> Pack:
    """The pack as of the period's end.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    with closing(open_store(workspace)) as store:
        told, now_ns = Told(store, period), period.until_ns
        sections = (
            Section(
                "Where prompts live, and how long",
                (
                    declared.kept(workspace),
                    declared.places(workspace),
                    declared.retention(workspace),
                    declared.vendors(workspace),
                ),
            ),
            Section(
                "Human oversight",
                (
                    declared.oversight(workspace, tools_of(workspace)),
                    witnessed.questions(told),
                    witnessed.doubts(told),
                ),
            ),
            Section("Versions", (declared.in_force(workspace), witnessed.versions_seen(told))),
            Section(
                "Records",
                (witnessed.sums(store), witnessed.span(store), *witnessed.audit(store, period)),
            ),
            Section("Access", (declared.doors(workspace), witnessed.keys(store, now_ns))),
            Section(
                "Protection",
                (
                    declared.flow(workspace),
                    declared.guards(workspace),
                    declared.sandbox(workspace),
                    declared.limits(workspace),
                ),
            ),
            Section(
                "Operation",
                (
                    witnessed.outcomes(store, period),
                    witnessed.promises(workspace, store, now_ns),
                    witnessed.incidents(workspace, store, period),
                ),
            ),
        )
    since, made_at = moment(period.since_ns), moment(period.until_ns)
    return Pack(workspace.name, made_at, since, __version__, sections, frameworks())


def tools_of(workspace: Workspace) -> Mapping[str, Tool] | None:
    """The workspace's tools by name; `None` where they cannot be loaded here."""
    clock = SystemClock()
    try:
        toolbox = Toolbox(workspace, clock, SystemIds(clock))
    except ConfigError:
        return None
    tools = dict(toolbox.tools)
    asyncio.run(toolbox.close())
    return tools


def frameworks() -> tuple[Framework, ...]:
    """The mapping as it is shipped."""
    text = (resources.files("interlock.app") / "evidence.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text)["framework"], tuple[Framework, ...])
