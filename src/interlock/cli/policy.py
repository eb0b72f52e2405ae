"""`interlock policy`: cases for the information-flow policy with the verdicts that are expected of it, and how often people are asked. Above: cli.main. Below: governance's
flow_cases, the ledger's traces.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .options import parser, print_json, workspace_path
from .text import clean, plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interlock.config.workspace import Workspace
    from interlock.governance.decisions import Policy
    from interlock.governance.flow_cases import Verdicts


def options() -> argparse.ArgumentParser:
    """What `interlock policy` takes."""
    made = parser("policy", "Plays cases against the information-flow policy, without a model and without tools.")
    made.add_argument(
        "verb", choices=["test", "asks"], help="compare verdicts with what cases expect; or say how often tasks asked"
    )
    made.add_argument("file", type=Path, nargs="?", metavar="FILE", help="of test: cases as YAML, see docs/policy.md")
    made.add_argument("--last", type=int, default=500, metavar="N", help="of asks: the newest N tasks (default 500)")
    made.add_argument(
        "--most",
        type=float,
        default=0.5,
        metavar="ASKS",
        help="of asks: exit code 1 above so many a task (default 0.5)",
    )
    made.add_argument(
        "--agent",
        default="",
        metavar="NAME",
        help="the contracts are those of this agent of the workspace; with --workspace, its residency decides about providers",
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when every case came out as expected, or a workflow asks no more than it may; else 1."""
    from interlock.governance.flow_cases import play

    made = options()
    given = made.parse_args(arguments)
    if given.verb == "asks":
        return _asks(workspace_path(given.workspace), given.last, given.most, as_json=given.json)
    if given.file is None:
        made.error("test: name a file of cases")
    if given.agent or given.workspace:
        found = play(given.file, *policy_of(given.workspace, given.agent))
    else:
        found = play(given.file)
    if given.json:
        import msgspec

        print_json(msgspec.to_builtins(found))
    else:
        print(clean("\n".join(_lines(found))))
    return 1 if found.failed else 0


def policy_of(workspace: Path | None, agent: str) -> tuple[Policy, Mapping[str, str]]:
    """The policy of a workspace and of one agent in it, and the regions of its providers."""
    from interlock.config.load import load
    from interlock.config.models import region_of
    from interlock.governance.decisions import Policy
    from interlock.governance.residency import places_of

    loaded = load(workspace_path(workspace))
    regions = {name: region_of(loaded.settings, name) for name in loaded.settings.providers}
    made = Policy.of(places=places_of(loaded.settings.residency))
    return _of_agent(loaded, agent, made) if agent else made, regions


def _of_agent(loaded: Workspace, name: str, policy: Policy) -> Policy:
    """The policy over one agent's tools and answers, as its tasks use it."""
    from interlock.agents.compile import deciding
    from interlock.core.errors import ConfigError, Fault
    from interlock.tools.load import load_tools

    agent = loaded.agents.get(name)
    tools = load_tools(loaded.tools_file) if loaded.tools_file else {}
    made = deciding(agent.contract, tools, policy) if agent else None
    if made is None:
        known = ", ".join(sorted(loaded.agents))
        raise ConfigError(
            [Fault(str(loaded.root), 0, 0, "agent", f"no agent {name!r} with flow terms", f"There are: {known}.")]
        )
    return made


def _lines(found: Verdicts) -> list[str]:
    told = [
        f"{'ok  ' if each.ok else 'FAIL'}  {each.verdict:<7} {each.name}"
        + ("" if each.ok else f"  (expected {each.expected})")
        + (f"  by {each.rule}" if each.rule else "")
        + "".join(f"\n        {reason}" for reason in each.reasons if not each.ok or each.verdict in ("ask", "deny"))
        for each in found.cases
    ]
    shares = [
        f"{share:.0%} of {what}"
        for share, what in ((found.attacks_blocked, "attacks blocked"), (found.own_allowed, "own calls allowed"))
        if share is not None
    ]
    return [
        *told,
        f"{plural(len(found.cases), 'case')}, {found.failed} not as expected; policy {found.policy}",
        *shares,
    ]


def _asks(workspace: Path, last: int, most: float, *, as_json: bool) -> int:
    """How often the policy asked a person, by workflow, over the newest tasks."""
    from interlock.agents.information import RULE
    from interlock.app.reading import open_reading
    from interlock.core.store import TaskFilter

    tasks: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    with open_reading(workspace) as reading:
        for row in reading.tasks(TaskFilter(limit=last)):
            trace = reading.trace(row.task)
            steps = trace.steps if trace else ()
            tasks[row.workflow] += any(step.type == "started" for step in steps)
            asked[row.workflow] += sum(
                step.type == "approval_asked" and RULE in str(step.detail.get("rule", "")) for step in steps
            )
    found = [
        {"workflow": name, "tasks": count, "asks": asked[name], "asks_per_task": round(asked[name] / count, 3)}
        for name, count in sorted(tasks.items())
        if count
    ]
    if as_json:
        print_json({"most": most, "workflows": found})
    else:
        lines = [
            f"{each['workflow']:<24} {each['asks_per_task']:>6} asks per task, of {each['tasks']}" for each in found
        ]
        print(clean("\n".join(lines or ["no task yet"])))
    return 1 if any(float(each["asks_per_task"]) > most for each in found) else 0
