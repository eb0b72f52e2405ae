"""Routing: to which deployments a call may go, in which order and why. Pure functions, and a cache of their results.

Above: chat. Below: settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from interlock.core.chat import Fact
from interlock.core.errors import UnknownModel, UpstreamAuth
from interlock.core.ports import Deployment
from interlock.core.residency import Bounds, OutsideBounds

from .settings import Rule, Tier

PLANS_KEPT = 1_000


class Candidate(Struct, frozen=True):
    """One deployment of a plan."""

    deployment: Deployment
    tier: str
    name: str
    """Of the deployment."""


class Plan(Struct, frozen=True):
    """Where a call may go."""

    alias: str
    candidates: tuple[Candidate, ...]
    """The tier to start with, then the tiers above it, which stand in when all of it fails."""
    smaller: tuple[Candidate, ...] = ()
    """The tiers below the start, the nearest first: the rung `smaller_model`."""
    reasons: tuple[str, ...] = ()


def holding(rules: Sequence[Rule], facts: Mapping[str, Fact]) -> tuple[int, ...]:
    """Places of the rules that hold for what is known before any model is asked; the first of them counts."""
    return tuple(place for place, rule in enumerate(rules) if rule.condition.evaluate(facts) is True)


def plan(alias: str, tiers: Sequence[Tier], chosen: Sequence[Tier], unusable: Callable[[Deployment], str]) -> Plan:
    """The plan over an alias's `tiers`, smallest first; `chosen` are the tiers that a rule put in place of the first.

    Raises:
        UnknownModel: the alias has no deployment. UpstreamAuth: none of them can be called, with what each lacks.
    """
    if not chosen:
        ahead, below = tiers, tiers[:0]
    elif chosen[0] in tiers:
        at = tiers.index(chosen[0])
        ahead, below = tiers[at:], tiers[:at]
    else:
        ahead, below = chosen, tiers
    lacking: list[str] = []
    seen: set[str] = set()
    candidates = _usable(ahead, unusable, seen, lacking)
    smaller = _usable(reversed(below), unusable, seen, lacking)
    if not candidates and not smaller:
        raise _nothing(alias, lacking)
    if not candidates:
        return Plan(alias, smaller, (), (*lacking, "no usable model in the chosen tiers, so the smaller ones stand in"))
    return Plan(alias, candidates, smaller, tuple(lacking))


class Router:
    """Plans by alias and rule, worked out once each: they change only with the configuration."""

    def __init__(
        self,
        tiers_of: Callable[[str], tuple[Tier, ...]],
        target_of: Callable[[str, str], tuple[Tier, ...]],
        unusable: Callable[[Deployment], str],
    ) -> None:
        self._tiers_of = tiers_of
        self._target_of = target_of
        self._unusable = unusable
        self._plans: dict[tuple[str, str, Bounds | None], Plan] = {}

    def plan(self, alias: str, target: str = "", bounds: Bounds | None = None) -> Plan:
        """The plan for `alias`, started at a rule's `target` if there is one, as far as `bounds` let it go.

        Raises:
            OutsideBounds: they let it go nowhere. Else as `plan`.
        """
        known = self._plans.get((alias, target, bounds))
        if known is None:
            if bounds is not None:
                known = within(self.plan(alias, target), bounds)
            else:
                chosen = self._target_of(target, alias) if target else ()
                known = plan(alias, self._tiers_of(alias), chosen, self._unusable)
            if len(self._plans) >= PLANS_KEPT:
                self._plans.clear()
            self._plans[alias, target, bounds] = known
        return known


def within(whole: Plan, bounds: Bounds) -> Plan:
    """What is left of a plan inside of `bounds`, with why the rest is not. Raises OutsideBounds where that is nothing."""
    found = {each.name: bounds.judge(each.deployment.provider, each.deployment.region) for each in _all(whole)}
    refused = {name: each for name, each in found.items() if each.outcome != "allow"}
    kept = tuple(each for each in whole.candidates if each.name not in refused)
    smaller = tuple(each for each in whole.smaller if each.name not in refused)
    reasons = tuple(f"{name} left out: {each.told}" for name, each in refused.items())
    if kept:
        return Plan(whole.alias, kept, smaller, (*whole.reasons, *reasons))
    if smaller:
        return Plan(whole.alias, smaller, (), (*whole.reasons, *reasons, "so the smaller tiers stand in"))
    raise OutsideBounds(
        f"no model behind {whole.alias!r} may see this call: {'; '.join(reasons)}",
        hint="Name a model inside of these bounds, or have `residency` changed.",
    )


def _all(whole: Plan) -> tuple[Candidate, ...]:
    return (*whole.candidates, *whole.smaller)


def _usable(
    tiers: Iterable[Tier], unusable: Callable[[Deployment], str], seen: set[str], lacking: list[str]
) -> tuple[Candidate, ...]:
    found: list[Candidate] = []
    for tier in tiers:
        for deployment in tier.deployments:
            if deployment.name in seen:
                continue
            seen.add(deployment.name)
            if why := unusable(deployment):
                lacking.append(f"{deployment.name} left out: {why}")
            else:
                found.append(Candidate(deployment, tier.name, deployment.name))
    return tuple(found)


def _nothing(alias: str, lacking: Sequence[str]) -> Exception:
    if not lacking:
        return UnknownModel(f"the model {alias!r} has no deployment.", hint="Name at least one in `models`.")
    return UpstreamAuth(f"no model behind {alias!r} can be called: {'; '.join(lacking)}", upstream_status=0)
