"""The information-flow policy as a plain callable that any harness can drive: `policy(session)` with `before`, `after` and `final`.

Above: interlock.governance, redteam, anybody's harness. Below: decisions, the contracts in `governance/contracts`, config.plain.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import msgspec

from interlock.config.plain import plain_yaml
from interlock.core.errors import ConfigError, Fault
from interlock.core.verdicts import Outcome, Verdict

from .decisions import Policy
from .flow_memory import Memory
from .flow_terms import Terms, ToolTerms

CONTRACTS = Path(__file__).with_name("contracts")
_ERROR = re.compile(r"\s*(?:\w+(?:Error|Exception)\b|Tool \S+ (?:not found|unknown)|\d+ validation errors?\b)")
_HEADING = re.compile(r"\A[^:\n]{1,60}: ")
_LONGEST = 1_000_000
"""Characters of a text beyond which nothing is read out of it."""
_ABSENT = object()


class SessionPolicy:
    """One session. Calls and sessions may be objects or mappings; outputs may be data, or the text in which a model reads them."""

    def __init__(self, policy: Policy, prompt: str, memory: Memory | None = None) -> None:
        self._policy = policy
        self.flow = policy.task(prompt, memory)

    def before(self, call: Any) -> Outcome:
        """`allow`, `deny` or `ask`. After `ask`, a call that is made all the same (`endorse`, or `after` with it) was endorsed by a person, for this once."""
        return self.verdict(call).outcome

    def verdict(self, call: Any) -> Verdict:
        """The same with its rule, its reason and the version of the contracts."""
        return self._policy.call(self.flow, _name(call), _arguments(call))

    def explain(self, call: Any) -> Mapping[str, str]:
        """What stands against the call, by argument (`""`: against the whole of it); empty when it is allowed."""
        return self.flow.explain(_name(call), _arguments(call))

    def endorse(self) -> None:
        """A person has said yes to the call that was asked about last."""
        self.flow.endorse()

    def after(self, call: Any, output: Any) -> Any:
        """Takes in what the call returned, and gives it back as it is. Words of an error teach nothing."""
        self.flow.after(_name(call), _arguments(call), data(output))
        return output

    def final(self, text: str) -> str:
        """The answer as it may leave."""
        return self._policy.final(self.flow, text).value


def policy(session: Any, *, terms: Terms | None = None, memory: Memory | None = None) -> SessionPolicy:
    """A policy for one session, which has `prompt` and `suite` (attributes or keys). `terms`: the contracts of its tools; without them those that ship
    for the suite. `memory`: pass the same one to all sessions that share stores. `ConfigError` where there are no contracts for the suite.
    """
    if terms is None:
        terms = shipped(str(_of(session, "suite")))
    return SessionPolicy(Policy.of(terms), str(_of(session, "prompt")), memory)


def terms_of(text: str, where: str = "contracts") -> Terms:
    """The contracts that a text of YAML holds, by tool; `ConfigError` says what is wrong with them."""
    try:
        return Terms(msgspec.convert(plain_yaml(text), dict[str, ToolTerms]))
    except msgspec.ValidationError as error:
        raise _fault(where, str(error), "docs/policy.md names every key of a tool's flow terms.") from error


@lru_cache(maxsize=16)
def shipped(suite: str) -> Terms:
    """The contracts that ship for a suite of AgentDojo."""
    known = sorted(path.stem for path in CONTRACTS.glob("*.yaml"))
    if suite not in known:
        raise _fault(
            "session", f"no contracts ship for suite {suite!r}", f"Pass `terms`, or one of {', '.join(known)}."
        )
    return terms_of((CONTRACTS / f"{suite}.yaml").read_text(encoding="utf-8"), f"{suite}.yaml")


def data(output: Any) -> Any:
    """An output as plain data: texts in Python's or YAML's form are read, lists by lines are split, words of an error are nothing."""
    if hasattr(output, "model_dump"):
        return output.model_dump(mode="json")
    if isinstance(output, (list, tuple)):
        return [data(each) if hasattr(each, "model_dump") else each for each in cast("list[Any]", output)]
    if not isinstance(output, str):
        return cast("Any", output) if isinstance(output, (dict, int, float)) or output is None else str(output)
    if len(output) > _LONGEST:
        return output
    if _ERROR.match(output):
        return None
    try:
        return ast.literal_eval(output)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = plain_yaml(output)
        if "*" in output and _outgrows(found, len(output)):
            return output
    if isinstance(found, (list, dict)) and not _is_list_by_lines(output):
        return cast("Any", found)
    lines = _HEADING.sub("", output).strip().split("\n")
    return lines if len(lines) > 1 and _is_list_by_lines(output) else output


def _fault(where: str, message: str, hint: str) -> ConfigError:
    return ConfigError([Fault(where, 0, 0, "", message, hint)])


def _outgrows(value: Any, size: int) -> bool:
    """Whether data that refers to itself, as YAML can, is larger than `size` values, or endless: more than the text said."""
    left, seen = [value], 0
    while left and seen <= size:
        last = left.pop()
        seen += 1
        if isinstance(last, dict):
            left.extend(cast("dict[Any, Any]", last).values())
        elif isinstance(last, list):
            left.extend(cast("list[Any]", last))
    return seen > size


def _is_list_by_lines(text: str) -> bool:
    return _HEADING.match(text) is not None and not any(
        ":" in line or line.startswith((" ", "-")) for line in text.split("\n")[1:]
    )


def _name(call: Any) -> str:
    return str(next(found for key in ("name", "tool", "function") if (found := _of(call, key, None)) is not None))


def _arguments(call: Any) -> Mapping[str, Any]:
    for key in ("args", "arguments"):
        found: Any = _of(call, key, None)
        if found is not None:
            return dict(cast("Mapping[str, Any]", found))
    return {}


def _of(holder: Any, key: str, default: Any = _ABSENT) -> Any:
    found: Any = (
        cast("Mapping[str, Any]", holder).get(key, default)
        if isinstance(holder, Mapping)
        else getattr(holder, key, default)
    )
    if found is _ABSENT:
        raise _fault("session", f"it has no `{key}`", "docs/policy.md says what a session has.")
    return found
