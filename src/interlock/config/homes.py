"""Whether what the files say about residency can be kept: names, places, and models that nobody may be asked at. Above: load. Below: residency, models."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from interlock.core.errors import Fault, UnknownModel
from interlock.core.residency import common

from .checks import Draft
from .faults import Loc, dotted, inside, place
from .models import ModelRef, region_of, tiers_of
from .names import nearest
from .residency import EVERYBODY, ResidencySettings
from .schema import Settings
from .tree import Node, fault_at

HERE: Loc = ("residency", "here")
RULES = "rules"
"""The moderator that runs inside of the server."""


@dataclass(frozen=True, slots=True)
class Place:
    """Something beside providers that keeps or hears data."""

    what: str
    loc: Loc
    """Where the files declare its region."""
    region: str
    workflows: tuple[str, ...] = ()
    """Whose data reaches it; empty: everybody's."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One rule over tenants or workflows, with its regions."""

    who: str
    regions: frozenset[str]
    workflow: str = ""


def faults(settings: Settings, node: Node, drafts: Collection[Draft]) -> list[Fault]:
    """Everything about residency that can be known before a call: each is a place of the files that breaks a rule of the files."""
    said = settings.residency
    if not said.bounds_anything:
        return []
    unknown = list(_unknown(settings, node, drafts))  # what would follow from a wrong name is not said
    return unknown or [*_places_outside(settings, node), *_models_outside(settings, node, drafts)]


# --- Names ----------------------------------------------------------------------------------------------------------


def _unknown(settings: Settings, node: Node, drafts: Collection[Draft]) -> Iterator[Fault]:
    said, known = settings.residency, _known_regions(settings)

    def fault(loc: Loc, message: str, hint: str) -> Fault:
        return fault_at(place(node, loc), dotted("", loc), message, hint)

    for section in ("regions", "tenants", "workflows"):
        for name, regions in getattr(said, section).items():
            for at, region in enumerate(regions):
                if region not in known and section != "regions":
                    yield fault(_listed(node, ("residency", section, name), at), *_no_region(region, known))
                elif region in said.regions and section == "regions":
                    yield fault(
                        _listed(node, ("residency", section, name), at), f"{region!r} is a group", "Name regions."
                    )
    for label, rule in said.labels.items():
        for at, region in enumerate(rule.regions):
            if region not in known:
                yield fault(_listed(node, ("residency", "labels", label, "regions"), at), *_no_region(region, known))
        for key, names in (("providers", rule.providers), ("never", rule.never)):
            for at, name in enumerate(names):
                if name not in settings.providers:
                    hint = nearest(name, settings.providers)
                    yield fault(_listed(node, ("residency", "labels", label, key), at), f"no provider {name!r}", hint)
    workflows = [*(draft.name for draft in drafts), *settings.task_budgets]
    for name in said.workflows:
        if name != EVERYBODY and workflows and name not in workflows:
            yield fault(("residency", "workflows", name), f"no agent {name!r}", nearest(name, workflows))


def _listed(node: Node, loc: Loc, at: int) -> Loc:
    """A list of one may be written without brackets."""
    return (*loc, at) if inside(node, (*loc, at)) is not None else loc


def _known_regions(settings: Settings) -> list[str]:
    said = settings.residency
    named = [each.region for each in settings.providers.values()]
    placed = [each.region for each in _places(settings)]
    grouped = [region for regions in said.regions.values() for region in regions]
    return [name for name in dict.fromkeys((*said.regions, *grouped, *named, *placed, said.here)) if name]


def _no_region(region: str, known: Collection[str]) -> tuple[str, str]:
    hint = nearest(region, known) or "Give it to a provider (`region:`), a place, or a group under residency.regions."
    return f"no provider, place or group is in a region {region!r}", hint


# --- Places ---------------------------------------------------------------------------------------------------------


def pins(said: ResidencySettings) -> list[Pin]:
    """Every rule over tenants and workflows. Labels bind what models see, not what is kept."""
    return [
        *(Pin(f"tenant {name}", said.apart(regions)) for name, regions in said.tenants.items()),
        *(Pin(f"workflow {name}", said.apart(regions), name) for name, regions in said.workflows.items()),
    ]


