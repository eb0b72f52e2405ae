"""May this call be made as it stands? The contract's rules over a tool's arguments, as values.

Above: `call`. Below: config's conditions. Pure. Approval by a person is asked for earlier, by the agents (`requires_human_approval`), since a person's answer
takes hours and a call does not wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from msgspec import Struct

from interlock.config.conditions import Condition
from interlock.core.errors import ToolError


class Rule(Struct, frozen=True):
    """One rule of a contract about a tool's calls."""

    when: Condition
    """Over the arguments. A condition that cannot be decided denies, and does not modify."""
    then: Literal["deny", "modify"]
    because: str = ""
    instead: str = ""
    """What the model may do instead, in words."""
    changes: Mapping[str, Any] = {}
    """Of `modify`: arguments that are set."""


class ToolDenied(ToolError):
    """A rule of the contract forbids the call."""

    status = 403

    def __init__(self, tool: str, rule: str, because: str, instead: str) -> None:
        message = f"{tool}: {because}" if because else f"{tool} may not be called like this ({rule})"
        super().__init__("denied", message, hint=instead or "Go on without this call, or hand over to a person.")
        self.rule = rule


def modified(rules: Sequence[Rule], arguments: Any) -> Any:
    """The arguments after the rules that modify, for showing a person what would be done; a rule that denies changes nothing."""
    changing = [rule for rule in rules if rule.then == "modify"]
    return judge("", changing, arguments)[0]


def judge(tool: str, rules: Sequence[Rule], arguments: Any) -> tuple[Any, tuple[str, ...]]:
    """The arguments as they may be used, and what was decided about them.

    Raises:
        ToolDenied: a rule forbids it.
    """
    decided: list[str] = []
    facts: dict[str, Any] = cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {}
    for rule in rules:
        holds = rule.when.evaluate(facts)
        if rule.then == "deny" and holds is not False:
            raise ToolDenied(tool, rule.when.explain(facts), rule.because, rule.instead)
        if rule.then == "modify" and holds:
            facts = {**facts, **rule.changes}
            decided.append(f"modified: {rule.when.explain(facts)} → {', '.join(sorted(rule.changes))}")
    if not decided:
        return cast("Any", arguments), ()
    return facts, tuple(decided)
