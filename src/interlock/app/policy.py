"""From the files' models to the gateway's settings: aliases, tiers, rules, limits, caches.

Above: compose. Below: config and gateway.
"""

from __future__ import annotations

from collections.abc import Callable

from interlock.config import models as names
from interlock.config.schema import Settings as Files
from interlock.config.workspace import Workspace
from interlock.core.cards import ModelCard
from interlock.core.ports import ON_DEVICE, Deployment
from interlock.core.store import as_stored
from interlock.gateway.settings import Caching, Profile, Rule, Settings, Tier, Workflow

from . import steering
from .resilience import resilient


def settings_of(workspace: Workspace, *, model: str = "") -> Settings:
    """The gateway's settings. `model`, where it is given, stands in for every alias, so that no rule leads elsewhere."""
    files = workspace.settings
    rules = () if model else tuple(Rule(rule.condition, rule.model) for rule in files.routing.escalate_if)
    settings = Settings(
        rules=rules,
        default_model=model or files.routing.default_model,
        degradation=files.degradation,
        workflows=_workflows(workspace, steered=not model),
        anywhere=_workflow(workspace, "", steered=not model),
        premium=None if model else steering.premium_of(files),
        caching=_caching(files),
    )
    return resilient(settings, files)


def _workflows(workspace: Workspace, *, steered: bool) -> dict[str, Workflow]:
    """Of contracts, and of task budgets that stand without one."""
    names = {*workspace.agents, *workspace.settings.task_budgets}
    return {name: _workflow(workspace, name, steered=steered) for name in names}


def _workflow(workspace: Workspace, name: str, *, steered: bool) -> Workflow:
    """Of one name, or (empty) of calls that belong to none. `steered`: its checks and its learned route count."""
    agent = workspace.agents.get(name)
    budget = workspace.settings.task_budgets.get(name)
    return Workflow(
        limits=workspace.limits_for(name),
        p95_latency_slo_ms=budget.p95_latency_slo_ms if budget else None,
        store_prompts=as_stored((agent.contract if agent else workspace.settings).logging.store_prompts),
        checks=steering.checks_of(workspace, agent) if steered else (),
        learned=steering.learned_of(workspace, agent) if steered else None,
    )


def _caching(files: Files) -> Caching:
    exact, semantic = files.caching.exact_cache, files.caching.semantic_cache
    return Caching(
        exact=exact.enabled,
        exact_ttl_s=exact.ttl_seconds,
        sampled=exact.sampled,
        refusals=exact.refusals,
        coalesce=exact.enabled if files.caching.coalesce is None else files.caching.coalesce,
        semantic=semantic.enabled,
    )


def tiers_of(files: Files, *, model: str = "") -> Callable[[str], tuple[Tier, ...]]:
    """Name → tiers. With `model`, every alias of the files stands for that one model."""

    def look(name: str) -> tuple[Tier, ...]:
        stands_for = model if model and name in files.models else name
        return _deployed(files, names.tiers_of(files, stands_for))

    return look


def target_of(files: Files) -> Callable[[str, str], tuple[Tier, ...]]:
    """(a rule's target, alias) → tiers."""

    def look(target: str, alias: str) -> tuple[Tier, ...]:
        return _deployed(files, names.escalation_target(files, target, alias))

    return look


def _deployed(files: Files, tiers: tuple[names.Tier, ...]) -> tuple[Tier, ...]:
    return tuple(
        Tier(tier.name, tuple(names.deployment(files, ref, tier.name) for ref in tier.models)) for tier in tiers
    )


def unusable(files: Files) -> Callable[[Deployment], str]:
    """Why a deployment cannot be called; empty when it can."""

    def why(deployment: Deployment) -> str:
        provider = files.providers[deployment.provider]
        if provider.needs_key and not provider.api_key:
            return f"providers.{deployment.provider}.api_key is not set"
        return ""

    return why


def served_names(workspace: Workspace) -> list[str]:
    """What may stand in `model` of a request: aliases, every model they name, and the on-device engines."""
    files = workspace.settings
    found = dict.fromkeys(files.models)
    for name in names.named_models(files):
        if name not in files.models:
            found[names.ref_of(files, name).name] = None
    for name, agent in workspace.agents.items():
        if agent.contract.tier0 is not None:
            found[f"{ON_DEVICE}/{name}"] = None
    return list(found)


def served_models(workspace: Workspace, profile_of: Callable[[Deployment], Profile]) -> list[ModelCard]:
    """What `served_names` lists, with the abilities of each: an alias is able to do what every model behind it is."""
    look = tiers_of(workspace.settings)
    return [
        _card(name, look(name), profile_of, alias=name in workspace.settings.models) for name in served_names(workspace)
    ]


def _card(name: str, tiers: tuple[Tier, ...], profile_of: Callable[[Deployment], Profile], *, alias: bool) -> ModelCard:
    deployments = [each for tier in tiers for each in tier.deployments]
    known = [profile for each in deployments if not (profile := profile_of(each)).assumed]
    sure = len(known) == len(deployments)
    return ModelCard(
        id=name,
        owned_by="interlock" if alias else deployments[0].provider,
        tiers={tier.name: tuple(each.name for each in tier.deployments) for tier in tiers} if alias else {},
        context_window=min(each.context_window for each in known) if sure else 0,
        max_output=min(each.max_output for each in known) if sure else 0,
        simulated=all(each.simulated for each in deployments),
    )
