"""The lines of the readiness checklist that the files answer. Above: ready. Below: config, prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from interlock.config.models import ModelRef, deployment, tiers_of, usable
from interlock.config.workspace import Workspace
from interlock.core.errors import UnknownModel
from interlock.core.time import Clock
from interlock.economics.prices import PriceBook
from interlock.tools.define import Tool

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Line(Struct, frozen=True):
    """One line of the checklist."""

    about: str
    level: Literal["ok", "warning", "fault"]
    """`fault`: not before this is mended. `warning`: somebody should have decided it."""
    said: str
    do: str = ""


def lines(workspace: Workspace, tools: Mapping[str, Tool] | None, clock: Clock) -> Iterator[Line]:
    """All of them, in the order in which they are shown."""
    yield _key(workspace)
    yield _tenant(workspace)
    yield _door(workspace)
    yield from _models(workspace, clock)
    yield _fallbacks(workspace)
    yield from _budgets(workspace)
    yield _approvals(workspace, tools)
    yield _guards(workspace)
    yield _flow(workspace)
    yield _told(workspace)
    yield _retention(workspace)


def _key(workspace: Workspace) -> Line:
    if workspace.settings.server.api_key:
        return Line("key", "ok", "the server's key is set")
    return Line("key", "warning", "the server makes a key of its own", "Set `server.api_key` from a secret store.")


def _tenant(workspace: Workspace) -> Line:
    name = workspace.settings.tenant
    if name != "default":
        return Line("tenant", "ok", name)
    return Line(
        "tenant", "warning", "calls belong to the tenant `default`", "Set `tenant`, and a key for each (docs/keys.md)."
    )


def _door(workspace: Workspace) -> Line:
    host = workspace.settings.server.host
    if host in LOOPBACK:
        return Line("door", "ok", f"listens at {host} alone")
    if workspace.settings.server.tls_cert:
        return Line("door", "ok", f"listens at {host} with TLS")
    return Line(
        "door", "warning", f"listens at {host} without TLS", "Put a proxy that speaks TLS in front, and nothing else."
    )


def _refs(workspace: Workspace) -> dict[ModelRef, str]:
    """Models that files lead to, with one name that does."""
    found: dict[ModelRef, str] = {}
    names = [*workspace.settings.models, *(agent.model for agent in workspace.agents.values() if agent.model)]
    for name in names:
        try:
            tiers = tiers_of(workspace.settings, name)
        except UnknownModel:
            continue  # `interlock check` says it, with its place
        for ref in (ref for tier in tiers for ref in tier.models):
            found.setdefault(ref, name)
    return found


def _models(workspace: Workspace, clock: Clock) -> Iterator[Line]:
    """Can be called, are real, have a price."""
    settings, refs = workspace.settings, _refs(workspace)
    closed = sorted(ref.name for ref in refs if not usable(settings, ref))
    if closed:
        yield Line("models", "fault", f"no key for {_some(closed)}", "Set the providers' `api_key`.")
    else:
        yield Line("models", "ok", f"{len(refs)} models can be called")
    made_up = sorted(ref.name for ref in refs if settings.providers[ref.provider].simulated)
    if made_up:
        yield Line("simulated", "fault", f"{_some(made_up)} answer by rehearsal", "Name real models in `models`.")
    book = PriceBook(settings.prices, clock)
    real = [ref for ref in refs if not settings.providers[ref.provider].simulated]
    dark = sorted(ref.name for ref in real if book(deployment(settings, ref), 0).estimated)
    if dark:
        yield Line("prices", "fault", f"not known for {_some(dark)}", "Declare them under `prices` (docs/prices.md).")
    else:
        yield Line("prices", "ok", f"known for all of {len(real)} real models")


def _fallbacks(workspace: Workspace) -> Line:
    settings = workspace.settings
    alone = sorted(
        f"{alias}.{tier.name}"
        for alias in settings.models
        for tier in tiers_of(settings, alias)
        if sum(usable(settings, ref) for ref in tier.models) < 2
    )
    if alone:
        do = "Name a second model, of another vendor, in each (docs/resilience.md)."
        return Line("fallbacks", "warning", f"none behind {_some(alone)}", do)
    if not settings.models:
        return Line("fallbacks", "warning", "there are no aliases", "Let callers name aliases under `models`.")
    return Line("fallbacks", "ok", f"in every tier of {len(settings.models)} aliases")


def _budgets(workspace: Workspace) -> Iterator[Line]:
    limits = [each.limit.name for each in workspace.settings.limits if each.nano_usd is not None]
    if limits:
        yield Line("limits", "ok", f"in dollars: {_some(limits)}")
    else:
        do = "Set `limits: [{per: tenant, period: day, usd: …}]` (docs/limits.md)."
        yield Line("limits", "fault", "nothing bounds what a day may cost", do)
    free = sorted(name for name, agent in workspace.agents.items() if agent.limits.max_cost_nano_usd is None)
    if free:
        do = "Set `limits.max_cost_usd` in each."
        yield Line("budgets", "fault", f"nothing bounds what a task of {_some(free)} may cost", do)
    else:
        yield Line("budgets", "ok", f"of all {len(workspace.agents)} contracts")


def _approvals(workspace: Workspace, tools: Mapping[str, Tool] | None) -> Line:
    if tools is None:
        return Line("approvals", "fault", "the tools do not load", "`interlock check` says why.")
    bare = sorted(
        f"{name}: {use.name}"
        for name, agent in workspace.agents.items()
        for use in agent.contract.tools
        if use.requires_human_approval is False and use.name in tools and tools[use.name].effect == "once"
    )
    if bare:
        do = "Set `requires_human_approval`, if only above a sum, or give the tool another effect (docs/tools.md)."
        return Line("approvals", "fault", f"harm when repeated, and nobody is asked: {_some(bare)}", do)
    return Line("approvals", "ok", "every tool with effect `once` asks a person")


def _guards(workspace: Workspace) -> Line:
    settings = workspace.settings
    off = [
        name
        for name, on in (("pii", settings.pii is not None), ("guards.injection", settings.guards.injection is not None))
        if not on
    ]
    if off:
        return Line("guards", "warning", f"off: {', '.join(off)}", "Set them, or know why not (docs/pii.md).")
    return Line("guards", "ok", "personal data, credentials, signs of injections")


def _flow(workspace: Workspace) -> Line:
    bare = sorted(
        name
        for name, agent in workspace.agents.items()
        if agent.contract.tools and not any(use.flow is not None for use in agent.contract.tools)
    )
    if bare:
        do = "Say under each tool where its values have to come from (docs/policy.md)."
        return Line("policy", "warning", f"an injected order may call the tools of {_some(bare)}", do)
    return Line("policy", "ok", "every agent that has tools is under the information-flow policy")


def _told(workspace: Workspace) -> Line:
    settings = workspace.settings
    if settings.alerts.email is not None or any("alert" in each.events for each in settings.webhooks):
        return Line("alerts", "ok", "somebody is told")
    return Line(
        "alerts",
        "warning",
        "nobody is told when a promise is at risk",
        "Set `alerts.email`, or a webhook with `events: [alert]` (docs/slo.md).",
    )


def _retention(workspace: Workspace) -> Line:
    said = workspace.settings.retention
    if said.raw_days or said.bodies_days or said.max_size_mb:
        return Line("retention", "ok", "is set")
    return Line("retention", "warning", "everything stays for ever", "Set `retention` (docs/retention.md).")


def _some(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
