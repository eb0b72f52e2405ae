"""Cases for a policy as data: a request, what was read, a call, and what should become of it. Above: cli.policy. Below: flow, flow_session, flow_names.

A file of cases is a policy's test: it runs without a model, without tools and in microseconds, so that a change of contracts shows what it opens and what it closes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from interlock.config.plain import plain_yaml
from interlock.core.errors import ConfigError, Fault

from .flow import FlowPolicy, Outcome
from .flow_names import terms_by_name
from .flow_session import shipped, terms_of
from .flow_terms import Terms


class Did(Struct, frozen=True, forbid_unknown_fields=True, rename={"given": "with"}):
    """A call that was made before."""

    call: str
    given: Mapping[str, Any] = {}
    returned: Any = None
    endorsed: bool = False
    """A person had said yes to it."""


class Case(Struct, frozen=True, forbid_unknown_fields=True, rename={"given": "with"}):
    """One call or answer, and the verdict that is expected of it."""

    name: str
    request: str
    expect: Literal["allow", "ask", "deny", "kept", "changed"]
    """Of a call: `allow`, `ask` or `deny`; of an answer: `kept` or `changed`."""
    call: str = ""
    given: Mapping[str, Any] = {}
    answer: str = ""
    inputs: Mapping[str, Any] = {}
    did: Sequence[Did] = ()
    because: str = ""
    """Words that the reason has to hold."""
    attack: bool = False
    """It is an attacker's: counted apart, as blocked or not."""


class Suite(Struct, frozen=True, forbid_unknown_fields=True):
    """A file of cases with the contracts that they are about."""

    cases: Sequence[Case]
    contracts: str = ""
    """A file beside it, or the name of a shipped set (`banking`, `retail`, …)."""
    tools: Sequence[str] = ()
    """Tools without a contract, whose terms are read out of their names."""


class Judged(Struct, frozen=True):
    """What became of one case."""

    name: str
    ok: bool
    expected: str
    verdict: str
    reasons: tuple[str, ...]
    """Everything that stands against the call, an argument at a time."""
    attack: bool


class Verdicts(Struct, frozen=True):
    """A whole file."""

    policy: str
    """The version of the contracts: a hash of all of them."""
    cases: tuple[Judged, ...]
    failed: int
    attacks_blocked: float | None
    """Share of the cases marked as attacks whose call was not allowed; none without such cases."""
    own_allowed: float | None
    """Share of the other calls that were allowed without a question."""


def play(path: Path, terms: Terms | None = None) -> Verdicts:
    """Every case of a file. `terms`: the contracts of an agent, where the file names none. `ConfigError` says what is wrong with the file."""
    suite = _suite(path)
    used = terms if terms is not None and not suite.contracts and not suite.tools else _terms(suite, path)
    judged = tuple(_judge(each, used) for each in suite.cases)
    calls = [each for each in judged if each.expected not in ("kept", "changed")]
    return Verdicts(
        policy=used.version,
        cases=judged,
        failed=sum(not each.ok for each in judged),
        attacks_blocked=_share([each.verdict != "allow" for each in calls if each.attack]),
        own_allowed=_share([each.verdict == "allow" for each in calls if not each.attack]),
    )


def _judge(case: Case, terms: Terms) -> Judged:
    made = FlowPolicy(terms, case.request, given=case.inputs)
    for each in case.did:
        made.after(each.call, each.given, each.returned, endorsed=each.endorsed)
    if not case.call:
        left = made.final(case.answer)
        verdict = "kept" if left == case.answer else "changed"
        return Judged(
            case.name, verdict == case.expect and case.because in left, case.expect, verdict, (left,), case.attack
        )
    found = made.before(case.call, case.given)
    outcome: Outcome = found.outcome
    reasons = found.card or ((found.reason,) if found.reason else ())
    ok = outcome == case.expect and any(case.because in each for each in (*reasons, "" if not case.because else "\0"))
    return Judged(case.name, ok, case.expect, outcome, reasons, case.attack)


def _suite(path: Path) -> Suite:
    try:
        return msgspec.convert(plain_yaml(path.read_text(encoding="utf-8")), Suite)
    except msgspec.ValidationError as error:
        raise ConfigError([Fault(str(path), 0, 0, "", str(error), "docs/policy.md shows a file of cases.")]) from error


def _terms(suite: Suite, path: Path) -> Terms:
    if suite.tools:
        return terms_by_name(suite.tools)
    beside = path.parent / suite.contracts
    return terms_of(beside.read_text(encoding="utf-8"), str(beside)) if beside.is_file() else shipped(suite.contracts)


def _share(found: Sequence[bool]) -> float | None:
    return round(sum(found) / len(found), 4) if found else None
