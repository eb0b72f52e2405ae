"""`interlock policy`: cases for the information-flow policy, with the verdicts that are expected of it. Above: cli.main. Below: governance's flow_cases."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .options import parser, print_json, workspace_path
from .text import clean, plural

if TYPE_CHECKING:
    from interlock.governance.flow_cases import Verdicts
    from interlock.governance.flow_terms import Terms


def options() -> argparse.ArgumentParser:
    """What `interlock policy` takes."""
    made = parser("policy", "Plays cases against the information-flow policy, without a model and without tools.")
    made.add_argument("verb", choices=["test"], help="compare verdicts with what the cases expect")
    made.add_argument("file", type=Path, metavar="FILE", help="cases as YAML, see docs/policy.md")
    made.add_argument(
        "--agent", default="", metavar="NAME", help="the contracts are those of this agent of the workspace"
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when every case came out as expected, 1 when one did not."""
    from interlock.governance.flow_cases import play

    given = options().parse_args(arguments)
    found = play(given.file, _of_agent(given.workspace, given.agent) if given.agent else None)
    if given.json:
        import msgspec

        print_json(msgspec.to_builtins(found))
    else:
        print(clean("\n".join(_lines(found))))
    return 1 if found.failed else 0


def _of_agent(workspace: Path | None, name: str) -> Terms:
    """The flow terms of one agent, as its tasks use them."""
    from interlock.agents.compile import information_of
    from interlock.config.load import load
    from interlock.core.errors import ConfigError, Fault
    from interlock.tools.load import load_tools

    loaded = load(workspace_path(workspace))
    agent = loaded.agents.get(name)
    tools = load_tools(loaded.tools_file) if loaded.tools_file else {}
    made = information_of({use.name: use for use in agent.contract.tools}, tools) if agent else None
    if made is None:
        known = ", ".join(sorted(loaded.agents))
        raise ConfigError(
            [Fault(str(workspace or "."), 0, 0, "agent", f"no agent {name!r} with flow terms", f"There are: {known}.")]
        )
    return made


def _lines(found: Verdicts) -> list[str]:
    told = [
        f"{'ok  ' if each.ok else 'FAIL'}  {each.verdict:<7} {each.name}"
        + ("" if each.ok else f"  (expected {each.expected})")
        + "".join(f"\n        {reason}" for reason in each.reasons if not each.ok or each.verdict == "ask")
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
