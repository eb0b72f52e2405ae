"""Cases for a policy as data: a request, what was read, and a call, an answer or a provider that would see it, with the verdict that is expected. Above: cli.policy. Below:
decisions, flow_session, flow_names.

A file of cases is a policy's test: it runs without a model, without tools and in microseconds, so that a change of contracts shows what it opens and what it closes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from interlock.config.plain import plain_yaml
from interlock.config.residency import ResidencySettings
from interlock.core.caller import Caller
from interlock.core.errors import ConfigError, Fault
from interlock.core.verdicts import Verdict

from .decisions import Policy
from .flow_names import terms_by_name
from .flow_session import shipped, terms_of
from .flow_terms import Terms
from .residency import Places, places_of


class Did(Struct, frozen=True, forbid_unknown_fields=True, rename={"given": "with"}):
    """A call that was made before."""

    call: str
    given: Mapping[str, Any] = {}
    returned: Any = None
    endorsed: bool = False
    """A person had said yes to it."""


class Case(Struct, frozen=True, forbid_unknown_fields=True, rename={"given": "with"}):
    """One call, answer or provider, and the verdict that is expected of it."""

    name: str
    expect: Literal["allow", "ask", "deny", "kept", "changed"]
    """Of a call: `allow`, `ask` or `deny`; of an answer: `kept` or `changed`; of a provider: `allow` or `deny`."""
    request: str = ""
    call: str = ""
    given: Mapping[str, Any] = {}
    answer: str = ""
    provider: str = ""
    """Whether it may be sent what the task bears by then."""
    region: str = ""
    """Of the provider, where the file (or the workspace) does not say it."""
    tenant: str = "default"
    workflow: str = ""
    labels: Sequence[str] = ()
    """What the request bears by itself, beside what `did` brought."""
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
    residency: Mapping[str, Any] = {}
    """As in interlock.yaml: which regions and providers tenants, workflows and labels are bound to."""
    providers: Mapping[str, str] = {}
    """Regions of providers."""


class Judged(Struct, frozen=True):
    """What became of one case."""

    name: str
    ok: bool
    expected: str
    verdict: str
    reasons: tuple[str, ...]
    """Everything that stands against it, an argument at a time."""
    attack: bool
    rule: str = ""
    """The one that decided; empty where nothing stood against it."""
    version: str = ""
    """Of the rules that decided."""


class Verdicts(Struct, frozen=True):
    """A whole file."""

    policy: str
    """The version of the contracts (a hash of all of them), or of the residency where there are none."""
    cases: tuple[Judged, ...]
    failed: int
    attacks_blocked: float | None
    """Share of the cases marked as attacks whose call was not allowed; none without such cases."""
    own_allowed: float | None
    """Share of the other calls that were allowed without a question."""


def play(path: Path, policy: Policy | None = None, regions: Mapping[str, str] | None = None) -> Verdicts:
    """Every case of a file. `policy`: an agent's, where the file names no contracts, and a workspace's residency with the `regions` of its providers, where the file has none.
    `ConfigError` says what is wrong with the file.
    """
    suite = _suite(path)
    used = _policy(suite, path, policy or Policy.of())
    where = {**(regions or {}), **suite.providers}
    judged = tuple(_judge(each, used, where) for each in suite.cases)
    told = [(case, each) for case, each in zip(suite.cases, judged, strict=True) if case.call or case.provider]
    return Verdicts(
        policy=used.version or used.places_version,
        cases=judged,
        failed=sum(not each.ok for each in judged),
        attacks_blocked=_share([each.verdict != "allow" for case, each in told if case.attack]),
        own_allowed=_share([each.verdict == "allow" for case, each in told if case.call and not case.attack]),
    )


def _judge(case: Case, policy: Policy, regions: Mapping[str, str]) -> Judged:
    verdict = _verdict(case, policy, regions)
    about_answer = not (case.call or case.provider)
    outcome = ("kept" if verdict.outcome == "allow" else "changed") if about_answer else verdict.outcome
    reasons = verdict.card or ((verdict.reason,) if verdict.reason else ())
    if about_answer:
        reasons = (verdict.value, *reasons)
    because = not case.because or any(case.because in each for each in (*reasons, verdict.rule))
    ok = outcome == case.expect and because
    return Judged(case.name, ok, case.expect, outcome, reasons, case.attack, verdict.rule, verdict.version)


def _verdict(case: Case, policy: Policy, regions: Mapping[str, str]) -> Verdict:
    """The policy's decision after everything that the case says was done before."""
    task = policy.task(case.request, given=case.inputs)
    for each in case.did:
        task.after(each.call, each.given, each.returned, endorsed=each.endorsed)
    if case.provider:
        borne = tuple(sorted({*case.labels, *task.labels()}))
        who = Caller(case.tenant, workflow=case.workflow, labels=borne)
        return policy.provider(who, case.provider, case.region or regions.get(case.provider, ""))
    return policy.call(task, case.call, case.given) if case.call else policy.final(task, case.answer)


def _policy(suite: Suite, path: Path, base: Policy) -> Policy:
    if suite.residency:
        base = Policy.of(base.terms, _places(suite, path))
    return base.of_tools(_terms(suite, path)) if suite.contracts or suite.tools else base


def _places(suite: Suite, path: Path) -> Places:
    try:
        return places_of(ResidencySettings.model_validate(suite.residency))
    except ValueError as error:
        raise ConfigError(
            [Fault(str(path), 0, 0, "residency", str(error), "docs/residency.md has its keys.")]
        ) from error


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