def _places_outside(settings: Settings, node: Node) -> Iterator[Fault]:
    held = pins(settings.residency)
    for each in _places(settings):
        for pin in held:
            if pin.workflow and each.workflows and pin.workflow not in (EVERYBODY, *each.workflows):
                continue
            if each.region in pin.regions:
                continue
            key, allowed = dotted("", each.loc), ", ".join(sorted(pin.regions))
            if each.region:
                message = f"{each.what} is in {each.region!r}, and the data of {pin.who} stays in {allowed}"
                yield fault_at(place(node, each.loc), key, message, f"Move it, or allow {each.region!r} for {pin.who}.")
            else:
                message = f"nobody says where {each.what} is, and the data of {pin.who} stays in {allowed}"
                yield fault_at(place(node, each.loc), key, message, f"Set {key}.")
            break


def _places(settings: Settings) -> list[Place]:
    """What is in use, each with the region that the files give it."""
    at, mine = settings.residency.places, ("residency", "places")
    found = [Place("the server", HERE, settings.residency.here)]
    if settings.store.reveal().startswith(("postgres://", "postgresql://")):
        found.append(Place("the store", (*mine, "store"), at.store))
    if settings.redis.url:
        found.append(Place("the Redis", (*mine, "redis"), at.redis))
    if settings.telemetry.otlp is not None:
        found.append(Place("the OpenTelemetry receiver", (*mine, "otlp"), at.otlp))
    if settings.alerts.email is not None:
        found.append(Place("the mail server", (*mine, "mail"), at.mail))
    if settings.sandbox.worker is not None:
        found.append(Place("the sandbox's worker", (*mine, "sandbox"), at.sandbox))
    for hook in settings.webhooks:
        host = urlsplit(hook.url).hostname or hook.url
        region = at.webhooks.get(host, "")
        found.append(Place(f"the webhook at {host}", (*mine, "webhooks", host), region, hook.workflows))
    said = settings.guards.moderation
    found.extend(
        Place(f"the moderator {name}", (*mine, "moderators", name), at.moderators.get(name, ""))
        for name in dict.fromkeys((*said.before, *said.after))
        if name != RULES
    )
    for name, server in settings.mcp.servers.items():
        if server.url:
            found.append(Place(f"the MCP server {name}", (*mine, "mcp", name), at.mcp.get(name, "")))
    for name, database in settings.databases.items():
        if database.dialect != "sqlite":
            found.append(Place(f"the database {name}", (*mine, "databases", name), at.databases.get(name, "")))
    return found


# --- Models ---------------------------------------------------------------------------------------------------------


def _models_outside(settings: Settings, node: Node, drafts: Collection[Draft]) -> Iterator[Fault]:
    """Names of models behind which nothing may be asked by whoever names them."""
    default = settings.routing.default_model
    uses: list[tuple[Fault, str, str]] = []
    for draft in drafts:
        name = draft.contract.model or default
        where = draft.fault(("model",) if draft.contract.model else (), "")
        uses.append((where, name, draft.name))
    if default and not drafts:
        loc: Loc = ("routing", "default_model")
        uses.append((fault_at(place(node, loc), dotted("", loc), ""), default, ""))
    for where, name, workflow in uses:
        try:
            refs = [ref for tier in tiers_of(settings, name) for ref in tier.models] if name else []
        except UnknownModel:
            continue
        allowed = _allowed(settings.residency, settings.tenant, workflow)
        if refs and allowed is not None and not any(region_of(settings, ref.provider) in allowed for ref in refs):
            yield Fault(where.file, where.line, where.column, where.key, _outside(settings, refs, name, allowed))


def _allowed(said: ResidencySettings, tenant: str, workflow: str) -> frozenset[str] | None:
    return common((said.of_tenant(tenant), said.of_workflow(workflow)))


def _outside(settings: Settings, refs: list[ModelRef], name: str, allowed: frozenset[str]) -> str:
    at = ", ".join(dict.fromkeys(f"{ref.name} in {region_of(settings, ref.provider) or 'no region'}" for ref in refs))
    return f"no model behind {name!r} is in {', '.join(sorted(allowed)) or 'any allowed region'}: {at}"
