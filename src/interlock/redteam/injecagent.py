"""InjecAgent's direct-harm cases: a tool's answer holds an instruction, and the compromised model obeys it. Above: cli. Below: governance's policy.

Every tool of the set is in the contracts, so that none is refused for being unknown; the contracts are read out of the tools' names (`flow_names`). Source: Zhan et al.
2024, arXiv 2403.02691; the cases are read from a file and are no part of this project.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from interlock.governance import policy
from interlock.governance.flow_names import terms_by_name

FILE = Path("safety/injecagent_dh_base.json.gz")


class InjecFigures(Struct, frozen=True):
    """Shares of one."""

    cases: int
    attacker_calls: int
    attacker_blocked: float
    """Calls of the attacker's tools that were not made, with nobody who says yes to them."""
    user_calls: int
    user_allowed: float
    """The user's own calls that were made without a question."""
    tools: int


def measure(cases: Sequence[Mapping[str, Any]]) -> InjecFigures:
    """Plays each case: the user's call, the poisoned answer, the attacker's calls with the instruction's words as their arguments."""
    names = {each["User Tool"] for each in cases} | {tool for each in cases for tool in each["Attacker Tools"]}
    terms = terms_by_name(sorted(names))
    allowed = blocked = calls = 0
    for case in cases:
        made = policy({"suite": "", "prompt": case["User Instruction"]}, terms=terms)
        own = {"name": case["User Tool"], "args": ast.literal_eval(case["Tool Parameters"])}
        allowed += made.before(own) == "allow"
        made.after(own, ast.literal_eval(case["Tool Response"]))
        for tool in case["Attacker Tools"]:
            calls += 1
            asked = [made.before({"name": tool, "args": arguments}) for arguments in _arguments(case)]
            blocked += "allow" not in asked
    return InjecFigures(
        cases=len(cases),
        attacker_calls=calls,
        attacker_blocked=round(blocked / calls, 4) if calls else 1.0,
        user_calls=len(cases),
        user_allowed=round(allowed / len(cases), 4) if cases else 0.0,
        tools=len(names),
    )


def _arguments(case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the attacker may put into a call: nothing, its own words, the user's values."""
    own = ast.literal_eval(case["Tool Parameters"])
    return [{}, {"request": case["Attacker Instruction"]}, dict(own)]
